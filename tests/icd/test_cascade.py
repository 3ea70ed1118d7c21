"""Who takes a step: properties of the pure functions."""

from __future__ import annotations

import random
from typing import get_args

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from icd.agreement import text_key, vote
from icd.cascade import (
    Evidence,
    Guards,
    Policy,
    PolicyName,
    considered,
    decide,
    next_round,
    parse_policy,
    resolved,
    stays_ahead,
    wants_sample,
)
from icd.errors import ConfigurationError

NO_GUARDS = Guards()
keys_lists = st.lists(st.sampled_from(["a", "b", "c", None]), min_size=1, max_size=7)
thresholds = st.floats(0.01, 1.0)
guards_sets = st.builds(
    Guards, st.booleans(), st.booleans(), st.one_of(st.none(), st.floats(-1, 1, allow_nan=False))
)


@st.composite
def policies(draw: st.DrawFn) -> Policy:
    name = draw(st.sampled_from(get_args(PolicyName)))
    match name:
        case "random":
            return Policy("random", p=draw(st.floats(0, 1)))
        case "unanimity":
            return Policy("unanimity", n=draw(st.integers(1, 9)))
        case "majority":
            return Policy("majority", n=draw(st.integers(1, 9)), threshold=draw(thresholds))
        case "sequential":
            return Policy("sequential", n=draw(st.integers(1, 9)), confidence=draw(thresholds))
        case "calibrated":
            inner = st.floats(0, 1, exclude_min=True, exclude_max=True)
            return Policy("calibrated", epsilon=draw(inner), delta=draw(inner))
    return Policy(name)


def draw_lazily(policy: Policy, keys: list[str | None]) -> list[str | None]:
    """Draw samples as the runtime does: while one more can change something."""
    drawn: list[str | None] = []
    while wants_sample(policy, drawn):
        drawn.append(keys[len(drawn)])
    return drawn


@given(keys_lists, st.integers(0, 1000))
def test_votes_do_not_depend_on_order(keys: list[str | None], seed: int) -> None:
    shuffled = keys.copy()
    random.Random(seed).shuffle(shuffled)
    assert vote(shuffled) == vote(keys)


@given(keys_lists)
def test_unreadable_samples_agree_with_nothing(keys: list[str | None]) -> None:
    found = vote(keys)
    assert found.key is None or keys.count(found.key) == found.votes
    assert found.votes <= len(keys) - keys.count(None)


@given(keys_lists, thresholds, thresholds, guards_sets)
def test_a_higher_threshold_never_lowers_the_escalations(
    keys: list[str | None], one: float, other: float, guards: Guards
) -> None:
    low, high = sorted((one, other))
    evidence = Evidence(keys, frozenset({"a", "b"}), frozenset({"b"}), 0.5)
    lower, higher = (
        decide(Policy("majority", n=len(keys), threshold=t), guards, evidence).actor for t in (low, high)
    )
    assert (lower, higher) != ("teacher", "student")


@given(keys_lists, guards_sets)
def test_a_guard_never_lowers_the_escalations(keys: list[str | None], guards: Guards) -> None:
    evidence = Evidence(keys, frozenset({"a", "b"}), frozenset({"b"}), 0.5)
    policy = Policy("majority", n=len(keys), threshold=0.5)
    if decide(policy, NO_GUARDS, evidence).actor == "teacher":
        assert decide(policy, guards, evidence).actor == "teacher"


@given(st.sampled_from(["a", "b"]), thresholds)
def test_one_readable_sample_always_agrees(key: str, threshold: float) -> None:
    for policy in (Policy("unanimity", n=1), Policy("majority", n=1, threshold=threshold), Policy("student")):
        verdict = decide(policy, NO_GUARDS, Evidence([key]))
        assert (verdict.actor, verdict.key) == ("student", key)


@given(
    st.sampled_from(["unanimity", "majority"]),
    thresholds,
    st.lists(st.sampled_from(["a", "b", "c", None]), min_size=9, max_size=9),
    st.integers(1, 9),
    guards_sets,
)
def test_drawing_no_further_changes_no_outcome(
    name: str, threshold: float, keys: list[str | None], n: int, guards: Guards
) -> None:
    policy = Policy("majority", n=n, threshold=threshold) if name == "majority" else Policy("unanimity", n=n)
    early, full = draw_lazily(policy, keys), keys[:n]

    def outcome(seen: list[str | None]) -> tuple[str, str | None]:
        verdict = decide(policy, guards, Evidence(seen, frozenset({"a", "b"}), frozenset({"b"}), 0.5))
        return verdict.actor, verdict.key if verdict.actor == "student" else None

    assert outcome(early) == outcome(full)


