"""The exact vector index in process: every similarity that can matter is computed, nothing is approximated.

Steps lie together by trajectory, so that the second stage reads short contiguous slices: 3 KB a step at 384
dimensions. Goals, categories and plans repeat across trajectories and are kept once each. With a side file, a
large index is mapped into memory instead of being rebuilt from the store.
"""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from icd_memory.embedding import Vector
from icd_memory.errors import VectorIndexError
from icd_memory.index import (
    STATE_KEYS,
    TRAJECTORY_KEYS,
    BestSteps,
    Entry,
    Exclusion,
    Ranked,
    Refs,
    Scores,
    StateKey,
    TrajectoryKey,
)
from icd_memory.index_file import read_segment, write_segment
from icd_memory.segment import Segment

_WORTH_A_FILE = 2_000
"""Steps from which a side file is written: fewer are rebuilt from the store in a moment."""

_KEPT_STAGES = 32
"""Recent first stages that are kept: an episode asks for the same one at each of its steps."""


_log = logging.getLogger(__name__)

_LOWEST = float(np.finfo(np.float32).min)
"""Less than any score, more than the -inf of what is removed or excluded."""


class _FirstStage(NamedTuple):
    """What the first stage found, kept because it depends on nothing but the keys and what the index
    holds."""

    scores: Scores
    """The mean cosine of every trajectory by ref; -inf where removed or excluded."""
    best: dict[int, Ranked]
    """The ranking by its limit."""


