"""Arrays of trajectories and their steps: the storage that the exact index computes on.

Row r of a segment is its r-th trajectory; the steps of a trajectory are the rows `starts[r]` to `starts[r +
1]` of each state matrix, so they lie together. Knows numbers, not what the keys mean.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from icd_memory.best import Best
from icd_memory.columns import Bounds, Names, Unique
from icd_memory.growing import Growing
from icd_memory.postings import Places
from icd_memory.sketch import Sketch

KEYS = 3
STATES = 2
Matrix = npt.NDArray[np.float32]
Numbers = npt.NDArray[np.int64]

_FIRST_CODES = 4
_FIRST_STEPS = 512
"""About how many steps are looked at before the result so far is used again; four times as many each time."""
_RECENT_BYTES = 16 << 20
"""Of recent situations that are kept."""


class Search(NamedTuple):
    """One search in one segment."""

    vector: Matrix
    state: int
    """Which of the state columns."""
    weight: float
    """A step ranks by its trajectory's score plus this times its own."""
    scores: Matrix
    """The score of each row; -inf for those that must not be found."""
    highest: float
    """The highest score of any trajectory."""
    offset: int
    """The ref of the segment's first row."""

    def lowest(self, best: Best) -> float:
        """Return the dot product that a step of any trajectory needs to be among the best."""
        return (best.least - self.highest) / self.weight if self.weight > 0 else -np.inf


class _Begun(NamedTuple):
    """How a search begins; it depends on nothing but the situation and what the segment holds."""

    bounds: Bounds
    places: Places
    """That are looked at first."""
    values: Matrix
    """The bounds of those."""
    width: int
    """How many codes those have."""
    others: Numbers
    """The other codes that have places."""

    @property
    def bytes(self) -> int:
        """Its size in memory."""
        return sum(rows.nbytes for rows in (*self.places, self.bounds.values, self.values, self.others))


