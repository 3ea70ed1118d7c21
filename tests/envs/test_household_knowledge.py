from __future__ import annotations

import random

import pytest
from household_play import admissible
from hypothesis import given, settings
from hypothesis import strategies as st

from icd_envs.household.commands import Command, entities, parse_command
from icd_envs.household.commonsense import search_order
from icd_envs.household.generator import household
from icd_envs.household.goal import Goal, parse_goal
from icd_envs.household.knowledge import Knowledge
from icd_envs.household.rooms import LIDDED
from icd_envs.household.suite import HouseholdSuite
from icd_envs.household.world import HouseholdWorld

GO = ["go to desk 1", "go to drawer 1", "go to drawer 2", "go to shelf 1"]
PLAIN = ["inventory", "look"]


def started(goal: str = "Find two pens for a shelf.") -> Knowledge:
    know = Knowledge(goal)
    know.start("Around you: shelf 1, drawer 2, drawer 1, desk 1. " + goal, [*GO, *PLAIN])
    return know


@pytest.mark.parametrize(
    ("text", "command"),
    [
        ("go to desk 1", ("go", "", "desk 1")),
        ("take pen 2 from desk 1", ("take", "pen 2", "desk 1")),
        ("move pen 2 to desk 1", ("put", "pen 2", "desk 1")),
        ("put pen 2 in/on desk 1", ("put", "pen 2", "desk 1")),
        ("  Heat  egg 1 with microwave 1 ", ("heat", "egg 1", "microwave 1")),
        ("use lamp 1", ("use", "lamp 1", "")),
        ("examine desk 1", ("examine", "desk 1", "")),
        ("look", ("plain", "", "")),
        ("go to", ("plain", "", "")),
    ],
)
def test_commands(text: str, command: tuple[str, str, str]) -> None:
    assert parse_command(text) == Command(*command, text=text)  # type: ignore[arg-type]


def test_entities_once_and_in_order() -> None:
    assert entities("A pen 2, a mug 1 and again pen 2.") == ["pen 2", "mug 1"]


@pytest.mark.parametrize(
    ("sentence", "goal"),
    [
        ("please put a fork into a drawer", Goal("fork", "drawer")),
        ("put two books on the shelf", Goal("book", "shelf", count=2)),
        ("a hot egg, then on the table", Goal("egg", "table", treatment="heat")),
        ("wash the knives and put them on a counter", Goal("knife", "counter", treatment="clean")),
        ("study a vase under a floorlamp", Goal("vase", lamp="floorlamp")),
        ("put it there", None),
        ("", None),
    ],
)
def test_goals(sentence: str, goal: Goal | None) -> None:
    assert parse_goal(sentence) == goal


def test_places_in_the_order_of_the_start() -> None:
    assert started().places == ("shelf 1", "drawer 2", "drawer 1", "desk 1")


def test_old_wording_names_a_location_but_the_command_names_the_place() -> None:
    know = started()
    know.update(
        "go to drawer 2",
        "You reach loc 12. Shut.",
        ["go to desk 1", "open drawer 2", "examine drawer 2", *PLAIN],
    )
    assert (know.here, know.closed, know.searched) == ("drawer 2", {"drawer 2"}, set())
    know.update(
        "open drawer 2",
        "The drawer 2 opens; a pen 3 and a cd 1 are inside.",
        ["close drawer 2", "take pen 3 from drawer 2", "take cd 1 from drawer 2", "go to desk 1"],
    )
    assert know.contents["drawer 2"] == ["pen 3", "cd 1"]
    know.update("take pen 3 from drawer 2", "Got it.", ["put pen 3 in/on drawer 2", "go to desk 1", *PLAIN])
    assert (know.carrying, know.contents["drawer 2"]) == ("pen 3", ["cd 1"])
    know.update("go to desk 1", "You reach loc 3. Nothing.", ["put pen 3 in/on desk 1", *GO[1:]])
    know.update("put pen 3 in/on desk 1", "Done.", ["take pen 3 from desk 1", *GO[1:]])
    assert (know.carrying, know.contents["desk 1"]) == ("", ["pen 3"])


def test_an_impossible_action_changes_nothing_and_is_shown() -> None:
    know = started()
    know.update("open desk 1", "No.", [*GO, *PLAIN])
    assert know.here == ""
    assert "Not possible: open desk 1" in know.view()
    know.update("look", "Fine.", [*GO, *PLAIN])
    assert "Not possible" not in know.view()