class ExactIndex:
    """Trajectories in two segments: what the side file held, and what came since."""

    def __init__(self, embedder_id: str, dimension: int, file: Path | None = None) -> None:
        """Start from the side file if there is one that fits, else empty."""
        self.embedder_id = embedder_id
        self.dimension = dimension
        self._file = file
        read = read_segment(file, embedder_id, dimension) if file is not None else None
        self._base = read if read is not None else Segment(dimension)
        self._tail = Segment.after(self._base)
        self._lock = threading.RLock()
        self._refs = {id: ref for ref, id in enumerate(self._base.ids)}
        self._unsaved = 0
        self._stages: OrderedDict[object, _FirstStage] = OrderedDict()

    def __len__(self) -> int:
        return len(self._refs)

    @property
    def steps(self) -> int:
        """The number of steps, those of removed trajectories included."""
        return self._base.steps + self._tail.steps

    @property
    def unsaved(self) -> int:
        """The number of trajectories added or removed since the side file was read or written."""
        return self._unsaved

    def contents(self) -> dict[str, str]:
        """Return the content hash of each trajectory by id."""
        with self._lock:
            hashes = [*self._base.content_hashes, *self._tail.content_hashes]
            return {id: hashes[ref] for id, ref in self._refs.items()}

    def add(self, entries: Sequence[Entry]) -> None:
        """Add trajectories; those whose id is there already are left as they are."""
        with self._lock:
            for entry in entries:
                if entry.id in self._refs:
                    continue
                self._tail.append(
                    (entry.id, entry.content_hash, entry.instance, entry.split),
                    np.stack([entry.goal, entry.category, entry.plan]),
                    (entry.observation, entry.reasoning),
                )
                self._refs[entry.id] = len(self._base) + len(self._tail) - 1
                self._unsaved += 1
            self._changed()

    def remove(self, ids: Iterable[str]) -> None:
        """Remove trajectories; unknown ids are ignored."""
        with self._lock:
            for id in ids:
                ref = self._refs.pop(id, None)
                if ref is not None:
                    segment, offset = self._segment(ref)
                    segment.alive[ref - offset] = False
                    self._unsaved += 1
            self._changed()

    def trajectories(self, keys: Mapping[TrajectoryKey, Vector], limit: int, exclude: Exclusion) -> Ranked:
        """Return up to `limit` trajectories by the mean cosine over `keys`; equals in the order they came."""
        stage = self._first_stage(keys, exclude)
        if limit not in stage.best:
            stage.best[limit] = _best(stage.scores, limit)
        return stage.best[limit]

    def contenders(
        self, keys: Mapping[TrajectoryKey, Vector], least: float, limit: int, exclude: Exclusion
    ) -> Ranked:
        """Return, in any order, the trajectories that score at least `least`; the best if more than
        `limit`."""
        scores = self._first_stage(keys, exclude).scores
        refs = np.flatnonzero(scores >= max(least, _LOWEST))
        return Ranked(refs, scores[refs]) if len(refs) <= limit else _best(scores, limit)

    def step_bounds(self, refs: Refs, vector: Vector, state_key: StateKey) -> Scores:
        """Return for each trajectory a number that none of its steps' cosines exceeds."""
        number = STATE_KEYS.index(state_key)
        bounds = np.empty(len(refs), dtype=np.float32)
        with self._lock:
            for segment, chosen, offset in self._parts(refs):
                bounds[chosen] = segment.step_bounds(refs[chosen] - offset, vector, number)
        return bounds

    def best_steps(self, refs: Refs, vector: Vector, state_key: StateKey) -> BestSteps:
        """Return each trajectory's best step by cosine; of equals the first."""
        number = STATE_KEYS.index(state_key)
        steps = np.empty(len(refs), dtype=np.int64)
        scores = np.empty(len(refs), dtype=np.float32)
        with self._lock:
            for segment, chosen, offset in self._parts(refs):
                steps[chosen], scores[chosen] = segment.best_steps(refs[chosen] - offset, vector, number)
        return BestSteps(steps, scores)

    def resolve(self, refs: Refs) -> list[str]:
        """Return the trajectories' ids."""
        with self._lock:
            parts = [(self._segment(ref), ref) for ref in refs.tolist()]
            return [segment.ids[ref - offset] for (segment, offset), ref in parts]

    def save(self) -> None:
        """Write the side file if there is one to write, something new, and enough to be worth it.

        Raises VectorIndexError when it can't be written.
        """
        with self._lock:
            if self._file is not None and self._unsaved and self.steps >= _WORTH_A_FILE:
                write_segment(self._file, Segment.joined((self._base, self._tail)), self.embedder_id)
                self._unsaved = 0

    def close(self) -> None:
        """Write the side file, and let go of the vectors."""
        with self._lock:
            try:
                self.save()
            except VectorIndexError as error:
                # Nothing is lost but time: the store has everything, and the next start rebuilds the index.
                _log.warning("%s", error)
            self._base = Segment(self.dimension)
            self._tail = Segment(self.dimension)
            self._refs = {}
            self._changed()

    def _first_stage(self, keys: Mapping[TrajectoryKey, Vector], exclude: Exclusion) -> _FirstStage:
        numbered = {TRAJECTORY_KEYS.index(key): vector for key, vector in keys.items()}
        asked = (tuple((number, vector.tobytes()) for number, vector in numbered.items()), exclude)
        with self._lock:
            if asked not in self._stages:
                scores = [
                    part.trajectory_scores(numbered, exclude.instances, exclude.splits)
                    for part in (self._base, self._tail)
                ]
                self._stages[asked] = _FirstStage(np.concatenate(scores), {})
            self._stages.move_to_end(asked)
            if len(self._stages) > _KEPT_STAGES:
                self._stages.popitem(last=False)
            return self._stages[asked]

    def _changed(self) -> None:
        self._stages.clear()

    def _segment(self, ref: int) -> tuple[Segment, int]:
        border = len(self._base)
        return (self._base, 0) if ref < border else (self._tail, border)

    def _parts(self, refs: Refs) -> list[tuple[Segment, slice | Refs, int]]:
        """Return each segment that has some of the refs, with their places among them and its first ref."""
        border = len(self._base)
        if len(refs) == 0:
            return []
        if refs.max() < border:
            return [(self._base, slice(None), 0)]
        if refs.min() >= border:
            return [(self._tail, slice(None), border)]
        before, after = np.flatnonzero(refs < border), np.flatnonzero(refs >= border)
        return [(self._base, before, 0), (self._tail, after, border)]


def _best(scores: Scores, limit: int) -> Ranked:
    """Return the `limit` best that are not -inf, best first, equals by position."""
    if limit < len(scores):
        border = np.partition(scores, len(scores) - limit)[len(scores) - limit] if limit > 0 else np.inf
        above = np.flatnonzero(scores > border)
        level = np.flatnonzero(scores == border)[: max(0, limit - len(above))]
        refs = np.sort(np.concatenate([above, level]))
    else:
        refs = np.arange(len(scores))
    refs = refs[scores[refs] >= _LOWEST]
    refs = refs[np.argsort(-scores[refs], kind="stable")]
    return Ranked(refs, scores[refs])
