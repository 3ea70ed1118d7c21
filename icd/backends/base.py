"""What a backend is: something that answers chat requests.

A request says what the runtime wants; a backend that cannot do a part of it says so in `Capabilities` instead of
ignoring it. Backends know nothing of memory, policies or prices.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

Role = Literal["system", "user", "assistant"]


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation."""

    role: Role
    content: str


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """What the runtime asks of a model."""

    messages: tuple[Message, ...]
    n: int = 1
    """Samples drawn from one prompt."""
    temperature: float = 0.1
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


@dataclass(frozen=True, slots=True)
class ChatResponse:
    """What came back."""

    completions: tuple[Completion, ...]
    usage: Usage
    model: str
    seconds: float = 0.0


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
