"""What is asked of the memory and what it shows: queries, excerpts, the window around a step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from icd_memory.index import StateKey
from icd_memory.trajectory import Step, Trajectory


@dataclass(frozen=True, slots=True)
class Query:
    """The situation for which demonstrations are wanted. A blank text is not a key."""

    goal: str
    environment: str
    category: str = ""
    plan: str = ""
    state: str = ""
    """What the steps are compared with: see `state_text` for an observation, or the reasoning just
    written."""
    state_key: StateKey = "observation"
    tenant: str = "default"
    instance: str = ""
    """The environment instance being played: nothing from the same one is ever shown (the leak guard)."""
    exclude_splits: frozenset[str] = frozenset()
    """Splits that must not be shown, besides the memory's own test splits."""


class Excerpt(NamedTuple):
    """A window of a demonstration, or the whole of it for planning."""

    trajectory_id: str
    goal: str
    category: str
    plan: str
    steps: tuple[Step, ...]
    """The window."""
    focus: int
    """The place of the step that fits within `steps`."""
    step: int
    """The place of the step that fits within the whole trajectory, from 0."""
    trajectory_score: float
    """Mean cosine of the trajectory keys."""
    step_score: float
    """Cosine of the state key; 0 for planning."""
    similarity: float
    """How near: the mean of both scores for a step, the trajectory's score for planning."""
    source: str
    """Where the demonstration comes from (`Provenance.source`)."""


def window(trajectory: Trajectory, step: int, width: int) -> tuple[tuple[Step, ...], int]:
    """Return up to `width` steps on either side of a step, and the step's place among them."""
    start = max(0, step - width)
    return trajectory.steps[start : step + width + 1], step - start
