"""The rows that are trained on, as they come from a file. Knows the formats, not the models.

A *conversation* is OpenAI's fine-tuning format: ``messages`` and ``tools``; an assistant turn with ``weight`` 0 is
shown and not learnt. ``logprobs`` of a turn are those that the teacher's endpoint returned. A *pair* has the messages
before a step (``messages`` or ``prompt``) and a better and a worse answer to them (``chosen``, ``rejected``). Both are
what `icd offline dataset` writes (`icd.offline.examples`), read so that other files of these formats do too.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AliasChoices, BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationError

from icd.config_errors import in_brief
from icd.errors import ConfigurationError


class _Row(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class TopLogprob(_Row):
    """A token that the teacher might have written."""

    token: str
    logprob: float


class TokenLogprob(_Row):
    """A token that the teacher wrote, and the likeliest ones at its place."""

    token: str
    top_logprobs: tuple[TopLogprob, ...] = ()


class Logprobs(_Row):
    """What an endpoint says of a turn's tokens."""

    content: tuple[TokenLogprob, ...] = ()


class Turn(_Row):
    """A message."""

    role: Literal["system", "user", "assistant", "tool"]
    content: str | list[dict[str, Any]] | None = None
    tool_calls: tuple[dict[str, Any], ...] = ()
    tool_call_id: str | None = None
    name: str | None = None
    weight: float = 1.0
    """0: shown, not learnt (assistant)."""
    logprobs: Logprobs | None = None

    @property
    def text(self) -> str:
        """Its text; empty where its content has other parts."""
        return self.content if isinstance(self.content, str) else ""

    @property
    def learnt(self) -> bool:
        """Say whether the student learns to write it."""
        return self.role == "assistant" and self.weight > 0

    def for_template(self) -> dict[str, Any]:
        """Return it as chat templates read messages: a call's arguments as an object."""
        message: dict[str, Any] = {"role": self.role, "content": self.content or ""}
        if self.tool_calls:
            message["tool_calls"] = [_call(call) for call in self.tool_calls]
        for name in ("tool_call_id", "name"):
            if (value := getattr(self, name)) is not None:
                message[name] = value
        return message


class _Asked(_Row):
    tools: tuple[dict[str, Any], ...] = ()
    cue: str | None = None
    """How the runtime makes the last answer begin; None: as the text says (`icd.offline.training.masks`)."""


class Conversation(_Asked):
    """Turns, of which the assistant's are learnt."""

    messages: tuple[Turn, ...] = Field(min_length=1)
    reasoning: str = ""
    """Of the last answer."""


def _one(value: Any) -> Any:
    return value[0] if isinstance(value, list | tuple) and len(value) == 1 else value


class Pair(_Asked):
    """A better and a worse answer to the same messages."""

    prompt: tuple[Turn, ...] = Field(min_length=1, validation_alias=AliasChoices("prompt", "messages"))
    chosen: Annotated[Turn, BeforeValidator(_one)]
    rejected: Annotated[Turn, BeforeValidator(_one)]

    @property
    def better(self) -> Conversation:
        """The prompt with the chosen answer."""
        return self._with(self.chosen)

    @property
    def worse(self) -> Conversation:
        """The prompt with the rejected answer."""
        return self._with(self.rejected)

    def _with(self, answer: Turn) -> Conversation:
        shown = (turn.model_copy(update={"weight": 0.0}) for turn in self.prompt)
        return Conversation(messages=(*shown, answer), tools=self.tools, cue=self.cue)


Row = Conversation | Pair
_CONVERSATION, _PAIR = TypeAdapter(Conversation), TypeAdapter(Pair)


def read_rows(path: Path) -> list[Row]:
    """Read a data set's file: JSON lines, or the same rows as Parquet.

    Raises:
        ConfigurationError: there is no such file, it is empty, or a line is no row.
    """
    rows: list[Row] = []
    try:
        for number, value in enumerate(_values(path), 1):
            rows.append(_read(value, f"{path}, line {number}"))
    except OSError as error:
        raise ConfigurationError(f"the data set cannot be read: {error}") from error
    if not rows:
        raise ConfigurationError(f"{path} holds no example")
    return rows


def _values(path: Path) -> Iterator[Any]:
    if path.suffix == ".parquet":
        from datasets import Dataset

        yield from (_without_nulls(row) for row in Dataset.from_parquet(str(path)))
        return
    with path.open("rb") as file:
        yield from (line for line in file if line.strip())


def _without_nulls(value: Any) -> Any:
    """Return a row without the keys that only other rows have: Parquet gives all keys to each."""
    if isinstance(value, dict):
        return {key: _without_nulls(inner) for key, inner in value.items() if inner is not None}
    return [_without_nulls(inner) for inner in value] if isinstance(value, list) else value


def _read(value: Any, where: str) -> Row:
    try:
        data = json.loads(value) if isinstance(value, bytes) else value
        kind: TypeAdapter[Any] = _PAIR if isinstance(data, dict) and "chosen" in data else _CONVERSATION
        row: Row = kind.validate_python(data)
    except (ValidationError, ValueError, RecursionError) as error:
        raise ConfigurationError(f"{where} is no example: {in_brief(error)}") from error
    return row


def _call(call: dict[str, Any]) -> dict[str, Any]:
    function = dict(call.get("function", {}))
    if isinstance(function.get("arguments"), str):
        try:
            function["arguments"] = json.loads(function["arguments"])
        except json.JSONDecodeError as error:
            raise ConfigurationError(
                f"arguments of a tool call are no JSON: {function['arguments']!r}"
            ) from error
    return {**call, "function": function}
