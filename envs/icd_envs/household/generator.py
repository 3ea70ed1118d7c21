"""New households, seeded: a layout, things where one expects them, a task, and a walkthrough that solves it.

The same split and index always give the same household, in every process. A household is values;
`Household.game_file` writes it in the format of ``game.tw-pddl``, in the domain and wording of this package.
"""

from __future__ import annotations

import hashlib
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from math import sqrt

from icd_envs.errors import TaskNotFoundError
from icd_envs.household.commands import kind
from icd_envs.household.commonsense import TOOL_KINDS, likelihood
from icd_envs.household.game import GameFile
from icd_envs.household.goal import Goal, Treatment
from icd_envs.household.problem import write_problem
from icd_envs.household.rooms import (
    COOLABLE,
    HEATABLE,
    LAMP,
    LAMP_ROOMS,
    LAYOUTS,
    LIDDED,
    MASS_NOUNS,
    WASHABLE,
    Layout,
    fits,
    layout,
    plural,
    some,
    things_of,
)

CATEGORIES = (
    "pick_and_place_simple",
    "look_at_obj_in_light",
    "pick_clean_then_place_in_recep",
    "pick_heat_then_place_in_recep",
    "pick_cool_then_place_in_recep",
    "pick_two_obj_and_place",
)
"""The six kinds of tasks, by the names that ALFWorld gave them."""

_TREATMENT: Mapping[str, Treatment] = {
    "pick_clean_then_place_in_recep": "clean",
    "pick_heat_then_place_in_recep": "heat",
    "pick_cool_then_place_in_recep": "cool",
}
_CAN_BE: Mapping[Treatment, frozenset[str]] = {"clean": WASHABLE, "heat": HEATABLE, "cool": COOLABLE}
_SENTENCES: Mapping[str, tuple[str, ...]] = {
    "pick_and_place_simple": ("Bring {thing} to a {place}.", "Find {thing} and leave it at a {place}."),
    "look_at_obj_in_light": ("Inspect {thing} by the light of a lamp.", "Hold {thing} near a lit lamp."),
    "pick_clean_then_place_in_recep": (
        "Wash {thing} and leave it at a {place}.",
        "Bring {thing}, freshly washed, to a {place}.",
    ),
    "pick_heat_then_place_in_recep": (
        "Warm {thing} and leave it at a {place}.",
        "Bring {thing}, still warm, to a {place}.",
    ),
    "pick_cool_then_place_in_recep": (
        "Chill {thing} and leave it at a {place}.",
        "Bring {thing}, well chilled, to a {place}.",
    ),
    "pick_two_obj_and_place": (
        "Bring two {things} to the same {place}.",
        "Gather two {things} at one {place}.",
    ),
}
_DISTRACTORS = (9, 16)
_MAX_INDEX = 10**6


@dataclass(frozen=True, slots=True)
class Household:
    """One generated household with its task."""

    split: str
    index: int
    category: str
    sentence: str
    goal: Goal
    layout: Layout
    contents: Mapping[str, str]
    """Every thing, and the place where it lies at the start."""

    @property
    def key(self) -> str:
        """A digest of what is in it: two households with the same key are the same."""
        parts = [
            self.sentence,
            *self.layout.places,
            *(f"{thing} {place}" for thing, place in self.contents.items()),
        ]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()

    def walkthrough(self) -> tuple[str, ...]:
        """Return commands that solve the task, found with full sight of the household."""
        return tuple(_walkthrough(self))

    def game_file(self) -> GameFile:
        """Write the household as a game."""
        domain, wording = _texts()
        return GameFile(
            pddl_domain=domain,
            grammar=wording.replace("@GOAL@", self.sentence),
            pddl_problem=write_problem(
                self.layout.places, self.contents, self.goal, f"household-{self.split}-{self.index:06d}"
            ),
            walkthrough=self.walkthrough(),
        )


@lru_cache(maxsize=1)
def _texts() -> tuple[str, str]:
    folder = files("icd_envs.household")
    return folder.joinpath("household.pddl").read_text("utf-8"), folder.joinpath("household.twl").read_text(
        "utf-8"
    )


def category_of(index: int) -> str:
    """Return the category of the household with this number: they take turns."""
    return CATEGORIES[index % len(CATEGORIES)]


