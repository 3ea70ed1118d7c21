"""Carrying a demonstrated step over to another task."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from icd.analogy import copied_action, correspondence, rename
from icd.decision import DecisionContext
from icd_memory.retrieval import Excerpt
from icd_memory.trajectory import Step

WORD = st.sampled_from(["egg", "mug", "pan", "fridge", "shelf", "sofa"])


def test_sentences_built_alike_give_the_names() -> None:
    names = correspondence(
        "heat some egg and put it in garbagecan.", "heat some tomato and put it in fridge."
    )
    assert names["egg"] == "tomato"
    assert names["garbagecan"] == "fridge"


def test_sentences_built_differently_give_none() -> None:
    assert correspondence("look at egg under the lamp.", "examine the mug with the lamp.") == {}
    assert correspondence("put a hot egg in fridge.", "heat some egg and put it in fridge.") == {}


def test_articles_do_not_count_and_plurals_are_known_in_the_singular() -> None:
    names = correspondence("Bring two mugs to an ottoman.", "Bring two boxes to a shelf.")
    assert (names["mugs"], names["mug"], names["ottoman"]) == ("boxes", "box", "shelf")
    assert "an" not in names


@given(WORD, WORD, WORD, WORD)
def test_no_two_names_fall_together(a: str, b: str, c: str, d: str) -> None:
    names = correspondence(f"put {a} in {b}", f"put {c} in {d}")
    assert set(names) == set(names.values())


def test_names_swap_places_without_falling_together() -> None:
    names = correspondence("put a mug on desk.", "put a desk on mug.")
    assert rename("Mug 1 is on desk 2", names) == "Desk 1 is on mug 2"


@given(st.text(alphabet="abc 12\n", max_size=40))
def test_without_names_a_text_stays(text: str) -> None:
    assert rename(text, {}) == text


def excerpt(action: str) -> Excerpt:
    step = Step("", action, "why")
    return Excerpt("t", "put some egg on shelf.", "place", "", (step,), 0, 0, 1.0, 1.0, 1.0, "test")


def context(*admissible: str, done: tuple[str, ...] = ()) -> DecisionContext:
    history = tuple(Step("", action) for action in done)
    return DecisionContext("put some mug on sofa.", "place", "", history=history, admissible=admissible)


def test_the_very_action_is_copied_where_it_is_possible() -> None:
    assert copied_action(
        excerpt("take egg 1 from bed 1"), context("take mug 1 from bed 1", "look"), frozenset()
    ) == ("take mug 1 from bed 1")


def test_else_what_does_the_same_to_what_the_task_names() -> None:
    possible = context("take pen 1 from bed 2", "take mug 3 from bed 2", "look")
    assert (
        copied_action(excerpt("take egg 1 from drawer 1"), possible, frozenset()) == "take mug 3 from bed 2"
    )


def test_nothing_is_copied_where_nothing_is_like_it() -> None:
    assert (
        copied_action(excerpt("take egg 1 from bed 1"), context("take pen 1 from bed 2"), frozenset()) is None
    )


def test_a_search_goes_on_where_it_has_not_been() -> None:
    possible = context("go to drawer 1", "go to bed 1", "go to sofa 1", done=("go to drawer 1",))
    assert copied_action(excerpt("go to desk 9"), possible, frozenset()) == "go to bed 1"


def test_what_led_nowhere_is_not_copied() -> None:
    assert (
        copied_action(excerpt("go to drawer 1"), context("go to drawer 1"), frozenset({"go to drawer 1"}))
        is None
    )
