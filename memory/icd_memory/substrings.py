"""Which of many short strings a text holds."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

_PLACES = 1 << 16
_LENGTH = 3


class Substrings:
    """Looks for many strings at once: only one all of whose trigrams occur in the text is looked for itself, and in a
    page of text few do."""

    def __init__(self, wanted: Iterable[str]) -> None:
        """Take the strings; none may be empty."""
        self._wanted = tuple(dict.fromkeys(wanted))
        grams = [_grams(one) if len(one) >= _LENGTH else np.array([_PLACES]) for one in self._wanted]
        self._grams = np.concatenate(grams)
        self._starts = np.cumsum([0, *map(len, grams[:-1])])

    def held_by(self, text: str) -> frozenset[str]:
        """Return those that stand in a text."""
        seen = np.zeros(_PLACES + 1, dtype=np.bool_)
        seen[_grams(text)] = True
        seen[_PLACES] = True  # What is too short to have a trigram is always looked for.
        possible = np.logical_and.reduceat(seen[self._grams], self._starts)
        return frozenset(one for place in np.flatnonzero(possible) if (one := self._wanted[place]) in text)


def _grams(text: str) -> npt.NDArray[np.int64]:
    """Return a place in the table for each three bytes in a row; several may share one."""
    codes = np.frombuffer(text.encode("utf-8", "surrogatepass"), dtype=np.uint8).astype(np.int64)
    return (codes[:-2] * 31 + codes[1:-1] * 961 + codes[2:] * 29791) & (_PLACES - 1)
