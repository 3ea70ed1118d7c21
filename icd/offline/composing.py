"""What the student is asked at a step: the very request of the runtime, with the settings under which the trained student
will run. Needs no model: only its window counts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from icd.asking import plan_request, student_request
from icd.backends.base import Capabilities, ChatRequest, ChatResponse
from icd.backends.tokens import estimate_tokens
from icd.calls import PricedModel
from icd.cascade import Policy
from icd.code_prompting import fenced
from icd.decision import DecisionContext
from icd.errors import BackendReplyError, ConfigurationError
from icd.evidence import query_of
from icd.ledger import Budget
from icd.prices import Price
from icd.prompting import ACT, PLAN, THINK
from icd.runtime_settings import RuntimeSettings
from icd_memory.retrieval import Excerpt, Retriever

__all__ = ["Answer", "Asked", "Composer", "Window", "plan_answer", "step_answer"]


@dataclass(slots=True)
class Window:
    """A model of which only the window is known: prompts are composed for it, and it is never asked.

    Of blocks of code the tokens are estimated, where the runtime has the model's own tokenizer count them.
    """

    capabilities: Capabilities
    model: str = "window"

    def priced(self) -> PricedModel:
        """Return it as a model that costs nothing."""
        return PricedModel(self, Price.free(), Budget())

    async def complete(self, request: ChatRequest) -> ChatResponse:
        """Refuse."""
        raise BackendReplyError("this model only says how large its window is")

    def count_tokens(self, text: str) -> int:
        """Return an estimate."""
        return estimate_tokens(text)

    async def close(self) -> None:
        """Nothing to free."""


class Asked(NamedTuple):
    """A composed request."""

    request: ChatRequest
    excerpts: tuple[str, ...]
    """Ids of the demonstrations that are shown, best first."""


class Answer(NamedTuple):
    """An answer in the runtime's format."""

    text: str
    reasoning: str
    action: str


class Composer:
    """Composes requests as a runtime with these settings does."""

    def __init__(
        self, settings: RuntimeSettings, context_tokens: int, retriever: Retriever | None = None
    ) -> None:
        """Prepare; without a retriever nothing is demonstrated, whatever `settings.k` says."""
        self.settings = replace(settings, policy=Policy("student"), constrain=False)
        self.retriever = retriever if settings.k else None
        self.window = Window(Capabilities(context_tokens=context_tokens)).priced()

    def step(self, context: DecisionContext, first: DecisionContext | None = None) -> Asked:
        """Compose a step's request; `first` is the episode's first step, whose excerpts sticky placement keeps.

        Raises:
            ContextOverflowError: the step does not fit into the window.
            ConfigurationError: the prompts list the possible actions, which traces don't keep.
        """
        self._check(context)
        sticky = self.settings.student_prompt.placement == "sticky"
        excerpts = self._excerpts(first if sticky and first is not None else context)
        request, prompt = student_request(self.window, context, excerpts, frozenset(), self.settings)
        cut = sum(text.startswith("excerpt ") for text in prompt.cut)
        return Asked(request, _ids(excerpts[: len(excerpts) - cut]))

    def plan(self, context: DecisionContext) -> Asked:
        """Compose the request for an episode's plan."""
        retriever = self.retriever
        found = retriever.for_plan(query_of(context), self.settings.plan_k) if retriever else []
        return Asked(plan_request(context, found, self.settings), _ids(found))

    def _excerpts(self, context: DecisionContext) -> list[Excerpt]:
        return self.retriever.for_step(query_of(context), self.settings.k) if self.retriever else []

    def _check(self, context: DecisionContext) -> None:
        if self.settings.student_prompt.show_actions and not context.code:
            raise ConfigurationError(
                "this student's prompts list the possible actions, and traces don't keep those: set student.guided, "
                "or the kind of backend that will serve the trained student (--student)"
            )


def step_answer(reasoning: str, action: str, *, code: bool) -> Answer:
    """Return the answer that the runtime asks for: a line of reasoning, then the command or the block of code."""
    thought = " ".join(reasoning.split())
    written = fenced(action, "python") if code else f"{ACT} {action}"
    return Answer(f"{f'{THINK} {thought}'.rstrip()}\n{written}", thought, action)


def plan_answer(plan: str) -> Answer:
    """Return the answer that holds a plan."""
    line = " ".join(plan.split())
    return Answer(f"{PLAN} {line}", "", line)


def _ids(excerpts: Sequence[Excerpt]) -> tuple[str, ...]:
    return tuple(excerpt.trajectory_id for excerpt in excerpts)
