"""What a vector index over trajectories and their steps is, and the exact one in process.

An index holds one family of trajectories (tenant, environment, embedder) and knows no texts. It is a cache:
the store is the truth, and any index can be rebuilt from it.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from icd_memory.embedding import Matrix, Vector
from icd_memory.segment import Segment

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
    """Trajectories, best first. A ref is good for this index until the next `remove`."""

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

    def best_steps(self, refs: Refs, vector: Vector, state_key: StateKey) -> BestSteps:
        """Return each trajectory's best step by cosine; of equals the first."""

    def resolve(self, refs: Refs) -> list[str]:
        """Return the trajectories' ids."""

    def close(self) -> None:
        """Free what the index holds."""


class ExactIndex:
    """Every similarity computed, nothing approximated; vectors in process memory.

    Steps lie together by trajectory as float16, so that the second stage reads short contiguous slices.
    Goals, categories and plans repeat across trajectories and are kept once each.
    """

    def __init__(self, embedder_id: str, dimension: int, base: Segment | None = None) -> None:
        """Start empty, or upon a segment that was read from a file (see `icd_memory.index_file`)."""
        self.embedder_id = embedder_id
        self.dimension = dimension
        self._base = base or Segment.empty(dimension)
        self._tail = Segment.empty(dimension)
        self._lock = threading.RLock()
        self._refs = {id: ref for ref, id in enumerate(self._base.ids) if self._base.alive[ref]}

    def __len__(self) -> int:
        return len(self._refs)

    @property
    def steps(self) -> int:
        """The number of steps, those of removed trajectories included."""
        return self._base.steps + self._tail.steps

    @property
    def unsaved_steps(self) -> int:
        """The number of steps added since the index was read from its file."""
        return self._tail.steps

    def contents(self) -> dict[str, str]:
        """Return the content hash of each trajectory by id."""
        with self._lock:
            hashes = [*self._base.content_hashes, *self._tail.content_hashes]
            return {id: hashes[ref] for id, ref in self._refs.items()}

    def add(self, entries: Sequence[Entry]) -> None:
        """Add trajectories; those whose id is there already are left as they are."""
        with self._lock:
            for entry in entries:
                if entry.id not in self._refs:
                    self._refs[entry.id] = len(self._base) + len(self._tail)
                    self._tail.append(
                        (entry.id, entry.content_hash, entry.instance, entry.split),
                        np.stack([entry.goal, entry.category, entry.plan]),
                        (entry.observation, entry.reasoning),
                    )

    def remove(self, ids: Iterable[str]) -> None:
        """Remove trajectories; unknown ids are ignored."""
        with self._lock:
            for id in ids:
                ref = self._refs.pop(id, None)
                if ref is not None:
                    segment, offset = self._segment(ref)
                    segment.alive[ref - offset] = False

    def trajectories(self, keys: Mapping[TrajectoryKey, Vector], limit: int, exclude: Exclusion) -> Ranked:
        """Return up to `limit` trajectories by the mean cosine over `keys`; equals in the order they came."""
        numbered = {TRAJECTORY_KEYS.index(key): vector for key, vector in keys.items()}
        with self._lock:
            scores = np.concatenate(
                [
                    part.trajectory_scores(numbered, exclude.instances, exclude.splits)
                    for part in (self._base, self._tail)
                ]
            )
        limit = min(limit, int(np.count_nonzero(scores > -np.inf)))
        return _top(scores, limit)

    def best_steps(self, refs: Refs, vector: Vector, state_key: StateKey) -> BestSteps:
        """Return each trajectory's best step by cosine; of equals the first."""
        number = STATE_KEYS.index(state_key)
        steps = np.empty(len(refs), dtype=np.int64)
        scores = np.empty(len(refs), dtype=np.float32)
        with self._lock:
            border = len(self._base)
            in_base = refs < border
            for segment, mask, offset in ((self._base, in_base, 0), (self._tail, ~in_base, border)):
                if mask.any():
                    steps[mask], scores[mask] = segment.best_steps(refs[mask] - offset, vector, number)
        return BestSteps(steps, scores)

    def resolve(self, refs: Refs) -> list[str]:
        """Return the trajectories' ids."""
        with self._lock:
            found = []
            for ref in refs.tolist():
                segment, offset = self._segment(ref)
                found.append(segment.ids[ref - offset])
            return found

    def merged(self) -> Segment:
        """Return one segment with all that is there and was not removed."""
        with self._lock:
            return Segment.joined((self._base, self._tail))

    def close(self) -> None:
        """Let go of the vectors."""
        with self._lock:
            self._base = Segment.empty(self.dimension)
            self._tail = Segment.empty(self.dimension)
            self._refs = {}

    def _segment(self, ref: int) -> tuple[Segment, int]:
        border = len(self._base)
        return (self._base, 0) if ref < border else (self._tail, border)


def _top(scores: Scores, limit: int) -> Ranked:
    """Return the `limit` best, best first, equals by position."""
    if limit <= 0:
        return Ranked(np.empty(0, dtype=np.int64), np.empty(0, dtype=np.float32))
    if limit < len(scores):
        border = np.partition(scores, len(scores) - limit)[len(scores) - limit]
        above = np.flatnonzero(scores > border)
        level = np.flatnonzero(scores == border)[: limit - len(above)]
        refs = np.concatenate([above, level])
    else:
        refs = np.arange(len(scores))
    order = np.lexsort((refs, -scores[refs]))
    refs = refs[order]
    return Ranked(refs, scores[refs])
