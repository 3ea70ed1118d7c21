"""What was worked out from a text, kept for the next time: an agent sends the same tools with every call."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

_Text = TypeVar("_Text", str, bytes)
_T = TypeVar("_T")


class Kept(Generic[_Text, _T]):
    """Values by the text that they were made from, the least recently used dropped first. Safe for threads."""

    def __init__(self, most: int) -> None:
        """Keep values of so many characters or bytes of text in all: a client chooses how long its texts are."""
        self._most, self._size = most, 0
        self._kept: OrderedDict[_Text, _T] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, text: _Text, make: Callable[[], _T]) -> _T:
        """Return the value of a text, made if it is not at hand."""
        with self._lock:
            if text in self._kept:
                self._kept.move_to_end(text)
                return self._kept[text]
        made = make()
        with self._lock:
            if text not in self._kept:
                self._size += len(text)
            self._kept[text] = made
            while self._size > self._most:
                self._size -= len(self._kept.popitem(last=False)[0])
        return made
