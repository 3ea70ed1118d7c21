"""Entries of an index, and the slow and obvious search that the fast ones are compared with."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from icd_memory.index import Entry, Exclusion, Hit, StepQuery, TrajectoryKey

DIMENSION = 16


def unit(rng: np.random.Generator, *shape: int) -> np.ndarray:
    rows = rng.standard_normal((*shape, DIMENSION)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


def make_entries(count: int, seed: int = 0, *, distinct: int | None = None, name: str = "t") -> list[Entry]:
    """Entries with 1 to 6 steps; `distinct` vectors for all texts, so that there are ties; None: all
    differ."""
    rng = np.random.default_rng(seed)
    pool = unit(rng, distinct) if distinct else None

    def some(rows: int) -> np.ndarray:
        return unit(rng, rows) if pool is None else pool[rng.integers(len(pool), size=rows)]

    entries = []
    for number in range(count):
        steps = int(rng.integers(1, 7))
        goal, category, plan = some(3)
        entries.append(
            Entry(
                id=f"{name}{number}",
                version=f"v{number}",
                instance=f"i{number % 7}",
                split="train" if number % 5 else "dev",
                goal=goal,
                category=category,
                plan=plan if number % 4 else np.zeros(DIMENSION, dtype=np.float32),
                observation=some(steps),
                reasoning=some(steps),
            )
        )
    return entries


def make_query(seed: int, entries: Sequence[Entry], **changes: object) -> StepQuery:
    """A query near the entries' vectors, by some of the keys."""
    rng = np.random.default_rng(seed)
    near = entries[int(rng.integers(len(entries)))]
    names: list[TrajectoryKey] = ["goal", "category", "plan"][: int(rng.integers(1, 4))]  # type: ignore[assignment]
    fields: dict[str, object] = {
        "keys": {name: getattr(near, name) for name in names},
        "state": near.observation[0] if seed % 2 else unit(rng, 1)[0],
        "state_key": "observation" if seed % 3 else "reasoning",
        "step_weight": float([1, 3, 0.5][seed % 3]),
        "exclude": Exclusion(
            frozenset({near.instance}) if seed % 2 else frozenset(), frozenset({"dev"} if seed % 5 else ())
        ),
    }
    return StepQuery(**{**fields, **changes})  # type: ignore[arg-type]


def allowed(entry: Entry, exclude: Exclusion) -> bool:
    return entry.instance not in exclude.instances and entry.split not in exclude.splits


def reference_steps(entries: Sequence[Entry], query: StepQuery, k: int) -> list[Hit]:
    """Every step of every trajectory, one after the other."""
    found = []
    for order, entry in enumerate(entries):
        if allowed(entry, query.exclude):
            score = float(np.mean([getattr(entry, key) @ vector for key, vector in query.keys.items()]))
            steps = [float(row @ query.state) for row in getattr(entry, query.state_key)]
            best = max(range(len(steps)), key=lambda step: (round(steps[step], 5), -step))
            total = round(score + query.step_weight * steps[best], 4)
            found.append((-total, order, Hit(entry.id, best, score, steps[best])))
    return [hit for _, _, hit in sorted(found)[:k]]


def reference_trajectories(entries: Sequence[Entry], query: StepQuery, k: int) -> list[Hit]:
    found = []
    for order, entry in enumerate(entries):
        if allowed(entry, query.exclude):
            score = float(np.mean([getattr(entry, key) @ vector for key, vector in query.keys.items()]))
            found.append((-round(score, 4), order, Hit(entry.id, 0, score, 0.0)))
    return [hit for _, _, hit in sorted(found)[:k]]


def totals(hits: Sequence[Hit], weight: float = 0.0) -> list[float]:
    return [hit.trajectory_score + weight * hit.step_score for hit in hits]


def assert_same(
    found: Sequence[Hit], wanted: Sequence[Hit], query: StepQuery, all_of: Sequence[Entry]
) -> None:
    """Same totals; each hit is a real trajectory with its own scores, and where totals differ, the same
    one."""
    weight = query.step_weight
    np.testing.assert_allclose(totals(found, weight), totals(wanted, weight), atol=1e-4)
    every = {hit.trajectory_id: hit for hit in reference_steps(all_of, query, len(all_of))}
    assert len({hit.trajectory_id for hit in found}) == len(found)
    for hit in found:
        true = every[hit.trajectory_id]
        if wanted[0].step_score or hit.step_score:
            np.testing.assert_allclose(hit.step_score, true.step_score, atol=1e-4)
        np.testing.assert_allclose(hit.trajectory_score, true.trajectory_score, atol=1e-4)
