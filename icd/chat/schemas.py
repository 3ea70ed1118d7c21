"""Whether an answer fits the tools and the response format of the live request, in words for the receipt.

How schemas are read, and what of them is not checked, is said in `icd.chat.json_schema`.
"""

from __future__ import annotations

from collections.abc import Sequence

from icd.agreement import response_schema, unfenced, wants_json
from icd.backends.base import Completion, JsonObject, Tool, ToolCall
from icd.canonical import read_json
from icd.chat.json_schema import LONGEST_PROBLEM, compiled, require_jsonschema
from icd.chat.schema_copy import short
from icd.chat.tool_set import tool_set


class ToolSchemas:
    """The tools of one request. Cheap to make: schemas seen before are not compiled again.

    Raises:
        MissingExtraError: jsonschema is not installed.
    """

    def __init__(self, tools: Sequence[Tool]) -> None:
        require_jsonschema()
        known = tool_set(tools)
        self._schemas = known.schemas
        self._checked: dict[tuple[str, str], str | None] = {}
        self.for_keys = known.for_keys
        """What `icd.agreement.message_key` needs."""

    def problem(
        self, completion: Completion, tool_choice: str = "", response_format: JsonObject | None = None
    ) -> str | None:
        """Return what is wrong with an answer; None if it fits. `tool_choice` is as in `ChatRequest`."""
        calls = completion.tool_calls
        if not calls:
            if tool_choice == "required":
                return "no tool is called, though one is required"
            if tool_choice not in ("", "auto", "none"):
                return f"the tool {tool_choice!r} is not called, though it is required"
            return _format_problem(completion.text, response_format)
        if tool_choice == "none":
            return f"the tool {short(calls[0].name)} is called, though none may be"
        for call in calls:
            if tool_choice not in ("", "auto", "required", call.name):
                return f"the tool {short(call.name)} is called instead of {tool_choice!r}"
            if (found := self._call_problem(call)) is not None:
                return found
        return None

    def _call_problem(self, call: ToolCall) -> str | None:
        asked = (call.name, call.arguments)
        if asked not in self._checked:
            self._checked[asked] = self._argument_problem(call)
        return self._checked[asked]

    def _argument_problem(self, call: ToolCall) -> str | None:
        schema = self._schemas.get(call.name)
        if schema is None:
            return f"there is no tool {short(call.name)} in the request"
        what = f"the arguments of {short(call.name)}"
        try:
            arguments = read_json(call.arguments)
        except (ValueError, RecursionError) as error:
            return f"{what} are not JSON: {_reason(error)}"
        if not isinstance(arguments, dict):
            return f"{what} are not a JSON object"
        return schema.problem(arguments, len(call.arguments), what)


def check_tools(tools: Sequence[Tool]) -> str | None:
    """Return why a request with these tools cannot be served, naming the tool and what to change; None if it can.

    Raises:
        MissingExtraError: jsonschema is not installed.
    """
    return tool_set(tools).refusal


def check_response_format(response_format: JsonObject | None) -> str | None:
    """Return why a schema in ``response_format`` cannot be used and what to change; None if it can, or there is none.

    Raises:
        MissingExtraError: jsonschema is not installed.
    """
    schema = response_schema(response_format)
    refusal = None if schema is None else compiled(schema).refusal
    return None if refusal is None else f"the schema of response_format cannot be used: {refusal}"


def _format_problem(text: str, response_format: JsonObject | None) -> str | None:
    if not wants_json(response_format):
        return None
    try:
        value = read_json(unfenced(text, "json"))
    except (ValueError, RecursionError) as error:
        return f"the answer is not JSON: {_reason(error)}"
    schema = response_schema(response_format)
    if schema is not None:
        return compiled(schema).problem(value, len(text), "the answer")
    return None if isinstance(value, dict) else "the answer is not a JSON object"


def _reason(error: Exception) -> str:
    return "nested too deeply" if isinstance(error, RecursionError) else str(error)[:LONGEST_PROBLEM]
