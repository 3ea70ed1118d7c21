"""Where each code of a column stands: the rows of a code, without looking at the others."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[np.int64]
Codes = npt.NDArray[np.int32]

_REST = 1_024
"""Rows that may be new since the postings were made, besides an eighth of all: those are scanned."""


class Postings:
    """Rows by code, for a column that only grows. Brought up to date when enough is new."""

    def __init__(self) -> None:
        self._rows = np.empty(0, dtype=np.int32)
        self._starts = np.zeros(1, dtype=np.int64)
        self._covered = 0

    def update(self, codes: Codes, distinct: int) -> None:
        """Take in the column of `codes`, which has codes below `distinct`."""
        if len(codes) - self._covered > _REST + self._covered // 8:
            self._rows = np.argsort(codes, kind="stable").astype(np.int32)
            self._starts = np.concatenate([[0], np.cumsum(np.bincount(codes, minlength=distinct))])
            self._covered = len(codes)

    def rest(self, codes: Codes) -> tuple[int, Codes]:
        """Return the first row that is too new to be in the postings, and the codes from there."""
        return self._covered, codes[self._covered :]

    def rows(self, codes: Numbers) -> Numbers:
        """Return the rows of all the codes, one code after the other, without those that are too new."""
        codes = codes[codes < len(self._starts) - 1]
        first = self._starts[codes]
        counts = self._starts[codes + 1] - first
        ends = np.cumsum(counts)
        if len(ends) == 0 or ends[-1] == 0:
            return np.empty(0, dtype=np.int64)
        places = np.arange(ends[-1]) + np.repeat(first - (ends - counts), counts)
        rows: Numbers = self._rows[places].astype(np.int64)
        return rows
