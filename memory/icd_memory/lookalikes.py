"""Near-duplicates of a source's first trajectories, counted at once. Exact, but for collisions of 64-bit hashes.

Two trajectories are alike by their word triples. Against many others the triples are looked up in one table that says
for each which of the others have it, so that a stranger's millionth trajectory costs as little as its tenth.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from functools import cache

import numpy as np
import numpy.typing as npt

Triples = npt.NDArray[np.uint64]
"""The distinct word triples of a text as hashes, in ascending order."""

_ALIKE = 0.6
"""Share of common word triples from which two are near-duplicates."""
_WORD = re.compile(r"[^\W\d]+")
_IS_LETTER = np.array([code > 127 or bool(_WORD.match(chr(code))) for code in range(256)])
"""Of a byte; beyond ASCII all are, since there only words are looked at."""
_LETTERS = np.random.default_rng(0).integers(1 << 64, size=256, dtype=np.uint64)
_LETTERS[ord("A") : ord("Z") + 1] = _LETTERS[ord("a") : ord("z") + 1]
_BASE = 0xD6E8FEB86659FD93
_INVERSE = pow(_BASE, -1, 1 << 64)
_KEPT = 1 << 16
"""Powers that are kept, for texts of so many bytes."""
_MIXED = (np.uint64(0x9E3779B97F4A7C15), np.uint64(0xC2B2AE3D27D4EB4F), np.uint64(0x165667B19E3779F9))
"""Odd numbers by which the places of a triple's words differ."""
_MOST_PENDING = 8
_LAST_BITS = np.uint64((1 << 20) - 1)


def triples(texts: Iterable[str]) -> Triples:
    """Return the word triples of texts as one; numbers don't count, nor does case."""
    words = _words(" ".join(texts))
    first, second, third = (words * factor for factor in _MIXED)
    return _distinct(first[:-2] + second[1:-1] + third[2:])


def _words(text: str) -> Triples:
    """Return a hash for each word of a text, in order.

    A word is a polynomial of its letters, summed up over the whole text at once: `_BASE` to the power of its place is
    divided out, which an odd number can be modulo 2**64.
    """
    if not text.isascii():
        text = " ".join(_WORD.findall(text.lower()))
    codes = np.frombuffer(f" {text} ".encode("utf-8", "surrogatepass"), dtype=np.uint8)
    is_letter = _IS_LETTER.take(codes)
    edges = np.flatnonzero(is_letter[1:] != is_letter[:-1])  # Before each word, and at its last letter.
    powers, inverses = _powers(len(codes))
    sums = np.cumsum(_LETTERS.take(codes) * powers[: len(codes)])
    starts, ends = edges[::2], edges[1::2]
    found: Triples = (sums[ends] - sums[starts]) * inverses[starts]
    return found


def _powers(count: int) -> tuple[Triples, Triples]:
    """Return at least so many powers of `_BASE` and of what it has to be multiplied by to be 1."""
    if count <= _KEPT:
        return _kept_powers()
    return _powers_of(_BASE, count), _powers_of(_INVERSE, count)


@cache
def _kept_powers() -> tuple[Triples, Triples]:
    return _powers_of(_BASE, _KEPT), _powers_of(_INVERSE, _KEPT)


def _powers_of(base: int, count: int) -> Triples:
    found = np.full(count, base, dtype=np.uint64)
    found[0] = 1
    return np.cumprod(found, dtype=np.uint64)


def _distinct(codes: Triples) -> Triples:
    """Return what is different, in order; faster than `numpy.unique`, which may go by hashes."""
    codes = np.sort(codes)
    found: Triples = codes[np.append(True, codes[1:] != codes[:-1])] if len(codes) else codes
    return found


class Lookalikes:
    """Some trajectories that others are compared with."""

    def __init__(self) -> None:
        self._sizes: list[int] = []
        self._smallest = sys.maxsize
        self._seen = np.zeros(int(_LAST_BITS) + 1, dtype=np.bool_)
        """By the last bits of a triple: whether any of them may have it."""
        self._pending: list[Triples] = []
        self._keys: Triples = np.empty(0, dtype=np.uint64)
        self._owners: npt.NDArray[np.uint8] = np.empty((0, 0), dtype=np.uint8)
        """A row a key: the bits of those that have it."""

    def __len__(self) -> int:
        return len(self._sizes)

    def add(self, theirs: Triples) -> None:
        """Compare with these too from now on."""
        self._sizes.append(len(theirs))
        self._pending.append(theirs)
        self._smallest = min(self._smallest, len(theirs))
        self._seen[theirs & _LAST_BITS] = True
        if len(self._pending) > max(_MOST_PENDING, len(self) // 16):
            self._merge()

    def count(self, mine: Triples) -> int:
        """Return how many are near-duplicates of these."""
        size = len(mine)
        mine = mine[self._seen[mine & _LAST_BITS]]
        # 0.6 of the union, which is both sizes less what is shared: with the smallest of the others at least that much.
        if not len(self) or 16 * len(mine) < 6 * (size + self._smallest):
            return 0
        tabled = len(self) - len(self._pending)
        shared = np.zeros(len(self), dtype=np.int64)
        if tabled and len(self._keys):
            places = np.minimum(np.searchsorted(self._keys, mine), len(self._keys) - 1)
            rows = self._owners[places[self._keys[places] == mine]]
            shared[:tabled] = np.unpackbits(rows, axis=1, count=tabled).sum(axis=0)
        for number, theirs in enumerate(self._pending, tabled):
            shared[number] = len(np.intersect1d(mine, theirs, assume_unique=True))
        together = np.asarray(self._sizes, dtype=np.int64) + size - shared
        return int((shared >= _ALIKE * together).sum())

    def _merge(self) -> None:
        """Take those that wait into the table."""
        tabled = len(self) - len(self._pending)
        keys = _distinct(np.concatenate([self._keys, *self._pending]))
        owners = np.zeros((len(keys), -(-len(self) // 8)), dtype=np.uint8)
        owners[np.searchsorted(keys, self._keys), : self._owners.shape[1]] = self._owners
        for number, theirs in enumerate(self._pending, tabled):
            owners[np.searchsorted(keys, theirs), number // 8] |= np.uint8(128 >> number % 8)
        self._keys, self._owners, self._pending = keys, owners, []
