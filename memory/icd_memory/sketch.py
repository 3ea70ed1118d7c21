"""Short forms of vectors that bound their dot products from above: what the exact index prunes with.

The texts of one task family look alike, so a few directions hold most of their vectors' length. With an
orthonormal basis B of those, x = Bx' + r, and by Cauchy and Schwarz q·x ≤ q'·x' + |q - Bq'|·|r|. The sketch
of x is (x', |r|), a sixth of its size; whatever the basis, the bound holds, and nothing that is pruned with
it could have been found.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from icd_memory.growing import Growing

Matrix = npt.NDArray[np.float32]

DIRECTIONS = 63
"""With the length of the rest, a sketch is four cache lines."""
_SAMPLE = 4_096
"""Rows that the basis is chosen from."""

_SLACK = np.float32(4e-6)
"""Added to squared lengths: more than float32 arithmetic is off by, so that a bound stays one."""


class Sketch:
    """The sketches of a growing matrix's rows; empty until it is first brought up to date."""

    def __init__(self, dimension: int, basis: Matrix | None = None, rows: Matrix | None = None) -> None:
        self.basis = basis
        width = min(DIRECTIONS, dimension) + 1
        self._rows = Growing(np.empty((0, width), dtype=np.float32) if rows is None else rows)

    @property
    def rows(self) -> Matrix:
        """One sketch a row: its coordinates, then the length of what they leave out."""
        return self._rows.rows

    def extend(self, vectors: Matrix) -> None:
        """Bring the sketch up to date with the whole matrix, of which rows were only added."""
        if self.basis is None:
            self.basis = _fitted(vectors)
        self._rows.extend(_sketched(vectors[len(self.rows) :], self.basis))

    def query(self, vector: Matrix) -> Matrix:
        """Return what the dot product of a sketch with is the bound of the vectors' dot product."""
        if self.basis is None:
            raise ValueError("no basis yet")
        query: Matrix = _sketched(vector[None], self.basis)[0]
        return query


def _fitted(vectors: Matrix) -> Matrix:
    """Return the orthonormal directions, as columns, that hold most of an even sample of the vectors."""
    sample = vectors[:: max(1, len(vectors) // _SAMPLE)]
    _, directions = np.linalg.eigh((sample.T @ sample).astype(np.float64))
    return np.ascontiguousarray(directions[:, ::-1][:, :DIRECTIONS], dtype=np.float32)


def _sketched(vectors: Matrix, basis: Matrix) -> Matrix:
    inside = vectors @ basis
    outside = np.einsum("ij,ij->i", vectors, vectors) - np.einsum("ij,ij->i", inside, inside)
    lengths = np.sqrt(np.maximum(outside, 0) + _SLACK)
    return np.concatenate([inside, lengths[:, None]], axis=1).astype(np.float32)
