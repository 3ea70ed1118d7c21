"""What things are called: ``sinkbasin 1`` for an object id that holds a kind and a place.

An id such as ``cabinet_bar__plus_01_dot_00_bar_...`` names its kind before the first bar. Things of one kind
are numbered from the last id in alphabetical order to the first.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

_MARKS = (("_bar_", "|"), ("_minus_", "-"), ("_plus_", "+"), ("_dot_", "."), ("_comma_", ","))
_BASIN = "basin"


@dataclass(frozen=True, slots=True)
class Entity:
    """What the wording can say about an object."""

    id: str
    type: str
    name: str
    definite: str = "the"
    indefinite: str = "a"

    def __str__(self) -> str:
        return self.name


def name_entities(ids: Iterable[str], types: Mapping[str, str]) -> dict[str, Entity]:
    """Name the objects that take part in a game; `types` gives the type of each."""
    ordered = sorted(set(ids))
    kinds = {one: _kind(one) for one in ordered}
    left = Counter(kind for kind, numbered in kinds.values() if numbered)
    entities: dict[str, Entity] = {}
    for one in ordered:
        kind, numbered = kinds[one]
        number = ""
        if numbered:
            number = str(left[kind])
            left[kind] -= 1
        # The published names of things without a number end in a space; a text that uses one shows it.
        entities[one] = Entity(one, types.get(one, ""), f"{kind} {number}")
    return entities


def _kind(identifier: str) -> tuple[str, bool]:
    """Return the kind that an id names, and whether there is a number to give."""
    text = identifier
    for mark, character in _MARKS:
        text = text.replace(mark, character)
    kind, bar, _ = text.partition("|")
    if not bar:
        return text, False
    return (kind + _BASIN if _BASIN in identifier else kind), True
