"""What may become a demonstration: pure functions of a trajectory.

Only an episode whose success somebody verified is shown to a student. What was not verified waits in
quarantine; what failed, or belongs to a test split, is kept and never shown.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from typing import Literal

from icd_memory.trajectory import Step, Trajectory

Verdict = Literal["demonstration", "quarantine", "rejected"]

NOTHING_HAPPENS = "nothing happens"
"""How an observation begins when the action before it did nothing (ALFWorld's words)."""


@dataclass(frozen=True, slots=True)
class Admission:
    """A verdict, why, and the trajectory as it is to be stored."""

    status: Verdict
    reason: str
    trajectory: Trajectory


def admit(
    trajectory: Trajectory,
    *,
    test_splits: Collection[str],
    is_known: Callable[[str], bool] = lambda content_hash: False,
    trusted_sources: Collection[str] | None = None,
    content: str | None = None,
) -> Admission:
    """Judge a trajectory and remove its steps that did nothing.

    `test_splits` names the splits whose episodes must never be shown; `is_known` says whether a demonstration
    with this content hash is there already; a source outside `trusted_sources` starts in quarantine (None:
    trust all). `content` is its content hash, of who knows it and gives it cleaned.
    """
    cleaned = trajectory if content else without_idle_steps(trajectory)
    status, reason = _verdict(
        cleaned, test_splits, lambda: is_known(content or cleaned.content_hash()), trusted_sources
    )
    return Admission(status, reason, cleaned)


def without_idle_steps(trajectory: Trajectory) -> Trajectory:
    """Return the trajectory without the steps whose action was answered by "Nothing happens".

    A step holds what was seen *before* it acted, so the answer to an action stands in the next step. That
    answer is removed with the action: the next step sees what was seen before the idle one.
    """
    kept: list[Step] = []
    for step in trajectory.steps:
        if kept and is_idle(step.observation):
            before = kept.pop()
            step = replace(step, observation=before.observation, view=before.view)
        kept.append(step)
    return trajectory if len(kept) == len(trajectory.steps) else replace(trajectory, steps=tuple(kept))


def is_idle(observation: str) -> bool:
    """Say whether an observation reports that the action before it did nothing."""
    return observation.strip().lower().startswith(NOTHING_HAPPENS)


def _verdict(
    trajectory: Trajectory,
    test_splits: Collection[str],
    is_known: Callable[[], bool],
    trusted_sources: Collection[str] | None,
) -> tuple[Verdict, str]:
    outcome = trajectory.outcome
    if trajectory.split in test_splits:
        return "rejected", f"of the test split {trajectory.split}"
    if not trajectory.steps:
        return "rejected", "no step"
    if outcome is None or outcome.verified_by is None:
        return "quarantine", "outcome not verified"
    if not outcome.success:
        return "rejected", f"failed, says the {outcome.verified_by}"
    if is_known():
        return "rejected", "a duplicate of a demonstration"
    if trusted_sources is not None and trajectory.provenance.source not in trusted_sources:
        return "quarantine", f"source {trajectory.provenance.source!r} is not trusted yet"
    return "demonstration", f"success, verified by {outcome.verified_by}"
