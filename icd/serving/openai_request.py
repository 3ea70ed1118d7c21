"""OpenAI's chat request, read: what its fields mean as a `ChatCall`. No I/O.

Every field is understood, passed on as it is (also those that nobody has heard of: endpoints have their own), or refused
by name. Null means left out, as with OpenAI.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, NotRequired, TypeAlias

from pydantic import BaseModel, ConfigDict, Field
from typing_extensions import TypedDict

from icd.backends.base import JsonObject, Message, Tool, ToolCall
from icd.cascade import Policy
from icd.chat.call import ChatCall
from icd.chat.tool_set import ToolSet, kept_tools
from icd.serving.errors import bad_request
from icd.serving.keys import Caller
from icd.serving.request_fields import RequestModel, refused
from icd.serving.service import CallNames, other_metadata

__all__ = ["ChatBody", "to_call"]

_INT64 = 2**63
Penalty = Annotated[float, Field(ge=-2, le=2)]
_ToolName = Annotated[str, Field(pattern=r"^[a-zA-Z0-9_-]{1,128}$")]


class _Open(BaseModel):
    """An object whose further fields are passed on."""

    model_config = ConfigDict(extra="allow", strict=True, allow_inf_nan=False)


class CalledFunction(RequestModel):
    """What a model called."""

    name: str
    arguments: str
    """JSON, as the model wrote it."""


class CalledTool(RequestModel):
    """A call in an earlier turn."""

    id: str
    type: Literal["function"] = "function"
    function: CalledFunction
    index: int | None = None
    """Left over from a stream; the list's order says the same."""


_OLD_FUNCTIONS = "functions are deprecated: send tools, tool_choice and messages of role tool instead"


Content: TypeAlias = str | list[dict[str, Any]]
"""Text, or content parts."""
_NotAnAssistants = Annotated[None, refused("only assistants call tools")]
_NotATools = Annotated[None, refused("only messages of role tool answer a call")]


class InputTurn(_Open):
    """What the model is told."""

    role: Literal["system", "developer", "user"]
    content: Content
    tool_calls: _NotAnAssistants = None
    tool_call_id: _NotATools = None


class AssistantTurn(_Open):
    """What the model answered."""

    role: Literal["assistant"]
    content: Content | None = None
    tool_calls: list[CalledTool] | None = None
    tool_call_id: _NotATools = None
    function_call: Annotated[None, refused(_OLD_FUNCTIONS)] = None


class ToolTurn(_Open):
    """What a tool returned."""

    role: Literal["tool"]
    content: Content
    tool_calls: _NotAnAssistants = None
    tool_call_id: str


Turn: TypeAlias = Annotated[InputTurn | AssistantTurn | ToolTurn, Field(discriminator="role")]


class FunctionBody(TypedDict):
    """A function that may be called."""

    __pydantic_config__ = _Open.model_config  # type: ignore[misc]
    name: _ToolName
    description: NotRequired[str | None]
    parameters: NotRequired[dict[str, Any] | None]
    """JSON schema."""


class ToolBody(TypedDict):
    """A tool; only functions can be compared. Plain data, as its function: the same ones come with every request, and are
    made tools once."""

    __pydantic_config__ = RequestModel.model_config  # type: ignore[misc]
    type: Literal["function"]
    function: FunctionBody


class ChosenFunction(RequestModel):
    """The function that must be called."""

    name: str


class ChosenTool(RequestModel):
    """The tool that must be called."""

    type: Literal["function"]
    function: ChosenFunction


class StreamOptions(RequestModel):
    """What a stream ends with."""

    include_usage: bool | None = None
    include_obfuscation: Annotated[
        bool | None, refused("chunks are not padded here: send false, or leave it out", False)
    ] = None


