"""Composing what a model reads at one step, and reading what it answers. Pure functions.

Stable text comes first and what changes last, so that prompt caches hold: system, strategies, task and plan, history,
then this step's excerpts, the present state and the cue. Where the excerpts stand is a setting whose cost can be
measured. A prompt that does not fit loses excerpts from the least similar one, then strategies, then the oldest history;
what was cut is told. Excerpts and strategies are delimited data: nothing in them changes the system prompt or the format.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from icd.agreement import text_key
from icd.analogy import adapt
from icd.backends.base import Message
from icd.decision import Candidate, DecisionContext
from icd.errors import ContextOverflowError
from icd.strategy_use import NO_STRATEGIES, cut_name, framed
from icd_memory.retrieval import Excerpt
from icd_memory.strategy import Match
from icd_memory.trajectory import Step

Placement = Literal["after_history", "before_history", "sticky"]

THINK = "Think:"
ACT = "Action:"
PLAN = "Plan:"

_OURS = re.compile(rf"^([^\S\n]*(?:{THINK[:-1]}|{ACT[:-1]}|{PLAN[:-1]}|Task|Possible))[^\S\n]*:", re.M | re.I)
_BLANK = re.compile(r"\n[^\S\n]*(?:\n[^\S\n]*)+")

SYSTEM = (
    "You carry out a task by text commands, one at a time. At each turn write one line that begins with "
    f'"{THINK}" and says what you need and why, then one line that begins with "{ACT}" with exactly one command '
    "that is possible now."
)
SYSTEM_PLAN = f'Write a plan for the task in one line that begins with "{PLAN}".'


@dataclass(frozen=True, slots=True)
class PromptSettings:
    """What the composer shows."""

    placement: Placement = "after_history"
    history_steps: int | None = None
    """Latest steps of the history that are shown; None: all."""
    excerpt_before: int = 0
    """Steps shown before the matched one."""
    excerpt_after: int = 0
    """Steps shown after the matched one."""
    adapt_names: bool = True
    """Fill the present task's names into excerpts."""
    show_actions: bool = False
    """List the admissible actions in the prompt."""
    reasoning: bool = True
    """Ask for a line of reasoning before the action."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """A composed prompt."""

    messages: tuple[Message, ...]
    cue: str
    cut: tuple[str, ...] = ()


def compose(
    context: DecisionContext,
    excerpts: Sequence[Excerpt],
    settings: PromptSettings,
    *,
    budget_tokens: int | None = None,
    count_tokens: Callable[[str], int] = lambda text: len(text) // 4 + 1,
) -> Prompt:
    """Compose the prompt of a step; excerpts come best first and are shown best last, next to the present state.

    Raises:
        ContextOverflowError: task, state and system prompt alone exceed `budget_tokens`.
    """
    shown, advice = list(excerpts), list((context.strategies or NO_STRATEGIES).shown)
    history = list(context.history)
    if settings.history_steps is not None:
        history = history[len(history) - settings.history_steps :] if settings.history_steps else []
    cut: list[str] = []
    while True:
        text = _step_text(context, advice, shown, history, settings)
        if budget_tokens is None or count_tokens(SYSTEM + text) <= budget_tokens:
            break
        if shown:
            cut.append(f"excerpt {shown.pop().trajectory_id}")
        elif advice:
            cut.append(cut_name(advice.pop()))
        elif history:
            history.pop(0)
            cut.append(f"history step {context.step - len(history) - 1}")
        else:
            raise ContextOverflowError(
                f"the task and its present state need more than the window of {budget_tokens} tokens; "
                "use a model with a larger window"
            )
    messages = (Message("system", SYSTEM), Message("user", text))
    return Prompt(messages, THINK if settings.reasoning else ACT, tuple(cut))


def compose_plan(context: DecisionContext, excerpts: Sequence[Excerpt], settings: PromptSettings) -> Prompt:
    """Compose the prompt for the plan: similar tasks with their plans, then this task."""
    blocks = [framed(context.strategies.shown)] if context.strategies and context.strategies.shown else []
    for excerpt in reversed(excerpts):
        known = adapt(excerpt, context.goal, context.plan) if settings.adapt_names else excerpt
        blocks.append(f"Task: {known.goal}\n{PLAN} {known.plan}")
    blocks.append(f"Task: {context.goal}")
    return Prompt((Message("system", SYSTEM_PLAN), Message("user", "\n\n".join(blocks))), PLAN)


def read_step(text: str, context: DecisionContext) -> Candidate:
    """Read a model's answer: reasoning and action. Without an action line the answer is unreadable (key None)."""
    match = None
    for match in re.finditer(rf"^\s*{ACT}[ \t]*(.*?)[ \t]*$", text, re.MULTILINE | re.IGNORECASE):  # noqa: B007
        pass
    if match is None:
        action, reasoning = "", text.strip()
    else:
        action, reasoning = match.group(1), text[: match.start()].strip()
    reasoning = reasoning.removeprefix(THINK).strip()
    key = text_key(action)
    admissible = context.admissible is None or key in {text_key(a) for a in context.admissible}
    return Candidate(action, key, reasoning, text, admissible and key is not None)


