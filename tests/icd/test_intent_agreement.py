"""Agreement of intents: the same verb and the same kinds, whatever their numbers."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from icd.agreement import text_key, vote
from icd.decision import Candidate
from icd.intent_agreement import intent_key, joined_intents

commands = st.one_of(
    st.text(max_size=20),
    st.builds(
        lambda verb, thing, a, place, b: f"{verb} {thing} {a} from {place} {b}",
        st.sampled_from(["take", "Move"]),
        st.sampled_from(["mug", "dish sponge"]),
        st.integers(1, 3),
        st.sampled_from(["shelf", "desk"]),
        st.integers(1, 3),
    ),
)


def candidates(actions: list[str]) -> list[Candidate]:
    return [Candidate(action, text_key(action), text=str(n)) for n, action in enumerate(actions)]


def test_numbers_of_a_kind_do_not_count_and_kinds_and_verbs_do() -> None:
    assert intent_key("go to shelf 2") == intent_key("Go to  shelf 13.") == "go to shelf"
    assert intent_key("go to shelf 2") != intent_key("go to desk 2")
    assert intent_key("open drawer 1") != intent_key("close drawer 1")
    assert intent_key("take mug 1 from desk 2") == intent_key("take mug 3 from desk 1")
    assert intent_key("wait 2 hours") == "wait hours"
    assert intent_key("7") == "7"
    assert intent_key(" ") is None


@given(commands, commands)
def test_equal_actions_have_equal_intents(one: str, other: str) -> None:
    if text_key(one) == text_key(other):
        assert intent_key(one) == intent_key(other)


@given(commands)
def test_an_intent_is_its_own(action: str) -> None:
    intent = intent_key(action)
    assert intent is None or intent_key(intent) == intent


@given(st.lists(commands, min_size=1, max_size=7))
def test_intents_agree_at_least_as_often_as_actions(actions: list[str]) -> None:
    exact = candidates(actions)
    joined = joined_intents(exact)
    assert vote([c.key for c in joined]).share >= vote([c.key for c in exact]).share
    assert [c.action for c in joined] == actions
    assert [c.key is None for c in joined] == [c.key is None for c in exact]


@given(st.lists(commands, min_size=1, max_size=7))
def test_a_group_goes_by_its_first_sample(actions: list[str]) -> None:
    joined = joined_intents(candidates(actions))
    for sample in joined:
        if sample.key is not None:
            first = next(c for c in joined if c.key == sample.key)
            assert text_key(first.action) == sample.key
            assert intent_key(first.action) == intent_key(sample.action)


@given(st.lists(commands, min_size=1, max_size=7), st.integers(1, 7))
def test_groups_do_not_change_when_more_samples_are_drawn(actions: list[str], drawn: int) -> None:
    assert joined_intents(candidates(actions))[:drawn] == joined_intents(candidates(actions[:drawn]))


@given(st.lists(commands, min_size=1, max_size=7))
def test_joining_twice_changes_nothing(actions: list[str]) -> None:
    joined = joined_intents(candidates(actions))
    assert joined_intents(joined) == joined
