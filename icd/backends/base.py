"""What a backend is: something that answers chat requests.

A request says what the runtime wants; a backend that cannot do a part of it says so in `Capabilities` instead of
ignoring it. Backends know nothing of memory, policies or prices.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, runtime_checkable

Role = Literal["system", "developer", "user", "assistant", "tool"]
JsonObject = Mapping[str, Any]
"""JSON data whose shape is the protocol's business, not ours; never changed in place."""


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call that a model wants made."""

    id: str
    name: str
    arguments: str
    """JSON, as the model wrote it: it may not be valid."""


@dataclass(frozen=True, slots=True)
class Tool:
    """A function that a model may call."""

    name: str
    description: str = ""
    parameters: JsonObject = field(default_factory=dict, hash=False)
    """JSON schema of its arguments."""
    extra: JsonObject = field(default_factory=dict, hash=False)
    """Other fields of the function (such as ``strict``), passed on as they are."""


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation."""

    role: Role
    content: str
    """Its text; empty for a turn that only calls tools."""
    tool_calls: tuple[ToolCall, ...] = ()
    """Of an assistant's turn."""
    tool_call_id: str = ""
    """Of a tool's turn: the call that it answers."""
    parts: tuple[JsonObject, ...] = field(default=(), hash=False)
    """Content that is more than text (images, sound), as OpenAI's content parts; sent instead of `content`."""
    extra: JsonObject = field(default_factory=dict, hash=False)
    """Other fields of the turn (such as ``name``), passed on as they are."""


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """What the runtime asks of a model."""

    messages: tuple[Message, ...]
    n: int = 1
    """Samples drawn from one prompt."""
    temperature: float | None = 0.1
    """None: the model's own."""
    max_tokens: int = 128
    """Limit of each sample, in tokens."""
    seed: int | None = None
    stop: tuple[str, ...] = ()
    cue: str = ""
    """How the answer begins (e.g. ``Action:``). A backend that can continue a text starts right after it; others leave
    it out, and the answer may repeat it."""
    choices: tuple[str, ...] | None = None
    """If given, the answer's last line (after `choice_cue`) must be one of these, where the backend can enforce it."""
    choice_cue: str = ""
    """The text that stands before the choice, e.g. ``Action:``. Before it the model may write one line of free text when
    `cue` differs from it."""
    tools: tuple[Tool, ...] = ()
    """What the model may call instead of answering, or besides."""
    tool_choice: str = ""
    """``auto``, ``none``, ``required``, or the name of the tool that must be called; empty: the model's default."""
    parallel_tool_calls: bool | None = None
    """Whether one answer may call several tools; None: the model's default."""
    response_format: JsonObject | None = field(default=None, hash=False)
    """OpenAI's ``response_format``: the answer is JSON, by a schema if one is given."""
    top_logprobs: int | None = None
    """Log-probabilities of the tokens are wanted, with so many alternatives (0: none); None: not wanted."""
    options: JsonObject = field(default_factory=dict, hash=False)
    """Further fields of OpenAI's chat request (``top_p``, ``logit_bias``, ...), passed on as they are."""


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one request, as the provider bills them."""

    input_tokens: int = 0
    """All prompt tokens, cached ones included; a prompt shared by n samples counts once if it is billed once."""
    cached_tokens: int = 0
    output_tokens: int = 0
    """Over all samples."""
    requests: int = 1
    estimated: bool = False
    """The endpoint did not say; counted here."""

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            self.input_tokens + other.input_tokens,
            self.cached_tokens + other.cached_tokens,
            self.output_tokens + other.output_tokens,
            self.requests + other.requests,
            self.estimated or other.estimated,
        )


@dataclass(frozen=True, slots=True)
class Completion:
    """One sample."""

    text: str
    finish: str = "stop"
    logprob: float | None = None
    """Sum over the sample's tokens, natural logarithm; None where the backend does not say."""
    tool_calls: tuple[ToolCall, ...] = ()
    logprobs: JsonObject | None = field(default=None, hash=False)
    """OpenAI's ``logprobs`` object, where it was asked for and the backend has it."""
    extra: JsonObject = field(default_factory=dict, hash=False)
    """Other fields of the answer's message (such as ``refusal``), passed on as they are."""


@dataclass(frozen=True, slots=True)
class ChatResponse:
    """What came back."""

    completions: tuple[Completion, ...]
    usage: Usage
    model: str
    seconds: float = 0.0
    failures: tuple[str, ...] = ()
    """Codes of the errors after which it was asked again."""


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a backend can do beyond answering once."""

    shared_prompt: bool = False
    """`n` samples are billed for one prompt: then one request is made, else one by one."""
    constrained: bool = False
    """It enforces `ChatRequest.choices`."""
    context_tokens: int = 8192
    seeded: bool = False
    """The same request and seed give the same answer."""
    tools: bool = False
    """It understands `ChatRequest.tools` and turns with tool calls."""


class Backend(Protocol):
    """Answers chat requests."""

    model: str
    """The name used in prices and receipts."""
    capabilities: Capabilities

    async def complete(self, request: ChatRequest) -> ChatResponse:
        """Answer.

        Raises:
            BackendError: no answer within the deadline and retries; see `icd.errors`.
        """

    def count_tokens(self, text: str) -> int:
        """Return the number of tokens of `text`, estimated where the tokenizer is not known."""

    async def close(self) -> None:
        """Free connections and memory."""


@dataclass(frozen=True, slots=True)
class Location:
    """Who answers, and where, for traces."""

    provider: str
    """As OpenTelemetry's conventions name it, where they do."""
    host: str = ""
    """Empty: not known, or none."""
    port: int = 0
    in_process: bool = False


@runtime_checkable
class LocatedBackend(Backend, Protocol):
    """A backend that knows who answers; of others it is taken that this process does."""

    location: Location


@dataclass(frozen=True, slots=True)
class ToolCallDelta:
    """A piece of a tool call as it is written."""

    index: int
    """Which of the answer's calls."""
    id: str = ""
    """Given with its first piece, as the name is."""
    name: str = ""
    arguments: str = ""
    """To be appended."""


@dataclass(frozen=True, slots=True)
class Delta:
    """A piece of an answer as it is written."""

    text: str = ""
    """To be appended."""
    tool_calls: tuple[ToolCallDelta, ...] = ()
    index: int = 0
    """Which of the n samples."""
    logprobs: JsonObject | None = field(default=None, hash=False)
    """Of this piece's tokens."""
    extra: JsonObject = field(default_factory=dict, hash=False)
    """Other fields of the piece, passed on as they are."""


@runtime_checkable
class StreamingBackend(Backend, Protocol):
    """A backend that can show an answer while it is written."""

    def stream(self, request: ChatRequest) -> AsyncGenerator[Delta | ChatResponse, None]:
        """Yield the pieces of the answer, and at the end the whole `ChatResponse`, once.

        Raises:
            BackendError: before the first piece as `complete`, with retries; after it without any, since what was
                shown cannot be taken back. `BackendError.usage` says what it used nevertheless, estimated.
        """
