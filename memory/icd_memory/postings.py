"""Which trajectories have each code of a column, and where first, without looking at the others."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[np.int64]
Codes = npt.NDArray[np.int32]

_REST = 1_024
"""Steps that may be new since the postings were made, besides an eighth of all: those are scanned."""

_FEW = 64
"""Codes whose places are copied run by run."""


class Places(NamedTuple):
    """Where codes stand: one entry a place."""

    steps: Codes
    owners: Codes
    """The rows of the trajectories that the steps belong to."""
    codes: Codes


class Postings:
    """First places by code and trajectory, for a column that only grows. Brought up to date when enough is new."""

    def __init__(self) -> None:
        self._steps = np.empty(0, dtype=np.int32)
        self._owners = np.empty(0, dtype=np.int32)
        self._starts = np.zeros(1, dtype=np.int64)
        self._covered = 0

    def __len__(self) -> int:
        """Return the number of codes: those from there on are too new."""
        return len(self._starts) - 1

    @property
    def covered(self) -> int:
        """How many steps they were made from."""
        return self._covered

    def update(self, codes: Codes, owners: Codes, distinct: int) -> None:
        """Take in the column of `codes`, which has codes below `distinct`; `owners` never fall."""
        if len(codes) - self._covered > _REST + self._covered // 8:
            order = np.argsort(codes, kind="stable")
            by_code, owners = codes[order], owners[order]
            first = np.ones(len(order), dtype=np.bool_)
            first[1:] = (by_code[1:] != by_code[:-1]) | (owners[1:] != owners[:-1])
            self._steps = order[first].astype(np.int32)
            self._owners = owners[first]
            self._starts = np.concatenate([[0], np.cumsum(np.bincount(by_code[first], minlength=distinct))])
            self._covered = len(codes)

    def rest(self, codes: Codes, owners: Codes) -> Places:
        """Return the steps that are too new to be in the postings."""
        new = slice(self._covered, None)
        return Places(np.arange(self._covered, len(codes), dtype=np.int32), owners[new], codes[new])

    def places(self, codes: Numbers) -> Places:
        """Return where each of the codes, which are below `len`, stands first in each trajectory that has it."""
        first = self._starts[codes]
        counts = self._starts[codes + 1] - first
        if 0 < len(codes) <= _FEW:
            runs = [
                slice(start, end)
                for start, end in zip(first.tolist(), (first + counts).tolist(), strict=True)
            ]
            steps, owners = (
                np.concatenate([rows[run] for run in runs]) for rows in (self._steps, self._owners)
            )
            return Places(steps, owners, np.repeat(codes, counts))
        begins = np.cumsum(counts) - counts
        at = np.arange(counts.sum()) + np.repeat(first - begins, counts)
        return Places(self._steps[at], self._owners[at], np.repeat(codes, counts))
