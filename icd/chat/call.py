"""What goes in and out when a model call of somebody's agent is a step. No logic, no I/O.

A wire format (OpenAI, Anthropic, LangChain) turns its request into a `ChatCall` and a `ChatAnswer` into its reply.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from typing import Literal, Protocol, TypeAlias

from icd.backends.base import Completion, Delta, JsonObject, Message, Tool, Usage
from icd.cascade import Policy
from icd.chat.tool_set import tool_set
from icd.decision import ActedBy, Decision, Reason

Mode = Literal["observe", "shadow", "cascade"]
"""How a tenant's calls are answered: ``observe`` by the teacher, recorded; ``shadow`` by the teacher, with the student
sampled and scored beside it; ``cascade`` by the configured policy."""


@dataclass(frozen=True, slots=True)
class ChatCall:
    """One model call of an agent."""

    messages: tuple[Message, ...]
    tools: tuple[Tool, ...] = ()
    tool_choice: str = ""
    """As in `icd.backends.base.ChatRequest`."""
    parallel_tool_calls: bool | None = None
    response_format: JsonObject | None = field(default=None, hash=False)
    n: int = 1
    """Answers wanted."""
    temperature: float | None = None
    """None: the model's own. Samples that are compared are drawn at the student's configured temperature."""
    max_tokens: int | None = None
    """Limit of an answer; None: the configured maximum."""
    seed: int | None = None
    stop: tuple[str, ...] = ()
    top_logprobs: int | None = None
    options: JsonObject = field(default_factory=dict, hash=False)
    """Further fields, passed on as they are."""
    policy: Policy | None = None
    """Who takes the step; None: what the tenant's mode says."""
    tenant: str = "default"
    account: str = ""
    """The key that pays; empty: nobody in particular."""
    episode_id: str = ""
    """Named by the caller; empty: the conversation that this call goes on with, or a new one."""
    category: str = ""
    """What kind of agent this is; empty: by its system prompt and its tools."""
    instance: str = ""
    """Nothing that was recorded of the same instance is shown (the leak guard); empty: of the same episode."""

    def __post_init__(self) -> None:
        """Take the tools from an earlier call where they are the same, with what was worked out from them."""
        object.__setattr__(self, "tools", tool_set(self.tools))


@dataclass(frozen=True, slots=True)
class Settled:
    """Who answers, known before the first piece of the answer."""

    receipt_id: str
    episode_id: str
    step: int
    acted_by: ActedBy
    reason: Reason
    model: str
    """That answers."""
    cost: float
    """US dollars so far: the student's samples."""
    overhead: float
    """Seconds that we added so far: without waiting for models."""


@dataclass(frozen=True, slots=True)
class ChatAnswer:
    """A settled and recorded answer."""

    decision: Decision
    completions: tuple[Completion, ...]
    """As many as were wanted."""
    usage: Usage
    """Of the call that these completions come from; `decision.charges` has all calls."""
    model: str
    """That answered."""
    episode_id: str
    step: int
    overhead: float
    """Seconds that we added: without waiting for models."""


StreamItem: TypeAlias = Settled | Delta | ChatAnswer
"""A stream is one `Settled`, any number of `Delta`, and one `ChatAnswer` when the receipt is durable."""


@dataclass(frozen=True, slots=True)
class Feedback:
    """What somebody says about an episode or one decision of it."""

    id: str
    """Given twice, it counts once."""
    episode_id: str = ""
    """Or `decision_id`, whose episode it is then about."""
    decision_id: str = ""
    success: bool | None = None
    score: float | None = None
    comment: str = ""
    tenant: str = "default"
    account: str = ""
    """The key that says so."""


@dataclass(frozen=True, slots=True)
class FeedbackResult:
    """What came of it."""

    id: str
    episode_id: str
    new: bool
    """False: it had been given before; nothing changed."""
    status: Literal["recorded", "demonstration", "quarantine", "rejected"]
    """Where the episode's trajectory stands; `recorded`: it says nothing about the whole episode's success."""
    reason: str


class Answerer(Protocol):
    """What every wire format stands in front of: `icd.chat.runtime.ChatRuntime`."""

    async def answer(self, call: ChatCall) -> ChatAnswer:
        """Answer a call. The receipt is durable before this returns.

        Raises:
            BackendError: the acting model could not answer.
            BudgetError: the call cannot be paid.
            ContextOverflowError: the conversation does not fit the acting model's window.
            ConfigurationError: the call's policy needs a model that is not configured.
        """

    def stream(self, call: ChatCall) -> AsyncGenerator[StreamItem, None]:
        """Answer a call piece by piece; nothing is yielded before it is settled who answers. Raises as `answer`."""

    async def feedback(self, feedback: Feedback) -> FeedbackResult:
        """Record feedback; about a whole episode it decides whether that becomes a demonstration.

        Raises:
            UnknownEpisodeError: the tenant has no such episode or decision.
        """
