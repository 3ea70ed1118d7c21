"""Runs whose episodes are written down rather than played: for statistics of what was played."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from icd.benchmark.conditions import Conditions, Seat
from icd.benchmark.methods import MethodDefaults
from icd.runtime import RuntimeSettings
from icd_memory.rows import DecisionRow, EpisodeRow, LedgerRow, RunRow
from icd_memory.store import Store

NOW = datetime(2026, 1, 1, tzinfo=UTC)
CONDITIONS: dict[str, Any] = Conditions(
    environment="household",
    options={},
    split="test",
    max_steps=10,
    seed=0,
    student=Seat("openai", "small", {}, {}),
    teacher=Seat("openai", "large", {}, {}),
    runtime=RuntimeSettings(),
    defaults=MethodDefaults(),
    embedder="hashing",
    memory="abc",
).to_json()


@dataclass(frozen=True)
class Moment:
    """A step as it is written down."""

    samples: Sequence[str | None] = ("go",)
    action: str = "go"
    actor: str = "student"
    reason: str = "policy"
    shadow: str | None = None


def add_run(store: Store, run_id: str, **changes: Any) -> dict[str, Any]:
    """Write a run down; returns its conditions."""
    conditions = {**CONDITIONS, **changes}
    store.add_run(RunRow(run_id, {"conditions": conditions, "about": {}}, NOW))
    return conditions


def add_episode(
    store: Store,
    run_id: str,
    method: str,
    task: str,
    *,
    won: bool,
    cost: float,
    steps: Sequence[Moment] | int = 5,
    policy: str = "student",
    goal: str = "put a mug on a desk",
    category: str = "put",
    seed: int = 0,
) -> None:
    """Write a finished episode down, its steps and its bill."""
    moments = (
        [Moment(actor="teacher" if method == "teacher" else "student")] * steps
        if isinstance(steps, int)
        else steps
    )
    actors = [moment.actor for moment in moments]
    outcome = {
        "won": won, "score": float(won), "steps": len(moments), "steps_by": {a: actors.count(a) for a in set(actors)},
        "goal": goal, "category": category, "instance": task, "code": False,
    }  # fmt: skip
    id = f"{run_id}/{method}/{task}/{seed}"
    store.add_episode(EpisodeRow(id, run_id, task, method, seed, "done", NOW, outcome))
    store.add_ledger(
        [LedgerRow(id, run_id, "student", "small", 100, 10, 5, cost, episode_id=id)] if cost else []
    )
    for step, moment in enumerate(moments):
        body = {
            "samples": [{"action": key or "", "key": key} for key in moment.samples],
            "action": moment.action,
            "acted_by": moment.actor,
            "reason": moment.reason,
            "policy": policy,
            "shadow": None if moment.shadow is None else {"action": moment.shadow, "key": moment.shadow},
        }
        store.add_decision(DecisionRow(f"{id}/{step}", id, step, body, NOW))
