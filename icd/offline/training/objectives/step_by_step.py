"""Distilling step by step: the action, and why, as two tasks (arXiv 2305.02301).

The cue is the task's mark: after ``Action:`` the student learns the action alone, after ``Think:`` the reasoning alone.
Needs conversations whose answers carry both.
"""

from __future__ import annotations

import re
from typing import Any

from torch import Tensor

from icd.errors import ConfigurationError
from icd.offline.training.losses import step_by_step
from icd.offline.training.masks import mask_turns
from icd.offline.training.objectives.given import Given
from icd.offline.training.objectives.paired import Halves, PairedTrainer
from icd.offline.training.rows import Conversation, Turn
from icd.prompting import ACT, THINK

_BOTH = re.compile(rf"^{THINK}\s*(\S.*?)\s*^{ACT}(.*)", re.DOTALL | re.MULTILINE)


def prepare(given: Given) -> Any:
    """Return the trainer. Raises `ConfigurationError` where no answer has a reasoning beside its action."""
    rows = given.conversations()
    tasks = [both for row in rows for both in two_tasks(row)]
    if not tasks:
        raise ConfigurationError(
            f"step_by_step learns reasoning and action apart, and no answer in {given.config.data} has both: "
            f"collect traces with reasoning ({THINK} ... {ACT} ...), or take sft"
        )
    tokenizer, style = given.student.tokenizer, given.config.style
    made = [
        (mask_turns(action, tokenizer, style)[0], mask_turns(rationale, tokenizer, style)[0])
        for action, rationale in tasks
    ]
    alpha = given.config.step_by_step.alpha

    def loss(action: Halves, rationale: Halves) -> tuple[Tensor, dict[str, float]]:
        of_action, of_rationale = (
            -logs.sum() / learnt.sum().clamp(min=1) for logs, learnt in (action, rationale)
        )
        told = {"action_loss": float(of_action.detach()), "rationale_loss": float(of_rationale.detach())}
        return step_by_step(of_action, of_rationale, alpha), told

    return PairedTrainer(given, given.short_enough(made), loss)


def two_tasks(row: Conversation) -> list[tuple[Conversation, Conversation]]:
    """Return the action task and the rationale task of each learnt answer that has both."""
    found = []
    for number, turn in enumerate(row.messages):
        if not turn.learnt:
            continue
        last = number == len(row.messages) - 1
        texts = _texts(turn, row.reasoning if last else "")
        if texts is None:
            continue
        before = tuple(one.model_copy(update={"weight": 0.0}) for one in row.messages[:number])
        act, think = (turn.model_copy(update={"content": text}) for text in texts)
        think = think.model_copy(update={"tool_calls": ()})
        found.append((_task(row, before, act), _task(row, before, think)))
    return found


def _task(row: Conversation, before: tuple[Turn, ...], answer: Turn) -> Conversation:
    return Conversation(messages=(*before, answer), tools=row.tools)


def _texts(turn: Turn, reasoning: str) -> tuple[str, str] | None:
    """Return the texts of the action and of the rationale, each with its cue; None: one is missing."""
    if turn.tool_calls:
        why = reasoning or turn.text
        return ("", f"{THINK} {why}") if why.strip() else None
    if match := _BOTH.match(turn.text):
        return f"{ACT}{match.group(2)}", f"{THINK} {match.group(1)}"
    return (turn.text, f"{THINK} {reasoning}") if reasoning.strip() else None