def read_plan(text: str) -> str:
    """Return the plan in a model's answer: its first line, without the marker."""
    lines = [line.strip() for line in text.strip().splitlines() if line.strip()]
    return lines[0].removeprefix(PLAN).strip() if lines else ""


def with_cue(cue: str, text: str) -> str:
    """Put the cue before an answer that does not repeat it; one that begins with its action thought nothing."""
    begins = text.lstrip().lower()
    if begins.startswith((cue.lower(), ACT.lower(), "```")):
        return text
    return f"{cue}{text}"


def _step_text(
    context: DecisionContext,
    strategies: Sequence[Match],
    excerpts: Sequence[Excerpt],
    history: Sequence[Step],
    settings: PromptSettings,
) -> str:
    head = f"Task: {context.goal}" + (f"\n{PLAN} {context.plan}" if context.plan else "")
    past = "\n".join(f"> {step.action}\n{after}" for step, after in _with_results(history, context))
    examples = _examples(context, excerpts, settings)
    now = f"Task: {context.goal}\n{context.view or context.observation}"
    if settings.show_actions and context.admissible is not None:
        now += "\nPossible: " + "; ".join(context.admissible)
    if settings.placement == "after_history":
        order = [head if context.plan or past else "", past, examples, now]
    else:
        order = [examples, head if context.plan or past else "", past, now]
    return "\n\n".join(block for block in (framed(strategies), *order) if block)


def _with_results(history: Sequence[Step], context: DecisionContext) -> list[tuple[Step, str]]:
    """Pair each step with what was seen after it."""
    seen = [step.observation for step in history] + [context.observation]
    return list(zip(history, seen[1:], strict=True))


def _as_data(text: str) -> str:
    """Return a demonstrated text that cannot pass for a line of ours, or for the end of its block."""
    if "\n" not in text and ":" not in text:
        return text
    return _BLANK.sub("\n", _OURS.sub(r"\1 :", text))


def _examples(context: DecisionContext, excerpts: Sequence[Excerpt], settings: PromptSettings) -> str:
    blocks = []
    for excerpt in reversed(excerpts):
        known = adapt(excerpt, context.goal, context.plan) if settings.adapt_names else excerpt
        first = max(0, known.focus - settings.excerpt_before)
        steps = known.steps[first : known.focus + settings.excerpt_after + 1]
        lines: list[str] = []
        for number, step in enumerate(steps):
            lines += [f"Task: {_as_data(known.goal)}"] if number == 0 else []
            lines.append(_as_data(step.view or step.observation))
            if settings.reasoning and step.reasoning:
                lines.append(f"{THINK} {_as_data(step.reasoning)}")
            lines.append(f"{ACT} {_as_data(step.action)}")
        blocks.append("\n".join(lines))
    return "\n\n".join(blocks)
