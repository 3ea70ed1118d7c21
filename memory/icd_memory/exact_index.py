"""The exact vector index in process: the result is that of comparing with every step.

It looks at every step, but not at every vector. Goals, plans and situations repeat across trajectories and
are kept once each, so most of the work is done once a text and not once a step; where texts don't repeat,
short sketches bound the cosines from above, and only what could still be among the best is computed in full.
So no cut to the M best trajectories (arXiv 2505.00234) is needed, and nothing is lost to it.

With a side file, a large index is mapped into memory instead of being rebuilt from the store.
"""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from icd_memory.best import LOWEST, Best
from icd_memory.embedding import Vector
from icd_memory.errors import VectorIndexError
from icd_memory.index import (
    ROUNDING,
    STATE_KEYS,
    TRAJECTORY_KEYS,
    Entry,
    Exclusion,
    Hit,
    Refs,
    Scores,
    StepQuery,
    TrajectoryKey,
)
from icd_memory.index_file import read_segment, write_segment
from icd_memory.segment import Search, Segment

_WORTH_A_FILE = 2_000
"""Steps from which a side file is written: fewer are rebuilt from the store in a moment."""

_KEPT = 32
_KEPT_BYTES = 16 << 20
"""Recent results of trajectory keys that are kept, so many or that large: an episode asks for the same at each of its
steps, and many episodes run at once."""

_log = logging.getLogger(__name__)


class _ByKeys(NamedTuple):
    """What trajectory keys say; it depends on nothing but them and what the index holds."""

    scores: Scores
    """The mean cosine of every trajectory by ref; -inf where removed or excluded."""
    highest: float


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
        self._recent: OrderedDict[object, _ByKeys] = OrderedDict()

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
        """Return the version of each trajectory by id."""
        with self._lock:
            versions = [*self._base.versions, *self._tail.versions]
            return {id: versions[ref] for id, ref in self._refs.items()}

    def add(self, entries: Sequence[Entry]) -> None:
        """Add trajectories; those whose id is there already are left as they are."""
        with self._lock:
            for entry in entries:
                if entry.id in self._refs:
                    continue
                self._tail.append(
                    (entry.id, entry.version, entry.instance, entry.split),
                    np.stack([entry.goal, entry.category, entry.plan]),
                    (entry.observation, entry.reasoning),
                )
                self._refs[entry.id] = len(self._base) + len(self._tail) - 1
                self._unsaved += 1
            self._recent.clear()

    def remove(self, ids: Iterable[str]) -> None:
        """Remove trajectories; unknown ids are ignored."""
        with self._lock:
            for id in ids:
                ref = self._refs.pop(id, None)
                if ref is not None:
                    segment, offset = self._segment(ref)
                    segment.alive[ref - offset] = False
                    self._unsaved += 1
            self._recent.clear()

    def find_trajectories(
        self, keys: Mapping[TrajectoryKey, Vector], k: int, exclude: Exclusion
    ) -> list[Hit]:
        """Return the k best trajectories by their mean cosine over `keys`, equals in the order they came."""
        with self._lock:
            scores, _ = self._by_keys(keys, exclude)
            refs = _best(scores, k)
            return [
                Hit(id, 0, score, 0.0)
                for id, score in zip(self._ids(refs), scores[refs].tolist(), strict=True)
            ]

    def find_steps(self, query: StepQuery, k: int, candidates: int) -> list[Hit]:
        """Return the k best trajectories by their best step, equals in the order they came.

        `candidates` is not used: every trajectory is one.
        """
        if k < 1:
            return []
        with self._lock:
            scores, highest = self._by_keys(query.keys, query.exclude)
            best = Best(k)
            if highest > LOWEST:
                for segment in (self._base, self._tail):
                    if len(segment):
                        segment.search(self._search(query, scores, highest, segment), best)
            numbers = (best.steps.tolist(), scores[best.refs].tolist(), best.scores.tolist())
            return [Hit(*hit) for hit in zip(self._ids(best.refs), *numbers, strict=True)]

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
            self._recent.clear()

    def _by_keys(self, keys: Mapping[TrajectoryKey, Vector], exclude: Exclusion) -> _ByKeys:
        """Return what the keys say of the trajectories, from memory if they were asked for lately."""
        numbered = {TRAJECTORY_KEYS.index(key): vector for key, vector in keys.items()}
        exclude = self._known(exclude)
        asked = (tuple((number, vector.tobytes()) for number, vector in numbered.items()), exclude)
        known = self._recent.get(asked)
        if known is None:
            parts = (self._base, self._tail)
            scores = np.concatenate(
                [part.trajectory_scores(numbered, exclude.instances, exclude.splits) for part in parts]
            )
            known = self._recent[asked] = _ByKeys(scores, float(scores.max(initial=-np.inf)))
            if len(self._recent) > max(_KEPT, _KEPT_BYTES // max(scores.nbytes, 1)):
                self._recent.popitem(last=False)
        self._recent.move_to_end(asked)
        return known

    def _known(self, exclude: Exclusion) -> Exclusion:
        """Return the exclusion without the names that nothing here has: a live episode is excluded under its own."""
        parts = (self._base, self._tail)
        return Exclusion(
            frozenset(name for name in exclude.instances if any(name in part.instances for part in parts)),
            frozenset(name for name in exclude.splits if any(name in part.splits for part in parts)),
        )

    def _search(self, query: StepQuery, scores: Scores, highest: float, segment: Segment) -> Search:
        offset = 0 if segment is self._base else len(self._base)
        return Search(
            vector=query.state,
            state=STATE_KEYS.index(query.state_key),
            weight=query.step_weight,
            scores=scores[offset : offset + len(segment)],
            highest=highest,
            offset=offset,
        )

    def _ids(self, refs: Refs) -> list[str]:
        border, base, tail = len(self._base), self._base.ids, self._tail.ids
        return [base[ref] if ref < border else tail[ref - border] for ref in refs.tolist()]

    def _segment(self, ref: int) -> tuple[Segment, int]:
        border = len(self._base)
        return (self._base, 0) if ref < border else (self._tail, border)


def _best(scores: Scores, k: int) -> Refs:
    """Return the k best that are not -inf, best first, equals in order."""
    if k < 1:
        return np.empty(0, dtype=np.int64)
    least = np.partition(scores, len(scores) - k)[len(scores) - k] if k < len(scores) else LOWEST
    refs = np.flatnonzero(scores >= max(float(least) - ROUNDING, LOWEST))
    return refs[np.argsort(-np.round(scores[refs] / ROUNDING), kind="stable")[:k]]
