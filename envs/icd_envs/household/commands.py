"""Text commands as data: what an action does, to which thing, at which place.

Knows the command family of the household games, in both published wordings and our own, and entity names of
the form ``word number``. Knows nothing of any game's state.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Literal, NamedTuple

Verb = Literal[
    "go", "open", "close", "take", "put", "clean", "heat", "cool", "slice", "use", "examine", "plain"
]

_ENTITY = re.compile(r"\b([a-z]+ \d+)\b")
_NAME = r"([a-z]+ \d+)"
_PATTERNS: tuple[tuple[Verb, re.Pattern[str]], ...] = (
    ("go", re.compile(rf"go to ()?{_NAME}")),
    ("open", re.compile(rf"open ()?{_NAME}")),
    ("close", re.compile(rf"close ()?{_NAME}")),
    ("take", re.compile(rf"take {_NAME} from {_NAME}")),
    ("put", re.compile(rf"(?:move|put) {_NAME} (?:to|in/on|in|on|into|onto) {_NAME}")),
    ("clean", re.compile(rf"clean {_NAME} with {_NAME}")),
    ("heat", re.compile(rf"heat {_NAME} with {_NAME}")),
    ("cool", re.compile(rf"cool {_NAME} with {_NAME}")),
    ("slice", re.compile(rf"slice {_NAME} with {_NAME}")),
    ("use", re.compile(rf"use {_NAME}()")),
    ("examine", re.compile(rf"examine {_NAME}()")),
)


class Command(NamedTuple):
    """One parsed command. `thing` or `place` is empty where the command names none."""

    verb: Verb
    thing: str
    place: str
    text: str


@lru_cache(maxsize=16384)
def parse_command(text: str) -> Command:
    """Read a command; anything outside the family (``look``, ``inventory``, nonsense) is ``plain``.

    The entity that is examined stands in `thing`, be it a thing or a place.
    """
    plain = " ".join(text.lower().split())
    for verb, pattern in _PATTERNS:
        match = pattern.fullmatch(plain)
        if match:
            return Command(verb, match[1] or "", match[2] or "", text)
    return Command("plain", "", "", text)


def parse_commands(texts: Iterable[str]) -> tuple[Command, ...]:
    """Read many commands, in their order."""
    return tuple(parse_command(text) for text in texts)


def entities(text: str) -> list[str]:
    """Return the entities that a text mentions, each once, in the order of their first mention."""
    return list(dict.fromkeys(_ENTITY.findall(text.lower())))


def kind(entity: str) -> str:
    """Return the kind of an entity: ``mug`` for ``mug 2``."""
    return entity.rpartition(" ")[0]


def number(entity: str) -> int:
    """Return the number of an entity: 2 for ``mug 2``."""
    return int(entity.rpartition(" ")[2])
