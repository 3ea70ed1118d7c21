"""What is asked of a model at a step, and how its answer is read: commands in words, or blocks of Python."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from icd.agreement import text_key
from icd.backends.base import ChatRequest, Completion
from icd.calls import Bill, PricedModel
from icd.code_prompting import STOP, compose_code, read_code
from icd.code_reading import CodeReader
from icd.decision import Candidate, DecisionContext
from icd.intent_agreement import AgreementKind, joined_intents
from icd.prompting import ACT, Prompt, PromptSettings, compose, compose_plan, read_step, with_cue
from icd.sampling import FAILED
from icd.strategy_use import NO_STRATEGIES
from icd_memory.retrieval import Excerpt

if TYPE_CHECKING:
    from icd.runtime_settings import RuntimeSettings

_FORMAT_TOKENS = 64
"""Kept free for what a chat format adds to the messages."""


def student_request(
    student: PricedModel,
    context: DecisionContext,
    excerpts: Sequence[Excerpt],
    tried: frozenset[str],
    settings: RuntimeSettings,
) -> tuple[ChatRequest, Prompt]:
    """Return what the student is asked for all samples of a step, and the prompt it is made of.

    Raises:
        ContextOverflowError: the step does not fit into the student's window.
    """
    prompt = _prompt(student, context, excerpts, settings.student_prompt, settings)
    request = ChatRequest(
        prompt.messages, settings.policy.n, settings.temperature, settings.answer_tokens(context.code), context.seed,
        STOP if context.code else ("\n\n",), prompt.cue, _choices(context, tried, settings), "" if context.code else ACT,
    )  # fmt: skip
    return request, prompt


def teacher_request(teacher: PricedModel, context: DecisionContext, settings: RuntimeSettings) -> ChatRequest:
    """Return what the teacher is asked at a step: the same, without excerpts and strategies.

    Raises:
        ContextOverflowError: the step does not fit into the teacher's window.
    """
    own = replace(context, strategies=NO_STRATEGIES)
    prompt = _prompt(teacher, own, (), settings.teacher_prompt, settings)
    return ChatRequest(
        prompt.messages, 1, settings.temperature, settings.answer_tokens(context.code), context.seed, (), prompt.cue,
        context.admissible if settings.constrain else None, "" if context.code else ACT,
    )  # fmt: skip


def plan_request(
    context: DecisionContext, excerpts: Sequence[Excerpt], settings: RuntimeSettings
) -> ChatRequest:
    """Return what is asked for an episode's plan."""
    prompt = compose_plan(context, excerpts, settings.student_prompt)
    return ChatRequest(
        prompt.messages, 1, settings.temperature, settings.max_tokens, context.seed, ("\n",), prompt.cue
    )


def sample_reader(
    context: DecisionContext,
    cue: str,
    verifier: PricedModel | None,
    bill: Bill,
    agreement: AgreementKind = "exact",
) -> Callable[[Sequence[Completion]], Sequence[Candidate] | Awaitable[Sequence[Candidate]]]:
    """Return what reads the student's samples of a step."""
    if context.code:
        return CodeReader(context, cue, verifier, bill).read

    def read(drawn: Sequence[Completion]) -> list[Candidate]:
        found = [
            Candidate("", None) if sample is FAILED else read_step(with_cue(cue, sample.text), context)
            for sample in drawn
        ]
        return joined_intents(found) if agreement == "intent" else found

    return read


def read_answer(answer: Completion, context: DecisionContext) -> Candidate:
    """Read one answer."""
    if context.code:
        return read_code(answer.text, cut_off=answer.finish == "length")
    return read_step(answer.text, context)


def _prompt(
    model: PricedModel,
    context: DecisionContext,
    excerpts: Sequence[Excerpt],
    shown: PromptSettings,
    settings: RuntimeSettings,
) -> Prompt:
    room = model.backend.capabilities.context_tokens - settings.answer_tokens(context.code) - _FORMAT_TOKENS
    if context.code:
        return compose_code(
            context, excerpts, shown, budget_tokens=room, count_tokens=model.backend.count_tokens
        )
    return compose(context, excerpts, shown, budget_tokens=room)


def _choices(
    context: DecisionContext, tried: frozenset[str], settings: RuntimeSettings
) -> tuple[str, ...] | None:
    if not settings.constrain or context.admissible is None:
        return None
    fresh = tuple(a for a in context.admissible if text_key(a) not in tried)
    return (fresh if settings.avoid_repeats else None) or context.admissible