def household(split: str, index: int) -> Household:
    """Return the household with this number. Raises `TaskNotFoundError`."""
    if split not in LAYOUTS or not 0 <= index < _MAX_INDEX:
        raise TaskNotFoundError(
            f"no household {split}/{index}: splits are {', '.join(LAYOUTS)}, numbers 0 to {_MAX_INDEX - 1}"
        )
    category = category_of(index)
    rng = random.Random(f"household {split} {index}")
    while True:
        found = layout(split, rng.randrange(LAYOUTS[split]))
        goal = _draw_goal(category, found, rng)
        if goal is not None:
            break
    sentence = rng.choice(_SENTENCES[category]).format(
        thing=some(goal.thing), things=plural(goal.thing), place=goal.place
    )
    return Household(split, index, category, sentence, goal, found, _furnish(found, goal, rng))


def _draw_goal(category: str, found: Layout, rng: random.Random) -> Goal | None:
    """Draw a goal that can be reached in this layout; None if the draw fails."""
    kinds = sorted({kind(place) for place in found.places})
    if category == "look_at_obj_in_light":
        things = things_of(LAMP_ROOMS.intersection(found.rooms))
        return Goal(rng.choice(things), lamp=LAMP) if things else None
    treatment = _TREATMENT.get(category)
    tools = TOOL_KINDS[treatment] if treatment else ()
    count = 2 if category == "pick_two_obj_and_place" else 1
    things = tuple(
        thing
        for thing in things_of(frozenset(found.rooms))
        if (treatment is None or thing in _CAN_BE[treatment]) and (count == 1 or thing not in MASS_NOUNS)
    )
    if not things or (tools and not set(tools).intersection(kinds)):
        return None
    thing = rng.choice(things)
    targets = [name for name in kinds if name not in tools and fits(thing, name)]
    target = rng.choice(targets) if targets else ""
    if not target or not any(likelihood(thing, name) >= 1 for name in kinds if name != target):
        return None
    return Goal(thing, place=target, treatment=treatment, count=count)


def _furnish(found: Layout, goal: Goal, rng: random.Random) -> Mapping[str, str]:
    """Put the goal's things, lamps and a number of other things where one expects them."""
    stock = [goal.thing] * (goal.count + (rng.random() < 0.4))
    others = [thing for thing in things_of(frozenset(found.rooms)) if thing != goal.thing]
    stock += rng.choices(others, k=rng.randint(*_DISTRACTORS))
    if LAMP_ROOMS.intersection(found.rooms):
        stock += [LAMP] * rng.randint(1, 2)
    rng.shuffle(stock)
    numbers: Counter[str] = Counter()
    contents: dict[str, str] = {}
    places_by_kind = Counter(kind(place) for place in found.places)
    for thing in stock:
        # At the place that the goal names, a thing would win a plain task before its first step.
        barred = goal.place if thing == goal.thing else ""
        place = _draw_place(thing, barred, found.places, places_by_kind, rng)
        if place:
            numbers[thing] += 1
            contents[f"{thing} {numbers[thing]}"] = place
    return dict(sorted(contents.items()))


def _draw_place(
    thing: str, barred: str, places: Sequence[str], places_by_kind: Mapping[str, int], rng: random.Random
) -> str:
    """Draw a place by likelihood, which many places of one kind share; empty if the thing belongs nowhere."""
    weights = {}
    for name, count in places_by_kind.items():
        weight = likelihood(thing, name)
        if name != barred and weight >= 1 and not (thing == LAMP and name in LIDDED):
            weights[name] = weight / sqrt(count)
    fitting = [place for place in places if kind(place) in weights]
    return rng.choices(fitting, [weights[kind(place)] for place in fitting])[0] if fitting else ""


def _walkthrough(home: Household) -> list[str]:
    goal, commands, opened = home.goal, [], set[str]()

    def visit(place: str, needs_open: bool = True) -> None:
        commands.append(f"go to {place}")
        if needs_open and kind(place) in LIDDED and place not in opened:
            opened.add(place)
            commands.append(f"open {place}")

    def first(kinds: Sequence[str]) -> str:
        return next(place for name in kinds for place in home.layout.places if kind(place) == name)

    for thing in [thing for thing in home.contents if kind(thing) == goal.thing][: goal.count]:
        visit(home.contents[thing])
        commands.append(f"take {thing} from {home.contents[thing]}")
        if goal.treatment:
            tool = first(TOOL_KINDS[goal.treatment])
            if home.contents[thing] != tool:
                visit(tool, needs_open=False)
            commands.append(f"{goal.treatment} {thing} with {tool}")
        if goal.lamp:
            lamp, place = next((name, at) for name, at in home.contents.items() if kind(name) == goal.lamp)
            if home.contents[thing] != place:
                visit(place)
            commands.append(f"use {lamp}")
        else:
            target = first([goal.place])
            visit(target)
            commands.append(f"move {thing} to {target}")
    return commands
