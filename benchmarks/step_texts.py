"""Real step texts for the retrieval benchmark: households played by their expert, kept in a file between
runs."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from icd_envs.base import Environment, Task
from icd_envs.household.suite import HouseholdSuite
from icd_memory.codec import trajectory_from_json, trajectory_to_json
from icd_memory.schema import dump_json
from icd_memory.trajectory import Outcome, Provenance, Step, Trajectory

_PROVENANCE = Provenance("benchmark", "expert", datetime(2026, 1, 1, tzinfo=UTC))
_NAME = re.compile(r"\b([a-z]+)( \d+)?\b")


def play(world: Environment, task: Task) -> Trajectory:
    """Return the expert's episode of a task."""
    seen = world.reset(task)
    expert = world.expert()
    if expert is None:
        raise ValueError(f"{task.environment} has no expert")
    plan = expert.plan()
    steps = []
    while not seen.done:
        move = expert.move()
        steps.append(Step(seen.observation, move.action, move.reasoning, seen.view))
        seen = world.step(move.action)
    return Trajectory(
        id=task.id,
        environment=task.environment,
        task_id=task.id,
        instance=task.instance,
        split=task.split,
        goal=task.goal,
        category=task.category,
        plan=plan,
        steps=tuple(steps),
        outcome=Outcome(seen.won, float(seen.won), "environment"),
        provenance=_PROVENANCE,
    )


def played(split: str, steps: int, folder: Path | None = None) -> list[Trajectory]:
    """Return the expert's episodes in a split, until they have `steps` steps; from `folder` if it has
    them."""
    file = folder / f"household-{split}-{steps}.jsonl" if folder is not None else None
    if file is not None and file.exists():
        with file.open(encoding="utf-8") as lines:
            return [trajectory_from_json(json.loads(line)) for line in lines]
    suite = HouseholdSuite()
    world = suite.environment()
    found: list[Trajectory] = []
    count = 0
    while count < steps:
        found.append(play(world, suite.task(f"{suite.name}/{split}/{len(found):06d}")))
        count += len(found[-1].steps)
    if file is not None:
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("w", encoding="utf-8") as out:
            out.writelines(dump_json(trajectory_to_json(t)) + "\n" for t in found)
    return found


def renamed(trajectories: list[Trajectory], steps: int) -> Iterator[Trajectory]:
    """Yield the trajectories, then copies of them about other things in other places, up to `steps` steps.

    A copy gives a tenth of the things and places each other's names, in all texts that are searched by. So
    there are about as many distinct goals, plans, situations and reasonings as in as many played steps.
    """
    names = _entity_names(trajectories)
    count = 0
    copy = 0
    while True:
        rng = random.Random(copy)
        chosen = rng.sample(names, max(2, len(names) // 10))
        others = dict(zip(chosen, chosen[1:] + chosen[:1], strict=True))
        for trajectory in trajectories:
            if count >= steps:
                return
            count += len(trajectory.steps)
            yield _renamed(trajectory, others, copy) if copy else trajectory
        copy += 1


def _entity_names(trajectories: list[Trajectory]) -> list[str]:
    """Return the nouns that stand before a number somewhere: things and places."""
    found = {
        match.group(1)
        for trajectory in trajectories[:300]
        for step in trajectory.steps
        for match in _NAME.finditer(step.observation)
        if match.group(2)
    }
    return sorted(found)


def _renamed(trajectory: Trajectory, names: dict[str, str], copy: int) -> Trajectory:
    def new(text: str) -> str:
        return _NAME.sub(
            lambda match: names.get(match.group(1), match.group(1)) + (match.group(2) or ""), text
        )

    return replace(
        trajectory,
        id=f"{trajectory.id}/{copy}",
        instance=f"{trajectory.instance}/{copy}",
        goal=new(trajectory.goal),
        plan=new(trajectory.plan),
        steps=tuple(
            replace(
                step,
                action=new(step.action),
                reasoning=new(step.reasoning),
                view=new(step.view),
            )
            for step in trajectory.steps
        ),
    )
