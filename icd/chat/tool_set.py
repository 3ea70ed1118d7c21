"""The tools of a call, with what is worked out from them once: an agent sends the same ones with every call."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from typing import NamedTuple

from pydantic_core import to_json

from icd.backends.base import JsonObject, Tool
from icd.backends.openai_wire import tool_json
from icd.backends.tokens import most_tokens
from icd.canonical import dump
from icd.chat.json_schema import CompiledSchema, compiled
from icd.chat.kept import Kept
from icd.chat.schema_copy import short
from icd_memory.schema import dump_json
from icd_memory.store import text_hash

_KEPT_TEXT = 4 * 1024 * 1024
"""Characters of tools that are kept."""


class Written(NamedTuple):
    """Tools as a receipt refers to them."""

    hash: str
    text: str


class ToolSet(tuple[Tool, ...]):
    """Tools, in the order of the call. Made by `tool_set`."""

    @cached_property
    def names(self) -> frozenset[str]:
        """What may be called."""
        return frozenset(tool.name for tool in self)

    @cached_property
    def schemas(self) -> Mapping[str, CompiledSchema]:
        """What arguments are checked by, by tool.

        Raises:
            MissingExtraError: jsonschema is not installed.
        """
        return {tool.name: compiled(tool.parameters) for tool in self}

    @cached_property
    def for_keys(self) -> Mapping[str, JsonObject]:
        """What `icd.agreement.message_key` needs: the schemas that have defaults or sets, by tool."""
        return {tool.name: tool.parameters for tool in self if self.schemas[tool.name].for_keys}

    @cached_property
    def refusal(self) -> str | None:
        """Why a request with these tools cannot be served, naming the tool and what to change; None if it can."""
        names: set[str] = set()
        for place, tool in enumerate(self):
            if not tool.name:
                return f"tools[{place}] has no name: give it one"
            if tool.name in names:
                return f"two tools are called {short(tool.name)}: rename one"
            names.add(tool.name)
            if (refusal := compiled(tool.parameters).refusal) is not None:
                return f"the parameters of the tool {short(tool.name)} cannot be used: {refusal}"
        return None

    @cached_property
    def signature(self) -> tuple[str, ...]:
        """What each tool is, the same in any order of tools and keys."""
        return tuple(sorted(f"{tool.name} {tool.description} {dump(tool.parameters)}" for tool in self))

    @cached_property
    def written(self) -> Written:
        """The tools as they are stored."""
        text = dump_json([tool_json(tool) for tool in self])
        return Written(text_hash(text), text)

    @cached_property
    def most_tokens(self) -> int:
        """A number that their tokens never pass."""
        return most_tokens((), self)


_kept: Kept[bytes, ToolSet] = Kept(_KEPT_TEXT)


def tool_set(tools: Iterable[Tool]) -> ToolSet:
    """Return tools as a set that may have been made for an earlier call with exactly the same ones."""
    if isinstance(tools, ToolSet):
        return tools
    made = tuple(tools)
    fields = [(tool.name, tool.description, tool.parameters, tool.extra) for tool in made]
    return kept_tools(fields, lambda: made)


def kept_tools(given: object, make: Callable[[], Iterable[Tool]]) -> ToolSet:
    """Return the tools that JSON data stands for; what was seen before is not made again."""
    try:
        written = to_json(given)  # Tells true from 1, as equality does not.
    except ValueError:  # Unpaired surrogates, no JSON, or nested too deeply for it.
        return ToolSet(make())
    return _kept.get(written, lambda: ToolSet(make()))
