"""Arrays of trajectories and their steps: the storage that the exact index computes on.

Row r of a segment is its r-th trajectory; the steps of a trajectory are the rows `starts[r]` to `starts[r +
1]` of each state matrix, so they lie together. Knows numbers, not what the keys mean.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from icd_memory.columns import Growing, Names, Unique
from icd_memory.sketch import Sketch

KEYS = 3
STATES = 2
Matrix = npt.NDArray[np.float32]
Numbers = npt.NDArray[np.int64]

_CHUNK_BYTES = 1 << 19
"""Rows are gathered in pieces of this size: larger than a processor's cache would cost several times as
much."""


class Segment:
    """Trajectories and their steps in arrays."""

    def __init__(self, dimension: int) -> None:
        self.dimension = dimension
        self.ids: list[str] = []
        self.content_hashes: list[str] = []
        self.instances = Names()
        self.splits = Names()
        self._alive = Growing(np.empty(0, dtype=np.bool_))
        self._starts = Growing(np.zeros(1, dtype=np.int64))
        self.keys = [Unique(np.empty((0, dimension), dtype=np.float32)) for _ in range(KEYS)]
        self.states = [Growing(np.empty((0, dimension), dtype=np.float32)) for _ in range(STATES)]
        self.sketches = [Sketch(dimension) for _ in range(STATES)]

    @classmethod
    def after(cls, other: Segment) -> Segment:
        """Return an empty segment for what comes after `other`; its sketches have the other's directions."""
        segment = cls(other.dimension)
        segment.sketches = [Sketch(other.dimension, sketch.basis) for sketch in other.sketches]
        return segment

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def steps(self) -> int:
        """The number of steps."""
        return int(self._starts.rows[-1])

    @property
    def alive(self) -> npt.NDArray[np.bool_]:
        """Which rows were not removed."""
        return self._alive.rows

    def append(self, names: tuple[str, str, str, str], keys: Matrix, states: Sequence[Matrix]) -> None:
        """Add a trajectory: (id, content hash, instance, split), one row a key, one matrix a state.

        Raises ValueError for a trajectory without steps or vectors of another dimension.
        """
        count = len(states[0])
        shapes = {matrix.shape for matrix in states}
        if count == 0 or shapes != {(count, self.dimension)} or keys.shape != (KEYS, self.dimension):
            raise ValueError(
                f"trajectory {names[0]!r} needs one vector of {self.dimension} a step, and a step"
            )
        self.ids.append(names[0])
        self.content_hashes.append(names[1])
        self.instances.append(names[2])
        self.splits.append(names[3])
        self._alive.extend(np.asarray([True]))
        for unique, vector in zip(self.keys, np.ascontiguousarray(keys, dtype=np.float32), strict=True):
            unique.append(vector)
        for growing, sketch, matrix in zip(self.states, self.sketches, states, strict=True):
            growing.extend(matrix)
            sketch.extend(growing.rows)
        self._starts.extend(np.asarray([self.steps + count]))

    def trajectory_scores(
        self, keys: Mapping[int, Matrix], instances: frozenset[str], splits: frozenset[str]
    ) -> Matrix:
        """Return the mean dot product over `keys` (by number) of each row; -inf where removed or excluded."""
        total = np.zeros(len(self), dtype=np.float32)
        for number, vector in keys.items():
            total += self.keys[number].scores(vector)
        if keys:
            total /= len(keys)
        total[~self.alive] = -np.inf
        for names, wanted in ((self.instances, instances), (self.splits, splits)):
            for name in wanted:
                total[names.rows_of(name)] = -np.inf
        return total

    def best_steps(self, rows: Numbers, vector: Matrix, state: int) -> tuple[Numbers, Matrix]:
        """Return for each row the number of its best step, the first of equals, and its dot product."""
        members, begins, counts = self._members(rows)
        scores = _products(self.states[state].rows, members, vector)
        best = np.maximum.reduceat(scores, begins)
        hits = np.flatnonzero(scores == np.repeat(best, counts))
        return hits[np.searchsorted(hits, begins)] - begins, best

    def step_bounds(self, rows: Numbers, vector: Matrix, state: int) -> Matrix:
        """Return for each row a number that the dot product of none of its steps exceeds."""
        sketch = self.sketches[state]
        if sketch.basis is None:
            return np.ones(len(rows), dtype=np.float32)
        members, begins, _ = self._members(rows)
        bounds = _products(sketch.rows, members, sketch.query(vector))
        return np.minimum(np.maximum.reduceat(bounds, begins), np.float32(1.0))

    def _members(self, rows: Numbers) -> tuple[Numbers, Numbers, Numbers]:
        """Return the steps of all the rows one after the other, and where each row's begin, and how many."""
        starts = self._starts.rows
        first = starts[rows]
        counts = starts[rows + 1] - first
        ends = np.cumsum(counts)
        begins = ends - counts
        return np.arange(ends[-1]) + np.repeat(first - begins, counts), begins, counts

    @classmethod
    def joined(cls, parts: Sequence[Segment]) -> Segment:
        """Return a new segment with the living rows of the parts, in order."""
        whole = cls.after(parts[0])
        for part in parts:
            living = np.flatnonzero(part.alive)
            if len(living) == 0:
                continue
            members, _, counts = part._members(living)
            whole._starts.extend(whole.steps + np.cumsum(counts))
            whole.ids += [part.ids[row] for row in living.tolist()]
            whole.content_hashes += [part.content_hashes[row] for row in living.tolist()]
            whole._alive.extend(np.ones(len(living), dtype=np.bool_))
            whole.instances.take_in(part.instances, living)
            whole.splits.take_in(part.splits, living)
            for unique, other in zip(whole.keys, part.keys, strict=True):
                unique.take_in(other, living)
            for growing, sketch, state in zip(whole.states, whole.sketches, part.states, strict=True):
                growing.extend(state.rows[members])
                sketch.extend(growing.rows)
        return whole

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Return all numbers of the segment by name; see `from_arrays`."""
        found: dict[str, npt.NDArray[Any]] = {
            "alive": self.alive,
            "starts": self._starts.rows,
            "instances": self.instances.codes.rows,
            "splits": self.splits.codes.rows,
        }
        for number, unique in enumerate(self.keys):
            found[f"key{number}_vectors"] = unique.vectors.rows
            found[f"key{number}_codes"] = unique.codes.rows
        for number, (state, sketch) in enumerate(zip(self.states, self.sketches, strict=True)):
            found[f"state{number}"] = state.rows
            if sketch.basis is not None:
                found[f"state{number}_basis"] = sketch.basis
                found[f"state{number}_sketch"] = sketch.rows
        return found

    def names(self) -> dict[str, list[str]]:
        """Return all texts of the segment by name; see `from_arrays`."""
        return {
            "ids": self.ids,
            "content_hashes": self.content_hashes,
            "instances": self.instances.names,
            "splits": self.splits.names,
        }

    @classmethod
    def from_arrays(
        cls, dimension: int, names: Mapping[str, list[str]], arrays: Mapping[str, npt.NDArray[Any]]
    ) -> Segment:
        """Return the segment of which these are the `names` and `arrays`, without copying the large ones."""
        segment = cls(dimension)
        segment.ids = list(names["ids"])
        segment.content_hashes = list(names["content_hashes"])
        segment.instances = Names(names["instances"], arrays["instances"])
        segment.splits = Names(names["splits"], arrays["splits"])
        segment._alive = Growing(np.array(arrays["alive"]))
        segment._starts = Growing(arrays["starts"])
        segment.keys = [
            Unique(arrays[f"key{number}_vectors"], arrays[f"key{number}_codes"]) for number in range(KEYS)
        ]
        segment.states = [Growing(arrays[f"state{number}"]) for number in range(STATES)]
        segment.sketches = [
            Sketch(dimension, arrays.get(f"state{number}_basis"), arrays.get(f"state{number}_sketch"))
            for number in range(STATES)
        ]
        return segment


def _products(matrix: Matrix, members: Numbers, vector: Matrix) -> Matrix:
    """Return the dot products of the chosen rows with `vector`.

    By einsum, in this thread: a BLAS wakes others for a millisecond's work, which on a busy machine costs
    ten.
    """
    chunk = max(1, _CHUNK_BYTES // (4 * matrix.shape[1]))
    out = np.empty(len(members), dtype=np.float32)
    buffer = np.empty((min(chunk, len(members)), matrix.shape[1]), dtype=np.float32)
    for start in range(0, len(members), chunk):
        chosen = members[start : start + chunk]
        rows = buffer[: len(chosen)]
        # With mode "clip" take writes to the buffer at once; the members are in range.
        np.take(matrix, chosen, axis=0, out=rows, mode="clip")
        np.einsum("ij,j->i", rows, vector, out=out[start : start + chunk])
    return out
