"""Trajectories to play with."""

from __future__ import annotations

from datetime import UTC, datetime

from icd_memory.trajectory import Outcome, Provenance, Step, Trajectory

NOW = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)


def trajectory(
    id: str = "t1",
    *,
    goal: str = "put an apple in the fridge",
    category: str = "put",
    plan: str = "find it, take it, put it",
    steps: int = 3,
    **changes: object,
) -> Trajectory:
    """A trajectory whose texts are told apart by its id."""
    made = tuple(
        Step(
            observation=f"{id} sees thing {number}",
            action=f"take thing {number}",
            reasoning=f"{id} thinks of {number}",
            view=f"Here: place {number} of {id}",
        )
        for number in range(steps)
    )
    fields: dict[str, object] = {
        "id": id,
        "environment": "household",
        "task_id": f"train/{id}",
        "instance": f"house of {id}",
        "split": "train",
        "goal": goal,
        "category": category,
        "plan": plan,
        "steps": made,
        "outcome": Outcome(True, 1.0, "environment"),
        "provenance": Provenance("tests", "expert", NOW),
    }
    return Trajectory(**{**fields, **changes})  # type: ignore[arg-type]