def test_other_places_at_the_same_spot_are_known_from_what_can_be_taken() -> None:
    know = started()
    know.update(
        "go to desk 1",
        "At desk 1 there is a cd 1.",
        ["take cd 1 from desk 1", "take pen 1 from shelf 1", "examine shelf 1", "examine desk 1", *GO[1:3]],
    )
    assert know.contents == {"desk 1": ["cd 1"], "shelf 1": ["pen 1"]}
    assert know.searched == {"desk 1", "shelf 1"}
    assert know.view().splitlines()[0] == "Here: desk 1 (cd 1), shelf 1 (pen 1)"


def test_heating_and_cooling_undo_each_other() -> None:
    know = Knowledge("Warm an egg and leave it at a table.")
    tools = ["heat egg 1 with microwave 1", "cool egg 1 with fridge 1", "clean egg 1 with sink 1"]
    know.start("", tools)
    for command in (tools[2], tools[0], tools[1]):
        know.update(command, "", tools)
    assert know.done == {"egg 1": ["cleaned", "cooled"]}
    know.update(tools[0], "", tools)
    assert know.done == {"egg 1": ["cleaned", "heated"]}


def test_view_of_a_search() -> None:
    know = started()
    assert know.view() == (
        "Here: middle of the room\nCarrying: nothing\nNeeded: shelf 1\n"
        "To search: desk 1, shelf 1, drawer 1, drawer 2"
    )
    know.update(
        "go to drawer 1", "It is closed.", ["open drawer 1", "examine drawer 1", *GO[:1], *GO[2:], *PLAIN]
    )
    assert know.view() == (
        "Here: drawer 1 (closed)\nCarrying: nothing\nNeeded: shelf 1\nTo search: desk 1, shelf 1, drawer 2"
    )


def test_view_of_a_task_for_two() -> None:
    know = started()
    know.update(
        "go to desk 1",
        "There: cd 1, pen 1, pen 2.",
        ["take cd 1 from desk 1", "take pen 1 from desk 1", "take pen 2 from desk 1", *GO[1:], *PLAIN],
    )
    assert know.view() == (
        "Here: desk 1 (pen 1, pen 2, cd 1)\nCarrying: nothing\nFound: pen 1 on desk 1; pen 2 on desk 1\n"
        "Needed: shelf 1"
    )
    know.update("take pen 2 from desk 1", "Yes.", ["move pen 2 to desk 1", *GO[1:]])
    know.update("go to shelf 1", "There: nothing.", ["move pen 2 to shelf 1", *GO[:3]])
    know.update("move pen 2 to shelf 1", "Yes.", ["take pen 2 from shelf 1", *GO[:3]])
    assert know.view() == (
        "Here: shelf 1 (pen 2)\nCarrying: nothing\nFound: pen 1 on desk 1\nPlaced: pen 2 on shelf 1\n"
        "Needed: shelf 1"
    )


def test_search_order_is_common_sense() -> None:
    places = ["bed 1", *(f"drawer {number}" for number in range(20, 0, -1)), "fridge 1", "countertop 1"]
    assert search_order("tomato", places)[:2] == ["countertop 1", "fridge 1"]
    assert search_order("pillow", places)[0] == "bed 1"
    assert search_order("fork", places)[1:4] == ["drawer 1", "drawer 2", "drawer 3"]
    assert sorted(search_order("unheard-of", places)) == sorted(places)


@settings(max_examples=25, deadline=None)
@given(index=st.integers(0, 5000), seed=st.integers(0, 10_000))
def test_what_is_known_is_true(index: int, seed: int) -> None:
    """Random play in a household whose truth is followed beside: what the agent believes holds."""
    home, households, rng = household("train", index), HouseholdSuite(), random.Random(seed)
    world = households.environment()
    assert isinstance(world, HouseholdWorld)
    result = world.reset(households.task(f"household/train/{index:06d}"))
    where, closed = dict(home.contents), {place for place in home.layout.places if place.split()[0] in LIDDED}
    while not result.done:
        busy = [text for text in admissible(result) if not text.startswith("go")]
        action = rng.choice([*rng.choice([busy, list(admissible(result))]), "take nothing from nowhere"])
        command = parse_command(action)
        result = world.step(action)
        if command.verb in ("take", "put"):
            where[command.thing] = command.place if command.verb == "put" else ""
        elif command.verb in ("open", "close"):
            (closed.add if command.verb == "close" else closed.remove)(command.place)
        know = world.knowledge
        assert know is not None
        assert [know.carrying] == ([thing for thing, place in where.items() if not place] or [""])
        assert know.closed <= closed
        for place in know.searched:
            assert sorted(know.contents[place]) == sorted(thing for thing in where if where[thing] == place)
        assert know.steps == 0 or know.here in ("", *home.layout.places)
        assert len(result.view) < 400
