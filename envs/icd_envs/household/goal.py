"""What a task sentence asks for, read from its structure.

Knows the six kinds of tasks, in the published sentences and in ours: a few words tell the kind of task, and
what is left beside small words names the thing and then the place (or the lamp). Free human sentences are out
of reach: `parse_goal` returns None for what it cannot read.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from icd_envs.household.commonsense import is_thing_kind

Treatment = Literal["clean", "heat", "cool"]

_TREATMENTS: Mapping[Treatment, tuple[str, ...]] = {
    "clean": ("clean", "cleaned", "wash", "washed", "rinse", "rinsed"),
    "heat": ("heat", "heated", "hot", "warm", "warmed"),
    "cool": ("cool", "cooled", "cold", "chill", "chilled"),
}
_TREATMENT_WORDS = {word: treatment for treatment, words in _TREATMENTS.items() for word in words}
DONE_WORDS: Mapping[str, str] = {"clean": "cleaned", "heat": "heated", "cool": "cooled"}
"""How a thing is called once a treatment is done."""
_LIGHT_WORDS = frozenset({"look", "examine", "inspect", "study", "light", "lit"})
_TWO_WORDS = frozenset({"two", "both", "pair", "2"})
_SMALL_WORDS = frozenset(
    word
    for words in (
        "a an the some any one it them then and of to in on at into onto by under with near up down off over",
        "there that so your you task is please put place move bring carry take get find leave set keep store",
        "gather collect hold need needs together be from for inside atop beside next same",
    )
    for word in words.split()
)


@dataclass(frozen=True, slots=True)
class Goal:
    """What must be true at the end of a task."""

    thing: str
    """Kind of the thing that the task is about."""
    place: str = ""
    """Kind of the place where it must end up; empty for a task under a lamp."""
    lamp: str = ""
    """Kind of the lamp that must shine on it; empty for the others."""
    treatment: Treatment | None = None
    count: int = 1
    """How many things must end up in one and the same place."""


def _singular(word: str) -> str:
    for stem in (word, word.removesuffix("s"), word.removesuffix("es"), word.removesuffix("ves") + "fe"):
        if is_thing_kind(stem):
            return stem
    return word


def parse_goal(sentence: str) -> Goal | None:
    """Read a task sentence; None if it does not name a thing and a place (or a lamp)."""
    words = re.findall(r"[a-z]+|\d+", sentence.lower())
    treatment = next((_TREATMENT_WORDS[word] for word in words if word in _TREATMENT_WORDS), None)
    count = 2 if _TWO_WORDS.intersection(words) else 1
    named = [
        word
        for word in words
        if word not in _SMALL_WORDS | _LIGHT_WORDS | _TWO_WORDS and word not in _TREATMENT_WORDS
    ]
    lamp = next((word for word in named if word.endswith("lamp")), "")
    if lamp and len(named) >= 2 and treatment is None and _LIGHT_WORDS.intersection(words):
        return Goal(_singular(next(word for word in named if word != lamp)), lamp=lamp)
    if len(named) < 2:
        return None
    thing, place = _singular(named[0]), named[-1]
    return Goal(thing, place=place, treatment=treatment, count=count)