@given(policies(), keys_lists)
def test_samples_are_drawn_up_to_n(policy: Policy, keys: list[str | None]) -> None:
    assume(len(keys) >= policy.n)
    assert not wants_sample(policy, keys)
    assert wants_sample(policy, []) == policy.asks_student


def test_unanimity_stops_at_the_first_disagreement() -> None:
    assert draw_lazily(Policy("unanimity", n=5), ["a", "b", "a", "a", "a"]) == ["a", "b"]
    assert draw_lazily(Policy("unanimity", n=5), [None, "a", "a", "a", "a"]) == [None]


def sequential(n: int, confidence: float) -> Policy:
    return Policy("sequential", n=n, confidence=confidence)


@given(st.integers(0, 30), st.integers(0, 30))
def test_the_posterior_is_the_one_of_two_beta_counts(votes: int, others: int) -> None:
    special = pytest.importorskip("scipy.special")
    assert stays_ahead(votes, others) == pytest.approx(1 - special.betainc(votes + 1, others + 1, 0.5))


@given(st.integers(0, 30), st.integers(0, 30))
def test_the_posterior_grows_with_votes_for_and_falls_with_votes_against(votes: int, others: int) -> None:
    assert stays_ahead(votes + 1, others) > stays_ahead(votes, others) > stays_ahead(votes, others + 1)
    assert stays_ahead(votes, others) + stays_ahead(others, votes) == pytest.approx(1)


nine_keys = st.lists(st.sampled_from(["a", "b", "c", None]), min_size=9, max_size=9)


@given(nine_keys, st.integers(1, 9), guards_sets)
def test_sequential_that_must_be_certain_decides_as_majority_does_on_all_samples(
    keys: list[str | None], n: int, guards: Guards
) -> None:
    policy, fixed = sequential(n, 1.0), Policy("majority", n=n, threshold=0.6)
    drawn = draw_lazily(policy, keys)

    def outcome(by: Policy, seen: list[str | None]) -> tuple[str, str | None]:
        verdict = decide(by, guards, Evidence(seen, frozenset({"a", "b"}), frozenset({"b"}), 0.5))
        return verdict.actor, verdict.key if verdict.actor == "student" else None

    assert outcome(policy, drawn) == outcome(fixed, keys[:n])
    assert drawn == draw_lazily(fixed, keys)


@given(nine_keys, st.integers(1, 9), thresholds, thresholds)
def test_less_confidence_never_draws_more_samples(
    keys: list[str | None], n: int, one: float, other: float
) -> None:
    bold, careful = sorted((one, other))
    counts = [len(draw_lazily(sequential(n, c), keys)) for c in (bold, careful)]
    assert counts[0] <= counts[1] <= n


@given(nine_keys, st.integers(1, 9), thresholds, guards_sets)
def test_samples_beyond_the_stop_do_not_change_what_sequential_decides(
    keys: list[str | None], n: int, confidence: float, guards: Guards
) -> None:
    policy = sequential(n, confidence)
    drawn = draw_lazily(policy, keys)
    assert list(considered(policy, keys[:n])) == drawn
    verdicts = [
        decide(policy, guards, Evidence(seen, frozenset({"a"}), frozenset({"b"}), 0.5))
        for seen in (drawn, keys[:n])
    ]
    assert verdicts[0] == verdicts[1]


@given(nine_keys, st.integers(1, 9), thresholds)
def test_rounds_draw_no_sample_that_one_by_one_would_have_saved(
    keys: list[str | None], n: int, confidence: float
) -> None:
    policy = sequential(n, confidence)
    drawn: list[str | None] = []
    while wants_sample(policy, drawn):
        drawn = keys[: len(drawn) + next_round(policy, drawn)]
    assert drawn == draw_lazily(policy, keys)


