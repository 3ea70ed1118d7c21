"""Arrays of trajectories and their steps: the storage that the exact index computes on.

Row r of a segment is its r-th trajectory; the steps of a trajectory are the rows `starts[r]` to `starts[r +
1]` of each state matrix. Knows numbers, not what the keys mean.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

KEYS = 3
STATES = 2
Matrix = npt.NDArray[np.float32]
Half = npt.NDArray[np.float16]
Numbers = npt.NDArray[np.int64]


class Growing:
    """An array that grows at its end; a read-only one that it starts on is copied at the first addition."""

    def __init__(self, rows: npt.NDArray[Any]) -> None:
        self._rows = rows
        self._used = len(rows)

    @property
    def rows(self) -> npt.NDArray[Any]:
        """The rows in use, without a copy."""
        return self._rows[: self._used]

    def extend(self, rows: npt.NDArray[Any]) -> None:
        """Add rows."""
        needed = self._used + len(rows)
        if needed > len(self._rows) or not self._rows.flags.writeable:
            grown = np.empty((max(needed, 2 * self._used, 64), *self._rows.shape[1:]), dtype=self._rows.dtype)
            grown[: self._used] = self.rows
            self._rows = grown
        self._rows[self._used : needed] = rows
        self._used = needed


class Names:
    """Texts as small numbers, to filter by."""

    def __init__(self, names: Sequence[str] = (), codes: Numbers | None = None) -> None:
        self.names = list(names)
        self._code = {name: code for code, name in enumerate(self.names)}
        self.codes = Growing(np.empty(0, dtype=np.int64) if codes is None else codes)

    def append(self, name: str) -> None:
        """Note the next row's name."""
        if name not in self._code:
            self._code[name] = len(self.names)
            self.names.append(name)
        self.codes.extend(np.asarray([self._code[name]]))

    def rows_of(self, name: str) -> Numbers:
        """Return the rows that have this name."""
        code = self._code.get(name)
        return np.empty(0, dtype=np.int64) if code is None else np.flatnonzero(self.codes.rows == code)


class Unique:
    """Vectors kept once each, and which one a row has."""

    def __init__(self, vectors: Matrix, codes: Numbers) -> None:
        self.vectors = Growing(vectors)
        self.codes = Growing(codes)
        self._code: dict[bytes, int] | None = None

    def append(self, vector: Matrix) -> None:
        """Note the next row's vector."""
        if self._code is None:
            self._code = {row.tobytes(): code for code, row in enumerate(self.vectors.rows)}
        key = vector.tobytes()
        if key not in self._code:
            self._code[key] = len(self._code)
            self.vectors.extend(vector[None])
        self.codes.extend(np.asarray([self._code[key]]))

    def scores(self, vector: Matrix) -> Matrix:
        """Return each row's dot product with `vector`."""
        products: Matrix = (self.vectors.rows @ vector)[self.codes.rows]
        return products


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
        self.keys = [
            Unique(np.empty((0, dimension), dtype=np.float32), np.empty(0, dtype=np.int64))
            for _ in range(KEYS)
        ]
        self.states = [Growing(np.empty((0, dimension), dtype=np.float16)) for _ in range(STATES)]

    @classmethod
    def empty(cls, dimension: int) -> Segment:
        """Return a segment without rows."""
        return cls(dimension)

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
        """Add a trajectory: (id, content hash, instance, split), one row a key, one matrix a state."""
        count = len(states[0])
        if count == 0 or any(matrix.shape != (count, self.dimension) for matrix in states):
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
        for growing, matrix in zip(self.states, states, strict=True):
            growing.extend(matrix.astype(np.float16))
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
        starts = self._starts.rows
        first = starts[rows]
        counts = starts[rows + 1] - first
        ends = np.cumsum(counts)
        begins = ends - counts
        # The rows of all the slices, one after the other.
        members = np.arange(ends[-1]) + np.repeat(first - begins, counts)
        scores: Matrix = self.states[state].rows[members].astype(np.float32) @ vector
        best = np.maximum.reduceat(scores, begins)
        hits = np.flatnonzero(scores == np.repeat(best, counts))
        return hits[np.searchsorted(hits, begins)] - begins, best

    @classmethod
    def joined(cls, parts: Sequence[Segment]) -> Segment:
        """Return a new segment with the living rows of the parts, in order."""
        whole = cls.empty(parts[0].dimension)
        for part in parts:
            starts = part._starts.rows
            for row in np.flatnonzero(part.alive).tolist():
                names = (
                    part.ids[row],
                    part.content_hashes[row],
                    part.instances.names[part.instances.codes.rows[row]],
                    part.splits.names[part.splits.codes.rows[row]],
                )
                keys = np.stack([unique.vectors.rows[unique.codes.rows[row]] for unique in part.keys])
                steps = slice(starts[row], starts[row + 1])
                whole.append(names, keys, [state.rows[steps] for state in part.states])
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
        for number, state in enumerate(self.states):
            found[f"state{number}"] = state.rows
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
        segment = cls.empty(dimension)
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
        return segment
