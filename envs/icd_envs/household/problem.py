"""Writes a household as the problem file of this package's own PDDL domain.

Knows how the engine numbers things by their identifiers, and nothing about where things should be.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from icd_envs.household.commands import kind, number
from icd_envs.household.goal import Goal
from icd_envs.household.rooms import COOLABLE, HEATABLE, LAMP, LIDDED, WASHABLE, fits, washes

_STATE = {"clean": "washed", "heat": "hot", "cool": "cold"}
_HEATER, _COOLER = "microwave", "fridge"


def identifier(name: str) -> str:
    """Return the PDDL name of an entity.

    The engine gives the highest number of a kind to the identifier that sorts first: we count down from 99.
    """
    return f"{kind(name)}_bar_{99 - number(name):02d}"


def _spot(place: str) -> str:
    return f"by_{kind(place)}_{number(place)}"


def write_problem(places: Sequence[str], contents: Mapping[str, str], goal: Goal, title: str) -> str:
    """Write the problem text; `contents` maps every thing to its place."""
    place_kinds = sorted({kind(place) for place in places})
    thing_kinds = sorted({kind(thing) for thing in contents})
    objects = [
        ("person", ["me"]),
        ("spot", ["middle", *map(_spot, places)]),
        ("place", [identifier(place) for place in places]),
        ("thing", [identifier(thing) for thing in contents]),
        ("placekind", [f"place_{name}" for name in place_kinds]),
        ("thingkind", [f"thing_{name}" for name in thing_kinds]),
    ]
    declared = "\n".join(f"    {' '.join(names)} - {sort}" for sort, names in objects)
    facts = [*_place_facts(places), *_thing_facts(contents)]
    facts += [
        f"fits thing_{thing} place_{place}"
        for thing in thing_kinds
        for place in place_kinds
        if fits(thing, place)
    ]
    listed = "\n".join(f"    ({fact})" for fact in ["standing me middle", *facts])
    return (
        f"(define (problem {title})\n  (:domain household)\n  (:objects\n{declared})\n"
        f"  (:init\n{listed})\n  (:goal {_goal(goal)}))\n"
    )


def _place_facts(places: Iterable[str]) -> Iterator[str]:
    for place in places:
        name, sort = identifier(place), kind(place)
        yield f"situated {name} {_spot(place)}"
        yield f"sort {name} place_{sort}"
        properties = {
            "lidded": sort in LIDDED,
            "washer": washes(sort),
            "heater": sort == _HEATER,
            "cooler": sort == _COOLER,
        }
        yield from (f"{word} {name}" for word, holds in properties.items() if holds)


def _thing_facts(contents: Mapping[str, str]) -> Iterator[str]:
    for thing, place in contents.items():
        name, sort = identifier(thing), kind(thing)
        yield f"is {name} thing_{sort}"
        yield f"lies {name} {identifier(place)}"
        properties = {
            "portable": sort != LAMP,
            "switchable": sort == LAMP,
            "washable": sort in WASHABLE,
            "heatable": sort in HEATABLE,
            "coolable": sort in COOLABLE,
        }
        yield from (f"{word} {name}" for word, holds in properties.items() if holds)


def _goal(goal: Goal) -> str:
    if goal.lamp:
        return (
            f"(and (exists (?t - thing ?who - person) (and (is ?t thing_{goal.thing}) (holds ?who ?t)))"
            " (exists (?l - thing ?p - place ?s - spot ?who - person)"
            f" (and (is ?l thing_{goal.lamp}) (lit ?l) (lies ?l ?p) (situated ?p ?s) (standing ?who ?s))))"
        )
    names = [f"?t{index}" for index in range(goal.count)]
    parts = [f"(sort ?p place_{goal.place})"]
    parts += [f"(is {name} thing_{goal.thing}) (lies {name} ?p)" for name in names]
    if goal.treatment:
        parts += [f"({_STATE[goal.treatment]} {name})" for name in names]
    if goal.count == 2:
        parts.append("(not (= ?t0 ?t1))")
    return f"(exists (?p - place {' '.join(names)} - thing) (and {' '.join(parts)}))"