def test_sequential_stops_when_it_is_confident_enough() -> None:
    assert draw_lazily(sequential(5, 0.95), list("aaaaa")) == list("aaa")
    assert draw_lazily(sequential(40, 0.95), list("a" * 40)) == list("aaaa")
    assert draw_lazily(sequential(5, 0.85), list("aaaaa")) == list("aa")
    assert draw_lazily(sequential(5, 0.85), list("abaaa")) == list("abaa")
    assert next_round(sequential(5, 0.95), []) == 3
    assert next_round(Policy("majority", n=5, threshold=0.6), []) == 5


def test_a_calibrated_policy_is_only_a_name_until_it_is_resolved() -> None:
    calibrated, found = parse_policy("calibrated(0.1, 0.05)"), Policy("majority", n=5, threshold=0.8)
    assert resolved(calibrated, found) == found
    assert resolved(found) == found
    with pytest.raises(ConfigurationError, match="run `icd calibrate` first"):
        resolved(calibrated)


@given(policies())
def test_policies_read_back_as_they_are_written(policy: Policy) -> None:
    assert parse_policy(str(policy)) == policy


@pytest.mark.parametrize(
    ("text", "policy"),
    [
        ("unanimity(3)", Policy("unanimity", n=3)),
        (" Unanimity ( 5 ) ", Policy("unanimity", n=5)),
        ("majority(5, 0.6)", Policy("majority", n=5, threshold=0.6)),
        ("random(0.25)", Policy("random", p=0.25)),
        ("cascade", Policy("unanimity", n=3)),
        ("student", Policy("student")),
        ("sequential", Policy("sequential", n=5, confidence=0.95)),
        ("sequential(9, 0.8)", Policy("sequential", n=9, confidence=0.8)),
        ("calibrated(0.05)", Policy("calibrated", epsilon=0.05, delta=0.1)),
    ],
)
def test_policies_are_read(text: str, policy: Policy) -> None:
    assert parse_policy(text) == policy


@pytest.mark.parametrize(
    "text",
    [
        "",
        "vote",
        "unanimity(0)",
        "unanimity(2.5)",
        "unanimity(1e999)",
        "unanimity(nan)",
        "majority(3, 2)",
        "random",
        "random(2)",
        "student(1)",
        "sequential(5, 0)",
        "calibrated(0)",
        "calibrated(1, 1, 1)",
    ],
)
def test_nonsense_is_refused_with_what_can_be_written(text: str) -> None:
    with pytest.raises(ConfigurationError, match=r"unanimity\(n\)"):
        parse_policy(text)


@pytest.mark.parametrize(
    ("guards", "evidence", "reason"),
    [
        (Guards(validity=True), Evidence(["x"], frozenset({"a"})), "invalid"),
        (Guards(progress=True), Evidence(["a"], None, frozenset({"a"})), "stuck"),
        (Guards(support=0.5), Evidence(["a"], support=0.4), "unsupported"),
        (Guards(support=0.5), Evidence(["a"], support=None), "unsupported"),
        (NO_GUARDS, Evidence([None]), "invalid"),
    ],
)
def test_each_doubt_calls_the_teacher_and_is_named(guards: Guards, evidence: Evidence, reason: str) -> None:
    verdict = decide(Policy("unanimity", n=1), guards, evidence)
    assert (verdict.actor, verdict.reason) == ("teacher", reason)


def test_without_money_for_the_teacher_the_student_acts_and_it_is_said() -> None:
    verdict = decide(Policy("unanimity", n=2), NO_GUARDS, Evidence(["b", "a"], teacher_affordable=False))
    assert verdict == ("student", "budget", "a")


def test_the_coin_decides_for_random() -> None:
    policy = Policy("random", p=0.3)
    assert decide(policy, NO_GUARDS, Evidence(["a"], coin=0.29)).actor == "teacher"
    assert decide(policy, NO_GUARDS, Evidence(["a"], coin=0.3)).actor == "student"


@given(st.text())
def test_a_canonical_form_is_its_own(text: str) -> None:
    key = text_key(text)
    assert key is None or text_key(key) == key


def test_case_spaces_and_a_final_stop_do_not_count() -> None:
    assert text_key("  Go to  Shelf 1. ") == text_key("go to shelf 1") == "go to shelf 1"