class ChatBody(_Open):
    """The request. Fields that are not listed are passed on to the model's endpoint."""

    model: str = Field(min_length=1)
    """icd/cascade, icd/POLICY, or the teacher's own name."""
    messages: list[Turn] = Field(min_length=1)
    n: int | None = Field(default=None, ge=1, le=128)
    temperature: float | None = Field(default=None, ge=0, le=2)
    max_completion_tokens: int | None = Field(default=None, ge=1, lt=_INT64)
    max_tokens: int | None = Field(default=None, ge=1, lt=_INT64)
    seed: int | None = Field(default=None, ge=-_INT64, lt=_INT64)
    stop: str | list[str] | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    tools: list[ToolBody] | None = None
    tool_choice: Literal["auto", "none", "required"] | ChosenTool | None = None
    parallel_tool_calls: bool | None = None
    response_format: dict[str, Any] | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = Field(default=None, ge=0, le=20)
    metadata: dict[str, str] | None = None
    """icd_episode, icd_category and icd_instance are read here; the rest is passed on."""

    functions: Annotated[None, refused(_OLD_FUNCTIONS)] = None
    function_call: Annotated[None, refused(_OLD_FUNCTIONS)] = None
    audio: Annotated[None, refused("spoken answers cannot be compared: leave it out")] = None
    modalities: Annotated[
        list[str] | None, refused('answers are text: send ["text"], or leave it out', ["text"])
    ] = None

    # Passed on; their types are checked here, since an endpoint's refusal would not be the client's error.
    top_p: float | None = Field(default=None, ge=0, le=1)
    frequency_penalty: Penalty | None = None
    presence_penalty: Penalty | None = None
    logit_bias: dict[str, float] | None = None
    user: str | None = None
    reasoning_effort: str | None = None
    verbosity: str | None = None
    service_tier: str | None = None
    store: bool | None = None
    prediction: dict[str, Any] | None = None
    prompt_cache_key: str | None = None
    prompt_cache_retention: str | None = None
    prompt_cache_options: dict[str, Any] | None = None
    moderation: dict[str, Any] | None = None
    safety_identifier: str | None = None
    web_search_options: dict[str, Any] | None = None


_FIRST_PASSED = "top_p"
_FIELDS = tuple(ChatBody.model_fields)
_PASSED = frozenset(_FIELDS[_FIELDS.index(_FIRST_PASSED) :])


def to_call(body: ChatBody, *, caller: Caller, names: CallNames, policy: Policy | None) -> ChatCall:
    """Return what the request means.

    Raises:
        ApiError: 400, its fields contradict each other.
    """
    if body.stream_options is not None and not body.stream:
        raise bad_request("`stream_options` is only allowed when `stream` is true", param="stream_options")
    tools = _tools(body.tools or ())
    return ChatCall(
        messages=_messages(body.messages),
        tools=tools,
        tool_choice=_tool_choice(body, tools),
        parallel_tool_calls=body.parallel_tool_calls,
        response_format=_response_format(body.response_format),
        n=body.n or 1,
        temperature=body.temperature,
        max_tokens=_max_tokens(body),
        seed=body.seed,
        stop=(body.stop,) if isinstance(body.stop, str) else tuple(body.stop or ()),
        top_logprobs=_top_logprobs(body),
        options=_options(body),
        policy=policy,
        tenant=caller.tenant,
        account=caller.account,
        episode_id=names.episode_id,
        category=names.category,
        instance=names.instance,
    )


def _messages(turns: list[Turn]) -> tuple[Message, ...]:
    asked: set[str] = set()
    found = []
    for position, turn in enumerate(turns):
        if turn.tool_call_id is not None and turn.tool_call_id not in asked:
            raise bad_request(
                f"messages[{position}] answers the tool call {turn.tool_call_id[:100]!r}, which no earlier message "
                "made: put the assistant's message with its tool_calls before it",
                param=f"messages[{position}].tool_call_id",
            )
        text, parts = _content(turn.content, position) if turn.content else ("", ())
        calls: tuple[ToolCall, ...] = ()
        if turn.tool_calls:
            calls = tuple(
                ToolCall(call.id, call.function.name, call.function.arguments) for call in turn.tool_calls
            )
            asked.update(call.id for call in calls)
        found.append(
            Message(turn.role, text, calls, turn.tool_call_id or "", parts, _given(turn.model_extra))
        )
    return tuple(found)


