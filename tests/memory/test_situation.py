"""The structure of a situation: what makes two steps of different tasks alike."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from icd_memory.situation import state_text


def test_the_same_situation_in_two_tasks_is_the_same_text() -> None:
    one = state_text("", "Here: desk 1 (egg 2, pen 1, cup 3)\nCarrying: nothing", "put some egg on sofa.")
    two = state_text("", "Here: bed 4 (mug 1, pillow 2)\nCarrying: nothing", "put some mug on table.")
    assert one == two == "Here: other (target, other)\nCarrying: nothing"


def test_a_goal_in_the_plural_names_the_thing() -> None:
    assert state_text("", "Carrying: mug 1", "Bring two mugs to a shelf.") == "Carrying: target"


def test_carrying_the_named_thing_is_another_situation() -> None:
    goal = "put some egg on sofa."
    assert state_text("", "Carrying: egg 1", goal) != state_text("", "Carrying: pen 1", goal)


def test_the_observation_stands_in_where_there_is_no_view() -> None:
    assert state_text("You see a mug 1, and a mug 2.", "", "find a cup") == "You see a other."
    assert state_text("A plain text.", "", "a goal") == "A plain text."


@given(st.text(max_size=80), st.text(max_size=30))
def test_it_never_fails_and_is_stable(text: str, goal: str) -> None:
    assert state_text(text, "", goal) == state_text(text, "", goal)
