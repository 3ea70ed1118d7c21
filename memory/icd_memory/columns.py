"""Columns that grow: rows of numbers, names kept as small numbers, vectors kept once each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Matrix = npt.NDArray[np.float32]
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
            shape = (max(needed, 2 * self._used, 64), *self._rows.shape[1:])
            grown = np.empty(shape, dtype=self._rows.dtype)
            grown[: self._used] = self.rows
            self._rows = grown
        self._rows[self._used : needed] = rows
        self._used = needed


class Names:
    """A column of texts, kept as small numbers to filter by."""

    def __init__(self, names: Sequence[str] = (), codes: Numbers | None = None) -> None:
        self.names = list(names)
        self.codes = Growing(np.empty(0, dtype=np.int64) if codes is None else codes)
        self._code = {name: code for code, name in enumerate(self.names)}

    def append(self, name: str) -> None:
        """Add a row."""
        self.codes.extend(np.asarray([self._coded(name)]))

    def take_in(self, other: Names, rows: Numbers) -> None:
        """Add the chosen rows of another column."""
        codes = np.asarray([self._coded(name) for name in other.names], dtype=np.int64)
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
    """A column of vectors of which many are equal: each is kept once."""

    def __init__(self, vectors: Matrix, codes: Numbers | None = None) -> None:
        self.vectors = Growing(vectors)
        self.codes = Growing(np.empty(0, dtype=np.int64) if codes is None else codes)
        self._code: dict[bytes, int] | None = None

    def append(self, vector: Matrix) -> None:
        """Add a row."""
        self.codes.extend(np.asarray([self._coded(vector)]))

    def take_in(self, other: Unique, rows: Numbers) -> None:
        """Add the chosen rows of another column."""
        codes = other.codes.rows[rows]
        renamed = np.zeros(len(other.vectors.rows), dtype=np.int64)
        for code in np.unique(codes).tolist():
            renamed[code] = self._coded(other.vectors.rows[code])
        self.codes.extend(renamed[codes])

    def scores(self, vector: Matrix) -> Matrix:
        """Return each row's dot product with `vector`."""
        # By einsum, as in `icd_memory.segment`: a BLAS would wake threads.
        products: Matrix = np.einsum("ij,j->i", self.vectors.rows, vector)
        return np.take(products, self.codes.rows)

    def _coded(self, vector: Matrix) -> int:
        if self._code is None:
            self._code = {row.tobytes(): code for code, row in enumerate(self.vectors.rows)}
        key = vector.tobytes()
        if key not in self._code:
            self._code[key] = len(self._code)
            self.vectors.extend(vector[None])
        return self._code[key]