def _given(fields: dict[str, Any] | None) -> dict[str, Any]:
    """Return the fields that are not null."""
    return {name: value for name, value in fields.items() if value is not None} if fields else {}


def _content(content: str | list[dict[str, Any]], turn: int) -> tuple[str, tuple[JsonObject, ...]]:
    """Return the text of a turn, and its parts where they say more than that."""
    if isinstance(content, str):
        return content, ()
    where = f"messages[{turn}].content"
    texts = []
    for position, part in enumerate(content):
        kind = part.get("type")
        if not isinstance(kind, str):
            raise bad_request(f"`{where}[{position}].type` is missing", param=f"{where}[{position}].type")
        if kind == "text":
            text = part.get("text")
            if not isinstance(text, str):
                raise bad_request(
                    f"`{where}[{position}].text` must be text", param=f"{where}[{position}].text"
                )
            texts.append(text)
    only_text = len(content) == 1 and content[0].keys() == {"type", "text"}
    return "\n".join(texts), () if only_text else tuple(content)


def _tools(bodies: list[ToolBody] | tuple[()]) -> ToolSet:
    tools = kept_tools(bodies, lambda: [_tool(body["function"]) for body in bodies])
    if len(tools.names) < len(tools):
        raise bad_request("two tools have the same name", param="tools")
    return tools


def _tool(body: FunctionBody) -> Tool:
    given = _given({**body})
    name, description, parameters = (
        given.pop(field, None) for field in ("name", "description", "parameters")
    )
    return Tool(name, description or "", parameters or {}, given)


def _tool_choice(body: ChatBody, tools: tuple[Tool, ...]) -> str:
    if not tools:
        for name in ("tool_choice", "parallel_tool_calls"):
            if getattr(body, name) is not None:
                raise bad_request(f"`{name}` is only allowed when `tools` are given", param=name)
        return ""
    if not isinstance(body.tool_choice, ChosenTool):
        return body.tool_choice or ""
    name = body.tool_choice.function.name
    if name not in {tool.name for tool in tools}:
        raise bad_request(f"`tool_choice` names {name[:100]!r}, which is not in `tools`", param="tool_choice")
    if name in ("auto", "none", "required"):
        raise bad_request(f"a tool named {name!r} cannot be chosen: rename it", param="tool_choice")
    return name


def _response_format(wanted: Mapping[str, Any] | None) -> JsonObject | None:
    kind = (wanted or {"type": "text"}).get("type")
    if kind == "text":
        return None
    if kind not in ("json_object", "json_schema"):
        raise bad_request(
            "`response_format.type` must be text, json_object or json_schema", param="response_format.type"
        )
    inner = (wanted or {}).get("json_schema")
    if kind == "json_schema" and not (
        isinstance(inner, dict)
        and isinstance(inner.get("name"), str)
        and isinstance(inner.get("schema", {}), dict)
    ):
        raise bad_request(
            '`response_format.json_schema` must be {"name": ..., "schema": {...}}',
            param="response_format.json_schema",
        )
    return wanted


def _max_tokens(body: ChatBody) -> int | None:
    if body.max_tokens is not None and body.max_completion_tokens is not None:
        raise bad_request(
            "`max_tokens` and `max_completion_tokens` cannot both be given: send the latter",
            param="max_tokens",
        )
    return body.max_completion_tokens or body.max_tokens


def _top_logprobs(body: ChatBody) -> int | None:
    if body.logprobs:
        return body.top_logprobs or 0
    if body.top_logprobs:
        raise bad_request("`top_logprobs` needs `logprobs`: true", param="top_logprobs")
    return None


def _options(body: ChatBody) -> dict[str, Any]:
    """Return what is passed on as it is."""
    found = {name: getattr(body, name) for name in body.model_fields_set & _PASSED}
    found |= body.model_extra or {}
    metadata = other_metadata(body.metadata)
    if metadata:
        found["metadata"] = metadata
    return _given(found)
