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


@dataclass(frozen=True, slots=True, eq=False)
class Entry:
    """What an index is given of one trajectory: vectors (zero where a text is blank), and what filters it."""

    id: str
    content_hash: str
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


class Ranked(NamedTuple):
    """Trajectories and their scores. A ref names a trajectory in this index while it is open."""

    refs: Refs
    scores: Scores


class BestSteps(NamedTuple):
    """The best step of each asked trajectory, in the order asked."""

    steps: npt.NDArray[np.int64]
    scores: Scores


class VectorIndex(Protocol):
    """Search over the trajectories of one family. Safe for threads."""

    embedder_id: str

    def __len__(self) -> int:
        """Return the number of trajectories."""

    def contents(self) -> dict[str, str]:
        """Return the content hash of each trajectory by id."""

    def add(self, entries: Sequence[Entry]) -> None:
        """Add trajectories; those whose id is there already are left as they are."""

    def remove(self, ids: Iterable[str]) -> None:
        """Remove trajectories; unknown ids are ignored."""

    def trajectories(self, keys: Mapping[TrajectoryKey, Vector], limit: int, exclude: Exclusion) -> Ranked:
        """Return up to `limit` trajectories by the mean cosine over `keys`; equals in the order they came."""

    def contenders(
        self, keys: Mapping[TrajectoryKey, Vector], least: float, limit: int, exclude: Exclusion
    ) -> Ranked:
        """Return, in any order, the trajectories that score at least `least`; the best if more than
        `limit`."""

    def step_bounds(self, refs: Refs, vector: Vector, state_key: StateKey) -> Scores:
        """Return for each trajectory a number that none of its steps' cosines exceeds; 1 where nothing is
        known."""

    def best_steps(self, refs: Refs, vector: Vector, state_key: StateKey) -> BestSteps:
        """Return each trajectory's best step by cosine; of equals the first."""

    def resolve(self, refs: Refs) -> list[str]:
        """Return the trajectories' ids."""

    def save(self) -> None:
        """Keep what was added in a form that opens quickly, where there is one. Raises VectorIndexError."""

    def close(self) -> None:
        """Free what the index holds."""
