"""What houses are made of: rooms and their places, things and what can be done to them, layouts in splits.

Tables of ours. A layout is the set of places of one household; its split follows from a digest of the layout
itself, so that no two splits can share one.
"""

from __future__ import annotations

import hashlib
import random
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from icd_envs.household.commonsense import SURFACE_KINDS, TOOL_KINDS, likelihood

_ROOMS: Mapping[str, str] = {
    "kitchen": (
        "counter 1-3, cabinet 2-5, drawer 1-4, fridge 1-1, microwave 1-1, sink 1-1, stove 0-1, table 0-1, "
        "shelf 0-2, bin 1-1"
    ),
    "bathroom": (
        "counter 1-2, sink 1-1, bathtub 0-1, toilet 1-1, cabinet 1-4, drawer 0-3, shelf 0-2, towelrack 1-2, "
        "hamper 0-1, bin 1-1"
    ),
    "bedroom": (
        "bed 1-2, desk 1-1, nightstand 1-2, dresser 0-1, drawer 2-5, shelf 1-3, armchair 0-1, wardrobe 0-1, "
        "bin 1-1"
    ),
    "livingroom": (
        "sofa 1-2, armchair 0-2, coffeetable 1-1, tvstand 0-1, table 0-1, desk 0-1, shelf 1-3, cabinet 0-3, "
        "drawer 1-3, bin 0-1"
    ),
}
"""Places of a room, with the least and the greatest number of each."""

_THINGS: Mapping[str, tuple[str, ...]] = {
    "kitchen": (
        "apple tomato potato egg bread lettuce mug cup plate bowl knife fork spoon spatula ladle",
        "pan pot kettle bottle jar sponge soap",
    ),
    "bathroom": ("soap sponge cloth towel toiletroll tissuebox lotion comb toothbrush candle bottle",),
    "bedroom": ("book pen pencil notebook phone clock laptop pillow cd watch key card mug tablet tissuebox",),
    "livingroom": (
        "newspaper magazine book remote pillow laptop box vase statue watch key card phone candle glass",
    ),
}
"""Kinds of things that belong to a room."""


_PLACE_COUNTS = {
    room: [(name, int(least), int(most)) for name, least, most in re.findall(r"(\w+) (\d)-(\d)", places)]
    for room, places in _ROOMS.items()
}


def _words(*lines: str) -> frozenset[str]:
    return frozenset(word for line in lines for word in line.split())


HOMES = (
    ("kitchen",),
    ("bathroom",),
    ("bedroom",),
    ("livingroom",),
    ("kitchen", "livingroom"),
    ("bedroom", "bathroom"),
)
"""Which rooms make up one household."""

WASHABLE = _words(
    "apple tomato potato lettuce mug cup plate bowl glass knife fork spoon spatula ladle pan pot kettle",
    "bottle jar sponge cloth soap comb",
)
HEATABLE = _words("apple tomato potato egg bread mug cup plate bowl")
COOLABLE = _words("apple tomato potato egg bread lettuce mug cup bowl plate pan pot bottle jar")
MASS_NOUNS = frozenset({"bread", "lettuce", "soap", "lotion"})
"""Kinds of things of which one says some, not a; nobody asks for two of them."""
LIDDED = frozenset({"cabinet", "drawer", "fridge", "microwave", "wardrobe", "hamper"})
LAMP = "lamp"
LAMP_ROOMS = frozenset({"bedroom", "livingroom"})
LAYOUTS: Mapping[str, int] = {"train": 240, "dev": 60, "test": 60}
"""How many layouts each split draws from."""
_SPLIT_OF_DIGIT = {**{digit: "train" for digit in range(8)}, 8: "dev", 9: "test"}
_PLACES = (8, 20)


@dataclass(frozen=True, slots=True)
class Layout:
    """The places of a household."""

    key: str
    """Its rooms and a digest of its places: the same places have the same key in every process."""
    rooms: tuple[str, ...]
    places: tuple[str, ...]
    """Names of its places, sorted by kind and number."""


def fits(thing_kind: str, place_kind: str) -> bool:
    """Tell whether such things may be put at such places: where they are likely, and on any open surface."""
    return place_kind in SURFACE_KINDS or likelihood(thing_kind, place_kind) >= 1


@lru_cache
def things_of(rooms: frozenset[str]) -> tuple[str, ...]:
    """Return the kinds of things that belong to these rooms, sorted."""
    return tuple(sorted(_words(*(line for room in rooms for line in _THINGS[room]))))


def some(thing_kind: str) -> str:
    """Return a kind of thing with the article that fits."""
    if thing_kind in MASS_NOUNS:
        return f"some {thing_kind}"
    return f"{'an' if thing_kind[0] in 'aeiou' else 'a'} {thing_kind}"


def plural(thing_kind: str) -> str:
    """Return the plural of a kind of thing."""
    if thing_kind.endswith("fe"):
        return thing_kind.removesuffix("fe") + "ves"
    return thing_kind + ("es" if thing_kind.endswith(("x", "s", "ch", "sh", "o")) else "s")


def washes(place_kind: str) -> bool:
    """Tell whether places of this kind wash things."""
    return place_kind in TOOL_KINDS["clean"]


@lru_cache(maxsize=1024)
def layout(split: str, index: int) -> Layout:
    """Return layout `index` of a split; the index runs around after `LAYOUTS` of it."""
    number = index % LAYOUTS[split]
    rooms = HOMES[number % len(HOMES)]
    attempt = 0
    while True:
        found = _draw(rooms, random.Random(f"layout {split} {number} {attempt}"))
        if found is not None and split_of(found) == split:
            return found
        attempt += 1


def split_of(found: Layout) -> str:
    """Return the split to which a layout belongs, by its own digest."""
    return _SPLIT_OF_DIGIT[int(found.key.rpartition("-")[2], 16) % 10]


def _draw(rooms: tuple[str, ...], rng: random.Random) -> Layout | None:
    counts: Counter[str] = Counter()
    for room in rooms:
        for name, least, most in _PLACE_COUNTS[room]:
            counts[name] += rng.randint(least, most)
    places = tuple(f"{name} {index}" for name in sorted(counts) for index in range(1, counts[name] + 1))
    if not _PLACES[0] <= len(places) <= _PLACES[1]:
        return None
    digest = hashlib.sha256("\n".join((*rooms, *places)).encode()).hexdigest()[:10]
    return Layout(f"{'-'.join(rooms)}-{digest}", rooms, places)
