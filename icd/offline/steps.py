"""Rows from episodes whose actions are commands or blocks of code: composed as the runtime asks, answered as it reads."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, Literal

from icd.agreement import text_key
from icd.backends.openai_wire import message_json
from icd.code_agreement import action_key
from icd.errors import ContextOverflowError
from icd.offline.composing import Answer, Asked, Composer, plan_answer, step_answer
from icd.offline.examples import Example, Kind, Origin, Pair, row_id
from icd.offline.traces import Trace, contexts_of
from icd.runtime import PLAN_STEP
from icd_memory.trajectory import Actor, Step

__all__ = ["examples", "pairs"]


def examples(trace: Trace, composer: Composer, left_out: Counter[str]) -> Iterator[Example]:
    """Yield a row for each step of an episode, and one for its plan where the teacher made it.

    `left_out` counts steps without a row, by reason.
    """
    trajectory, steps = trace.trajectory, trace.trajectory.steps
    contexts = contexts_of(trajectory, steps, trace.episode, code=trace.code)
    taught = all(step.actor == "teacher" for step in steps)
    if taught and trajectory.plan and trace.won:
        asked = composer.plan(contexts[0])
        yield _example(trace, "plan", asked, plan_answer(trajectory.plan), PLAN_STEP, "")
    for number, (step, context) in enumerate(zip(steps, contexts, strict=True)):
        kind = _kind(step.actor, taught)
        if kind is None or not step.action.strip():
            left_out["without an answer of a model"] += 1
            continue
        try:
            asked = composer.step(context, contexts[0])
        except ContextOverflowError:
            left_out["longer than the window"] += 1
            continue
        answer = step_answer(step.reasoning, step.action, code=trace.code)
        yield _example(trace, kind, asked, answer, number, trace.decisions[number])


def pairs(trace: Trace, composer: Composer, left_out: Counter[str]) -> Iterator[Pair]:
    """Yield the steps at which teacher and student would have done different things, by the receipts.

    Where the student's action was a part of a success it is never the worse one, and neither is the teacher's the better
    one where it was a part of a failure.
    """
    steps = tuple(
        Step(body["observation"], body["action"], body["reasoning"], body["view"], body["acted_by"])
        for body in (row.body for row in trace.receipts)
    )
    contexts = contexts_of(trace.trajectory, steps, trace.episode, code=trace.code)
    for row, context in zip(trace.receipts, contexts, strict=True):
        better, worse = _judged(row.body, trace.won, trace.code)
        if better is None or not worse:
            continue
        try:
            asked = composer.step(context, contexts[0])
        except ContextOverflowError:
            left_out["longer than the window"] += 1
            continue
        for answer in worse:
            yield _pair(trace, asked, better, answer, row.step, row.id)


def _judged(body: dict[str, Any], won: bool, code: bool) -> tuple[Answer | None, list[Answer]]:
    """Return the teacher's answer at a step, and those of the student that it is to be preferred to."""
    own = {"action": body["action"], "reasoning": body["reasoning"]}
    if won and body["acted_by"] == "teacher":
        taught, students = own, body["samples"]
    elif not won and body["acted_by"] == "student" and body["shadow"] is not None:
        taught, students = body["shadow"], [own]
    else:
        return None, []
    key = _key(taught["action"], code)
    if key is None:
        return None, []
    others = {_key(sample["action"], code): sample for sample in reversed(students)}
    worse = [
        step_answer(sample["reasoning"], sample["action"], code=code)
        for found, sample in reversed(others.items())
        if found not in (None, key)
    ]
    return step_answer(taught["reasoning"], taught["action"], code=code), worse


def _key(action: str, code: bool) -> str | None:
    return action_key(action) if code else text_key(action)


def _kind(actor: Actor, taught: bool) -> Kind | None:
    match actor:
        case "teacher":
            return "demonstration" if taught else "escalated"
        case "student":
            return "student"
    return None


def _example(trace: Trace, kind: Kind, asked: Asked, answer: Answer, step: int, decision: str) -> Example:
    turns = [*_prompt(asked), {"role": "assistant", "content": answer.text, "weight": 1}]
    return Example(
        id=row_id("example", turns),
        **about(trace, asked.excerpts, asked.request.cue, step, decision),
        kind=kind,
        won=trace.won,
        messages=tuple(turns),
        reasoning=answer.reasoning,
        action=answer.action,
    )


def _pair(trace: Trace, asked: Asked, better: Answer, worse: Answer, step: int, decision: str) -> Pair:
    prompt = _prompt(asked)
    kind: Literal["escalated", "shadow"] = "escalated" if trace.won else "shadow"
    return Pair(
        id=row_id("pair", prompt, better.text, worse.text),
        **about(trace, asked.excerpts, asked.request.cue, step, decision),
        kind=kind,
        prompt=tuple(prompt),
        chosen=({"role": "assistant", "content": better.text},),
        rejected=({"role": "assistant", "content": worse.text},),
    )


def about(trace: Trace, excerpts: Sequence[str], cue: str, step: int, decision: str) -> dict[str, Any]:
    """Return what a row says about its step."""
    trajectory = trace.trajectory
    origin = Origin(
        trajectory=trajectory.id,
        episode=trace.episode,
        step=step,
        decision=decision,
        source=trajectory.provenance.source,
        producer=trajectory.provenance.producer,
    )
    return {
        "cue": cue,
        "environment": trajectory.environment,
        "category": trajectory.category,
        "task": trajectory.task_id,
        "groups": (trace.group,),
        "origins": (origin,),
        "excerpts": tuple(excerpts),
    }


def _prompt(asked: Asked) -> list[dict[str, Any]]:
    return [message_json(message) for message in asked.request.messages]
