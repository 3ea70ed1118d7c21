"""Situations: single decisions that can be put to student and teacher again, read from the store's episodes.

Never one of a test split: what is learned from it would no longer be tested by it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from icd.chat.situation import CHAT
from icd.decision import DecisionContext
from icd.episode import step_seed
from icd.prompting import PromptSettings, compose
from icd_envs.base import Environment, Task
from icd_envs.errors import EnvsError
from icd_memory.rows import DecisionRow
from icd_memory.store import Store
from icd_memory.trajectory import Trajectory

Kind = Literal["step", "escalation", "failure", "made"]
"""An ordinary step; one that the teacher had to take; the last one of a failed episode; one that the teacher made up."""

_DOUBTS = frozenset({"disagreed", "invalid", "stuck", "unsupported"})
"""Why a step was the teacher's although the student was meant to take it."""
MOST_EPISODES = 500
_SEEN = 600
"""Characters."""
_SHOWN_STEPS = 6
"""Of the history, where a teacher reads a situation."""


@dataclass(frozen=True, slots=True)
class Situation:
    """A decision to be taken."""

    id: str
    context: DecisionContext
    kind: Kind = "step"
    reference: str = ""
    """What the teacher did there; empty: it was not asked yet."""
    reasoning: str = ""
    """Of the reference."""
    student: str = ""
    """What most of the student's samples were, where it was asked."""
    won: bool = False
    """The episode succeeded."""
    decision: str = ""
    """The id of its receipt."""

    @property
    def text(self) -> str:
        """What a teacher reads of it."""
        shown = PromptSettings(history_steps=_SHOWN_STEPS)
        return compose(self.context, (), shown).messages[-1].content

    @property
    def key(self) -> str:
        """What it is compared with scenarios by: its task and the beginning of what is seen, as
        `icd_memory.strategies.StrategyLibrary.find` does."""
        context = self.context
        task = ": ".join(filter(str.strip, (context.category, context.goal)))
        return f"{task}\n{(context.view or context.observation).strip()[:_SEEN]}".strip()


def newest_episodes(store: Store, environment: str, *, tenant: str = "default") -> list[str]:
    """Return the ids of the environment's newest episodes, in the order these came."""
    return [row.id for row in store.listing(tenant=tenant, environment=environment)][-MOST_EPISODES:]


def recorded(
    store: Store, episodes: Sequence[str], *, test_splits: Collection[str] = ()
) -> Iterator[Situation]:
    """Yield the situations of episodes, in their order."""
    found = store.trajectories_by_id(episodes)
    for trajectory in (found[id] for id in episodes if id in found):
        if trajectory.split not in test_splits:
            chat = trajectory.environment == CHAT
            yield from situations_of(
                trajectory, store.decisions(trajectory.task_id if chat else trajectory.id)
            )


def situations_of(trajectory: Trajectory, receipts: Sequence[DecisionRow] = ()) -> Iterator[Situation]:
    """Yield an episode's steps as situations; the receipts tell which of them were escalated."""
    by_step = {row.step: row for row in receipts}
    won = bool(trajectory.outcome and trajectory.outcome.success)
    lost = trajectory.outcome is not None and not won
    for number, step in enumerate(trajectory.steps):
        row = by_step.get(number)
        body = row.body if row is not None and row.body.get("action") == step.action else {}
        teachers = step.actor == "teacher"
        escalated = teachers and body.get("reason") in _DOUBTS
        last = number == len(trajectory.steps) - 1
        shadow = body.get("shadow") or {}
        yield Situation(
            id=f"{trajectory.id}#{number}",
            context=_context(trajectory, number, code=bool(body.get("code"))),
            kind="escalation" if escalated else "failure" if lost and last and not teachers else "step",
            reference=step.action if teachers else shadow.get("action", ""),
            reasoning=step.reasoning if teachers else shadow.get("reasoning", ""),
            student=_first_action(body) if escalated else "" if teachers else step.action,
            won=won,
            decision=row.id if row is not None and body else "",
        )


def made_up(text: str, environment: str) -> Situation:
    """Return a situation that the teacher made up."""
    name = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:12]
    context = DecisionContext(goal=text, category="", observation="", environment=environment)
    return Situation(f"made-up#{name}", context, "made")


def with_actions(situation: Situation, trajectory: Trajectory, world: Environment) -> Situation:
    """Return a situation with the actions that were open in it, which records do not tell: its episode is acted again
    up to there. As it is, where the world does not answer in the same way."""
    steps = trajectory.steps
    at = situation.context.step
    try:
        result = world.reset(_task(trajectory))
        for step in steps[:at]:
            if result.done or result.observation != step.observation:
                return situation
            result = world.step(step.action)
    except EnvsError:
        return situation
    if result.done or result.observation != steps[at].observation:
        return situation
    context = replace(situation.context, admissible=result.actions.admissible, code=result.actions.code)
    return replace(situation, context=context)


def _first_action(body: dict[str, object]) -> str:
    samples = body.get("samples")
    first = samples[0] if isinstance(samples, list) and samples else {}
    return str(first.get("action", "")) if isinstance(first, dict) else ""


def _context(trajectory: Trajectory, number: int, *, code: bool) -> DecisionContext:
    step = trajectory.steps[number]
    return DecisionContext(
        goal=trajectory.goal,
        category=trajectory.category,
        observation=step.observation,
        plan=trajectory.plan,
        view=step.view,
        history=trajectory.steps[:number],
        code=code,
        environment=trajectory.environment,
        instance=trajectory.instance,
        tenant=trajectory.tenant,
        episode_id=trajectory.id,
        step=number,
        seed=step_seed(trajectory.task_id, 0, number),
    )


def _task(trajectory: Trajectory) -> Task:
    return Task(
        trajectory.task_id, trajectory.environment, trajectory.split, trajectory.goal, trajectory.category,
        trajectory.instance,
    )  # fmt: skip
