"""Where things usually are, and what does what: the common sense that every agent of a household may use.

A table of ours, plausible rather than counted: for a group of things, how likely each kind of place is,
relative to the others. It covers our own vocabulary and the published one; an unknown thing gets the group
``anything``. It knows nothing about a particular house.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from math import sqrt

from icd_envs.household.commands import kind, number

_CANONICAL_PLACE: Mapping[str, str] = {
    "countertop": "counter",
    "diningtable": "table",
    "garbagecan": "bin",
    "sinkbasin": "sink",
    "bathtubbasin": "bathtub",
    "stoveburner": "stove",
    "handtowelholder": "towelrack",
    "towelholder": "towelrack",
    "toiletpaperhanger": "paperholder",
    "laundryhamper": "hamper",
    "sidetable": "nightstand",
    "ottoman": "armchair",
}
"""Published names of places, and ours for the same kind."""

_CLOSED_KINDS = frozenset({"cabinet", "drawer", "fridge", "microwave", "safe", "wardrobe", "hamper", "box"})
"""Kinds that usually must be opened: looking into one costs a step more."""

_HOLLOW_KINDS = frozenset({"bin", "sink", "bathtub", "cart", "coffeemachine"})


def _weights(text: str) -> Mapping[str, float]:
    """Read ``counter 8, table 6`` as weights by kind of place."""
    return {name: float(weight) for name, weight in (part.split() for part in text.split(", "))}


_GROUPS: Mapping[str, Mapping[str, float]] = {
    group: _weights(text)
    for group, text in {
        "food": "counter 8, table 6, fridge 8, sink 3, microwave 3, bin 3, nightstand 1",
        "crockery": (
            "counter 7, table 6, cabinet 6, sink 4, fridge 3, coffeemachine 4, microwave 2, shelf 3, "
            "desk 3, dresser 1, nightstand 1, coffeetable 2"
        ),
        "cutlery": "counter 8, table 6, drawer 5, sink 4, nightstand 1, cabinet 1",
        "cookware": "stove 10, counter 6, cabinet 4, table 2, sink 3, fridge 1, shelf 1",
        "condiment": "counter 7, cabinet 6, table 5, drawer 3, shelf 3, nightstand 1",
        "bottle": "counter 6, table 4, cabinet 5, fridge 3, bin 3, shelf 3, sink 1",
        "cleaning": (
            "counter 7, sink 5, bathtub 5, toilet 4, cabinet 4, drawer 3, shelf 3, bin 2, cart 2, "
            "nightstand 1, towelrack 1"
        ),
        "bath": (
            "counter 8, toilet 8, cabinet 5, shelf 4, bin 3, drawer 3, nightstand 2, cart 2, bathtub "
            "2, dresser 2, sink 1"
        ),
        "soap": "counter 6, toilet 6, sink 5, bathtub 6, cabinet 4, bin 3, drawer 3, shelf 3, cart 2",
        "paper": (
            "counter 6, toilet 6, paperholder 8, bin 4, shelf 4, cabinet 4, drawer 3, dresser 2, cart 2"
        ),
        "towel": "towelrack 12, wardrobe 3, counter 2, bathtub 2, hamper 2, shelf 1, cabinet 1",
        "writing": "desk 9, nightstand 6, dresser 5, shelf 4, drawer 5, table 4, coffeetable 2, bin 1",
        "reading": (
            "bed 7, desk 6, coffeetable 5, nightstand 5, sofa 5, dresser 3, shelf 4, table 4, "
            "armchair 3, tvstand 2, drawer 2, cabinet 1"
        ),
        "gadget": (
            "bed 5, desk 6, nightstand 5, dresser 4, sofa 4, coffeetable 5, shelf 4, table 4, "
            "armchair 3, tvstand 3, drawer 4, counter 1, bin 1"
        ),
        "small": (
            "nightstand 7, coffeetable 5, dresser 5, sofa 3, table 4, desk 4, shelf 4, armchair 4, "
            "drawer 5, tvstand 3, counter 1, safe 1, bed 1"
        ),
        "cushion": "bed 10, sofa 7, armchair 3, wardrobe 2",
        "ornament": (
            "shelf 7, table 5, coffeetable 5, nightstand 4, dresser 4, tvstand 3, desk 3, cabinet 2, "
            "counter 1"
        ),
        "candle": "counter 7, toilet 6, shelf 4, drawer 3, cabinet 3, table 2, coffeetable 2, bathtub 1",
        "container": (
            "sofa 6, coffeetable 5, table 4, nightstand 3, tvstand 3, dresser 3, wardrobe 3, armchair 2, "
            "bed 2, cabinet 1"
        ),
        "lamp": "desk 9, nightstand 7, dresser 5, shelf 3, coffeetable 2, table 2, tvstand 1",
        "anything": (
            "counter 3, table 3, desk 3, nightstand 3, coffeetable 3, dresser 3, shelf 3, bed 2, sofa "
            "2, cabinet 2, drawer 2, armchair 2, sink 1, bin 1"
        ),
    }.items()
}

_MEMBERS: Mapping[str, str] = {
    "food": "apple tomato potato egg bread lettuce orange carrot onion",
    "crockery": "mug cup plate bowl glass",
    "cutlery": "knife butterknife fork spoon spatula ladle whisk",
    "cookware": "pan pot kettle",
    "condiment": "saltshaker peppershaker salt pepper",
    "bottle": "winebottle glassbottle bottle jar",
    "cleaning": "dishsponge sponge cloth scrubbrush brush",
    "bath": "soapbottle spraybottle tissuebox tissues lotion comb toothbrush",
    "soap": "soapbar soap",
    "paper": "toiletpaper papertowelroll toiletroll",
    "towel": "handtowel towel",
    "writing": "pen pencil cd notebook marker",
    "reading": "book newspaper magazine laptop tablet",
    "gadget": "cellphone phone alarmclock clock remotecontrol remote charger",
    "small": "keychain creditcard watch wallet key card",
    "cushion": "pillow cushion teddybear",
    "ornament": "statue vase houseplant wateringcan",
    "candle": "candle",
    "container": "box basketball",
    "lamp": "desklamp floorlamp lamp",
}

_GROUP_OF: Mapping[str, str] = {name: group for group, names in _MEMBERS.items() for name in names.split()}

TOOL_KINDS: Mapping[str, tuple[str, ...]] = {
    "clean": ("sinkbasin", "sink", "bathtubbasin", "bathtub"),
    "heat": ("microwave", "stove", "oven"),
    "cool": ("fridge", "freezer"),
}
"""Kinds of places that clean, heat and cool, the likeliest first."""

SURFACE_KINDS = ("counter", "table", "desk", "coffeetable", "nightstand", "dresser", "shelf")
"""Open surfaces that take any small thing."""

SPARE_KINDS = ("countertop", "diningtable", "sidetable", *SURFACE_KINDS)
"""Where a thing that is in the way can usually be put down."""


def preposition(place_kind: str) -> str:
    """Return whether things are ``in`` or ``on`` places of this kind."""
    name = _CANONICAL_PLACE.get(place_kind, place_kind)
    return "in" if name in _CLOSED_KINDS | _HOLLOW_KINDS else "on"


def is_thing_kind(word: str) -> bool:
    """Tell whether the table knows a kind of thing by this name."""
    return word in _GROUP_OF


def likelihood(thing_kind: str, place_kind: str) -> float:
    """Return how likely a thing of this kind is at some place of this kind, relative to other kinds."""
    weights = _GROUPS[_GROUP_OF.get(thing_kind, "anything")]
    return weights.get(_CANONICAL_PLACE.get(place_kind, place_kind), 0.2)


def search_order(thing_kind: str, places: Sequence[str]) -> list[str]:
    """Return `places` in the order in which to search for a thing: likely and cheap to look into comes first.

    Many places of one kind share its likelihood, so one counter comes before the first of twenty drawers.
    Equal places keep the order of their numbers.
    """
    counts = Counter(kind(place) for place in places)

    def worth(place: str) -> float:
        name = kind(place)
        cost = 1.6 if _CANONICAL_PLACE.get(name, name) in _CLOSED_KINDS else 1.0
        return likelihood(thing_kind, name) / (sqrt(counts[name]) * cost)

    return sorted(places, key=lambda place: (-worth(place), kind(place), number(place)))