class Segment:
    """Trajectories and their steps in arrays."""

    def __init__(self, dimension: int) -> None:
        self.dimension = dimension
        self.ids: list[str] = []
        self.versions: list[str] = []
        self.instances = Names()
        self.splits = Names()
        self._alive = Growing(np.empty(0, dtype=np.bool_))
        self._starts = Growing(np.zeros(1, dtype=np.int64))
        self._owners = Growing(np.empty(0, dtype=np.int32))
        self.keys = [Unique(np.empty((0, dimension), dtype=np.float32)) for _ in range(KEYS)]
        self.states = [Unique(np.empty((0, dimension), dtype=np.float32)) for _ in range(STATES)]
        self._recent: OrderedDict[object, _Begun] = OrderedDict()
        self._recent_bytes = 0

    @classmethod
    def after(cls, other: Segment) -> Segment:
        """Return an empty segment for what comes after `other`, with the other's directions for sketches."""
        segment = cls(other.dimension)
        for column, before in zip(segment.states, other.states, strict=True):
            column.sketch = Sketch(other.dimension, before.sketch.basis)
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
        """Add a trajectory: (id, version, instance, split), one row a key, one matrix a state.

        Raises ValueError for a trajectory without steps or vectors of another dimension.
        """
        count = len(states[0])
        shapes = {matrix.shape for matrix in states}
        if count == 0 or shapes != {(count, self.dimension)} or keys.shape != (KEYS, self.dimension):
            raise ValueError(
                f"trajectory {names[0]!r} needs one vector of {self.dimension} a step, and a step"
            )
        self.ids.append(names[0])
        self.versions.append(names[1])
        self.instances.append(names[2])
        self.splits.append(names[3])
        self._alive.extend(np.asarray([True]))
        for column, vector in zip(self.keys, keys, strict=True):
            column.extend(vector[None])
        for column, matrix in zip(self.states, states, strict=True):
            column.extend(matrix)
        self._owners.extend(np.full(count, len(self) - 1))
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

    def search(self, query: Search, best: Best) -> None:
        """Take into `best` the steps that could be among the best; vectors of others are not read.

        The distinct vectors are gone through from the highest bound downwards, until even with the highest
        trajectory score they could not reach the result.
        """
        column = self.states[query.state]
        postings, owners = column.postings, self._owners.rows
        postings.update(column.codes.rows, owners, len(column.vectors.rows))
        bounds, places, values, width, codes = self._begun(query)
        if width:
            self._take(places, values, bounds, query, best, width)
        codes = codes[bounds.values[codes] >= query.lowest(best)]
        while len(codes):
            width *= 4
            chosen, codes = _highest(codes, bounds.values, width)
            places = postings.places(chosen)
            self._take(places, bounds.values.take(places.codes), bounds, query, best, len(chosen))
            codes = codes[bounds.values[codes] >= query.lowest(best)]
        rest = postings.rest(column.codes.rows, owners)
        if len(rest.steps):
            self._take(rest, bounds.values.take(rest.codes), bounds, query, best, len(rest.steps))

    def _begun(self, query: Search) -> _Begun:
        """Return how a search in this situation begins, from memory if it came lately: where few vectors are different,
        the same situations come again, and reading them all pushes everything else out of the processor's cache."""
        column = self.states[query.state]
        covered = column.postings.covered
        asked = (query.state, covered, len(column.vectors.rows), query.vector.tobytes())
        if asked in self._recent:
            self._recent.move_to_end(asked)
            return self._recent[asked]
        bounds = column.bounds(query.vector)
        width = max(_FIRST_CODES, _FIRST_STEPS * len(bounds.values) // self.steps)
        chosen, others = _highest(np.arange(len(column.postings)), bounds.values, width)
        places = column.postings.places(chosen)
        begun = _Begun(bounds, places, bounds.values.take(places.codes), len(chosen), others)
        if bounds.exact:
            self._recent[asked] = begun
            self._recent_bytes += begun.bytes
            while self._recent_bytes > _RECENT_BYTES:
                self._recent_bytes -= self._recent.popitem(last=False)[1].bytes
        return begun

    def _take(
        self, places: Places, values: Matrix, bounds: Bounds, query: Search, best: Best, repeats: int
    ) -> None:
        """Take those of the places into `best` whose bounds, the `values`, allow it, at most `repeats` of a row."""
        column = self.states[query.state]
        steps, owners, codes = places
        scores = query.scores.take(owners)
        if not bounds.exact:
            (able,) = (scores + query.weight * values >= best.least).nonzero()
            if len(able) == 0:
                return
            steps, owners, codes, scores = steps[able], owners[able], codes[able], scores[able]
            values = column.products(codes, query.vector)
        totals = scores + query.weight * values
        (able,) = (totals >= best.reached(totals, repeats)).nonzero()
        if len(able):
            rows = owners[able].astype(np.int64)
            numbers = steps[able] - self._starts.rows[rows]
            best.take(query.offset + rows, numbers, values[able], totals[able])

    def _columns(self) -> list[tuple[str, Unique]]:
        keys = [(f"key{number}", column) for number, column in enumerate(self.keys)]
        return keys + [(f"state{number}", column) for number, column in enumerate(self.states)]

    def _members(self, rows: Numbers) -> tuple[Numbers, Numbers]:
        """Return the steps of all the rows one after the other, and how many each row has."""
        starts = self._starts.rows
        first = starts[rows]
        counts = starts[rows + 1] - first
        begins = np.cumsum(counts) - counts
        return np.arange(counts.sum()) + np.repeat(first - begins, counts), counts

    @classmethod
    def joined(cls, parts: Sequence[Segment]) -> Segment:
        """Return a new segment with the living rows of the parts, in order."""
        whole = cls.after(parts[0])
        for part in parts:
            living = np.flatnonzero(part.alive)
            if len(living) == 0:
                continue
            members, counts = part._members(living)
            whole._owners.extend(np.repeat(np.arange(len(whole), len(whole) + len(living)), counts))
            whole._starts.extend(whole.steps + np.cumsum(counts))
            whole.ids += [part.ids[row] for row in living.tolist()]
            whole.versions += [part.versions[row] for row in living.tolist()]
            whole._alive.extend(np.ones(len(living), dtype=np.bool_))
            whole.instances.take_in(part.instances, living)
            whole.splits.take_in(part.splits, living)
            for unique, other in zip(whole.keys, part.keys, strict=True):
                unique.take_in(other, living)
            for unique, other in zip(whole.states, part.states, strict=True):
                unique.take_in(other, members)
        return whole

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Return all numbers of the segment by name; see `from_arrays`."""
        found: dict[str, npt.NDArray[Any]] = {
            "alive": self.alive,
            "starts": self._starts.rows,
            "owners": self._owners.rows,
            "instances": self.instances.codes.rows,
            "splits": self.splits.codes.rows,
        }
        for name, column in self._columns():
            found[f"{name}_vectors"] = column.vectors.rows
            found[f"{name}_codes"] = column.codes.rows
        for number, column in enumerate(self.states):
            if column.sketch.basis is not None:
                found[f"state{number}_basis"] = column.sketch.basis
                found[f"state{number}_sketch"] = column.sketch.rows
        return found

    def names(self) -> dict[str, list[str]]:
        """Return all texts of the segment by name; see `from_arrays`."""
        return {
            "ids": self.ids,
            "versions": self.versions,
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
        segment.versions = list(names["versions"])
        segment.instances = Names(names["instances"], arrays["instances"])
        segment.splits = Names(names["splits"], arrays["splits"])
        segment._alive = Growing(np.array(arrays["alive"]))
        segment._starts = Growing(arrays["starts"])
        segment._owners = Growing(arrays["owners"])
        for name, column in segment._columns():
            column.vectors = Growing(arrays[f"{name}_vectors"])
            column.codes = Growing(arrays[f"{name}_codes"])
        for number, column in enumerate(segment.states):
            basis, rows = arrays.get(f"state{number}_basis"), arrays.get(f"state{number}_sketch")
            column.sketch = Sketch(dimension, basis, rows)
        return segment


def _highest(codes: Numbers, values: Matrix, width: int) -> tuple[Numbers, Numbers]:
    """Return the codes with the `width` highest values (more of them if some are equal), and the others."""
    if width >= len(codes):
        return codes, codes[:0]
    own = values[codes]
    head = own >= np.partition(own, -width)[-width]
    return codes[head], codes[~head]
