"""What a vector index over trajectories and their steps is.

An index holds one family of trajectories (tenant, environment, embedder) and knows no texts. It is a cache:
the store is the truth, and any index can be rebuilt from it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from icd_memory.embedding import Matrix, Vector

TrajectoryKey = Literal["goal", "category", "plan"]
StateKey = Literal["observation", "reasoning"]
Refs = npt.NDArray[np.int64]
Scores = npt.NDArray[np.float32]

TRAJECTORY_KEYS: tuple[TrajectoryKey, ...] = ("goal", "category", "plan")
STATE_KEYS: tuple[StateKey, ...] = ("observation", "reasoning")

ROUNDING = 1e-5
"""Totals nearer than this are equal: the last bits of a dot product depend on its place in memory."""


@dataclass(frozen=True, slots=True, eq=False)
class Entry:
    """What an index is given of one trajectory: vectors (zero where a text is blank), and what filters it."""

    id: str
    version: str
    """What the vectors were made from; a trajectory of another version is to be added anew."""
    instance: str
    split: str
    goal: Vector
    category: Vector
    plan: Vector
    observation: Matrix
    """One row a step; at least one step."""
    reasoning: Matrix
    """One row a step."""


@dataclass(frozen=True, slots=True)
class Exclusion:
    """Trajectories that must not be found: those of these instances or of these splits."""

    instances: frozenset[str] = frozenset()
    splits: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, eq=False)
class StepQuery:
    """What the steps of trajectories are compared with."""

    keys: Mapping[TrajectoryKey, Vector]
    state: Vector
    state_key: StateKey
    step_weight: float = 1.0
    """A step ranks by its trajectory's mean cosine over the keys plus this times its own cosine."""
    exclude: Exclusion = Exclusion()


class Hit(NamedTuple):
    """One found trajectory and the step of it that fits best."""

    trajectory_id: str
    step: int
    trajectory_score: float
    step_score: float


class VectorIndex(Protocol):
    """Search over the trajectories of one family. Safe for threads."""

    embedder_id: str

    def __len__(self) -> int:
        """Return the number of trajectories."""

    def contents(self) -> dict[str, str]:
        """Return the version of each trajectory by id."""

    def add(self, entries: Sequence[Entry]) -> None:
        """Add trajectories; those whose id is there already are left as they are."""

    def remove(self, ids: Iterable[str]) -> None:
        """Remove trajectories; unknown ids are ignored."""

    def find_trajectories(
        self, keys: Mapping[TrajectoryKey, Vector], k: int, exclude: Exclusion
    ) -> list[Hit]:
        """Return the k best trajectories by their mean cosine over `keys`, equals in the order they came.

        A hit's step is 0, with score 0.
        """

    def find_steps(self, query: StepQuery, k: int, candidates: int) -> list[Hit]:
        """Return the k best trajectories by their best step, equals in the order they came.

        An index that can't rank by both scores at once ranks by the keys first and looks at the steps of the
        best `candidates`.
        """

    def save(self) -> None:
        """Keep what was added in a form that opens quickly, where there is one. Raises VectorIndexError."""

    def close(self) -> None:
        """Free what the index holds."""
