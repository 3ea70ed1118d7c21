"""Columns that grow: rows of numbers, names kept as small numbers, vectors kept once each."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from icd_memory.growing import Growing
from icd_memory.postings import Postings
from icd_memory.sketch import Sketch

Matrix = npt.NDArray[np.float32]
Numbers = npt.NDArray[np.int64]
Codes = npt.NDArray[np.int32]

EXACT_BELOW = 2_048
"""Distinct vectors up to which all dot products are computed: sketches would not be faster."""

_CHUNK_BYTES = 1 << 19
"""Rows are gathered in pieces of this size: larger than a processor's cache would cost several times as
much."""


class Bounds(NamedTuple):
    """Numbers that dot products don't exceed; `exact` if they are the dot products."""

    values: Matrix
    exact: bool


class Names:
    """A column of texts, kept as small numbers to filter by."""

    def __init__(self, names: Sequence[str] = (), codes: Codes | None = None) -> None:
        self.names = list(names)
        self.codes = Growing(np.empty(0, dtype=np.int32) if codes is None else codes)
        self._code = {name: code for code, name in enumerate(self.names)}

    def __contains__(self, name: str) -> bool:
        return name in self._code

    def append(self, name: str) -> None:
        """Add a row."""
        self.codes.extend(np.asarray([self._coded(name)]))

    def take_in(self, other: Names, rows: Numbers) -> None:
        """Add the chosen rows of another column."""
        codes = np.asarray([self._coded(name) for name in other.names], dtype=np.int32)
        self.codes.extend(codes[other.codes.rows[rows]])

    def rows_of(self, name: str) -> Numbers:
        """Return the rows that have this name."""
        code = self._code.get(name)
        return np.empty(0, dtype=np.int64) if code is None else np.flatnonzero(self.codes.rows == code)

    def _coded(self, name: str) -> int:
        if name not in self._code:
            self._code[name] = len(self.names)
            self.names.append(name)
        return self._code[name]


class Unique:
    """A column of vectors of which many may be equal: each is kept once."""

    def __init__(self, vectors: Matrix) -> None:
        self.vectors = Growing(vectors)
        self.codes = Growing(np.empty(0, dtype=np.int32))
        self.sketch = Sketch(vectors.shape[1])
        self.postings = Postings()
        self._code: dict[bytes, int] | None = None

    def extend(self, vectors: Matrix) -> None:
        """Add rows."""
        self.codes.extend(self._coded(np.ascontiguousarray(vectors, dtype=np.float32)))

    def take_in(self, other: Unique, rows: Numbers) -> None:
        """Add the chosen rows of another column."""
        codes = other.codes.rows[rows]
        used = np.zeros(len(other.vectors.rows), dtype=np.bool_)
        used[codes] = True
        renamed = np.zeros(len(used), dtype=np.int32)
        renamed[used] = self._coded(other.vectors.rows[used])
        self.codes.extend(renamed[codes])

    def scores(self, vector: Matrix) -> Matrix:
        """Return each row's dot product with `vector`."""
        return np.take(_products(self.vectors.rows, vector), self.codes.rows)

    def products(self, codes: Codes, vector: Matrix) -> Matrix:
        """Return the dot product of each code's vector with `vector`, computed once a distinct code."""
        wanted = np.zeros(len(self.vectors.rows), dtype=np.bool_)
        wanted[codes] = True
        chosen = np.flatnonzero(wanted)
        products = np.empty(len(wanted), dtype=np.float32)
        products[chosen] = _products_at(self.vectors.rows, chosen, vector)
        return np.take(products, codes)

    def bounds(self, vector: Matrix) -> Bounds:
        """Return for each distinct vector, by code, a bound of its dot product with `vector`."""
        vectors = self.vectors.rows
        if len(vectors) <= EXACT_BELOW:
            return Bounds(_products(vectors, vector), True)
        self.sketch.extend(vectors)
        return Bounds(_products(self.sketch.rows, self.sketch.query(vector)), False)

    def _coded(self, vectors: Matrix) -> Codes:
        """Return the code of each vector, keeping those that are new."""
        if self._code is None:
            self._code = {_key(row): code for code, row in enumerate(self.vectors.rows)}
        codes = np.empty(len(vectors), dtype=np.int32)
        new = []
        for at, row in enumerate(vectors):
            key = _key(row)
            if key not in self._code:
                self._code[key] = len(self._code)
                new.append(at)
            codes[at] = self._code[key]
        if new:
            self.vectors.extend(vectors[new])
        return codes


def _key(vector: Matrix) -> bytes:
    return blake2b(vector.tobytes(), digest_size=16).digest()


def _products(matrix: Matrix, vector: Matrix) -> Matrix:
    """Return each row's dot product with `vector`, the same wherever the row stands.

    Each by itself, in this thread: for a matrix a BLAS wakes others for a millisecond's work, which on a busy machine
    costs ten.
    """
    products: Matrix = np.matmul(matrix[:, None], vector)[:, 0]
    return products


def _products_at(matrix: Matrix, rows: Numbers, vector: Matrix) -> Matrix:
    """Return the dot products of the chosen rows with `vector`."""
    chunk = max(1, _CHUNK_BYTES // (4 * matrix.shape[1]))
    out = np.empty(len(rows), dtype=np.float32)
    buffer = np.empty((min(chunk, len(rows)), matrix.shape[1]), dtype=np.float32)
    for start in range(0, len(rows), chunk):
        chosen = rows[start : start + chunk]
        gathered = buffer[: len(chosen)]
        # With mode "clip" take writes to the buffer at once; the rows are in range.
        np.take(matrix, chosen, axis=0, out=gathered, mode="clip")
        out[start : start + chunk] = _products(gathered, vector)
    return out
