"""Replaying recorded steps: what is known is right, and what is not known is said."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import count
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from icd.backends.base import Capabilities, ChatRequest
from icd.calls import PricedModel
from icd.cascade import Guards, Policy, parse_policy
from icd.decision import Decision, DecisionContext
from icd.errors import ConfigurationError
from icd.ledger import Budget, Price
from icd.replay import Rules, replay_decision, replay_episode
from icd.runtime import Runtime, RuntimeSettings
from icd.testing import ScriptedBackend
from icd_memory.retrieval import Excerpt, Query
from icd_memory.rows import DecisionRow
from icd_memory.store import Store
from icd_memory.trajectory import Step

ACTIONS = ("go to shelf 1", "go to shelf 2", "open box 1", "look")
PRICE = Price(1.0, 1.0, 1.0, "test")
WILLING = 7
"""A seed whose first sample can be read."""
_episodes = count()


class Demonstrated:
    """Finds the same step for every state, as near as it is told."""

    embedder_id = "none"

    def __init__(self, action: str, similarity: float) -> None:
        step = Step("a room", action, "as shown")
        self.found = Excerpt(
            "t", "find the key", "search", "", (step,), 0, 0, similarity, similarity, similarity, "x"
        )

    def for_step(self, query: Query, k: int) -> list[Excerpt]:
        return [self.found]

    def for_plan(self, query: Query, k: int) -> list[Excerpt]:
        return [self.found]


def model(answers: Sequence[str], seed: int, *, shared: bool) -> PricedModel:
    """A model whose sample i of seed s is its sample 0 of seed s + i."""

    def answer(request: ChatRequest) -> list[str]:
        numbers = (Random(f"{seed} {(request.seed or 0) + n}") for n in range(request.n))
        chosen = [random.choice(answers) for random in numbers]
        return [text and f"Think: of {text}.\nAction: {text}" for text in chosen]

    capabilities = Capabilities(shared_prompt=shared, seeded=True)
    return PricedModel(ScriptedBackend(answer, capabilities=capabilities), PRICE, Budget())


@pytest.fixture(scope="module")
def store() -> Iterator[Store]:
    with Store.open(":memory:") as opened:
        yield opened


def played(
    store: Store,
    chosen: RuntimeSettings,
    seed: int = 0,
    *,
    shared: bool = True,
    steps: int = 3,
    episode: str = "",
) -> tuple[list[Decision], list[DecisionRow]]:
    """Decide a few steps; return the decisions and their receipts. An episode that is named is not recorded."""
    runtime = Runtime(
        student=model((*ACTIONS[:3], "fly", ""), seed, shared=shared),
        teacher=model(ACTIONS, seed + 1, shared=shared),
        retriever=Demonstrated(ACTIONS[seed % 4], 0.8),  # type: ignore[arg-type]
        store=None if episode else store,
        settings=chosen,
    )
    episode = episode or f"e{next(_episodes)}"
    decisions: list[Decision] = []
    for step in range(steps):
        past = tuple(Step("a room", d.action, d.reasoning) for d in decisions)
        context = DecisionContext(
            "find the key", "search", "a room", history=past, admissible=ACTIONS, episode_id=episode, step=step,
            seed=1000 * seed + 10 * step,
        )  # fmt: skip
        decisions.append(asyncio.run(runtime.decide(context)))
    return decisions, store.decisions(episode)


sampling = st.one_of(
    st.builds(lambda n: Policy("unanimity", n=n), st.integers(1, 5)),
    st.builds(lambda n, t: Policy("majority", n=n, threshold=t), st.integers(1, 5), st.floats(0.1, 1)),
    st.builds(lambda n, c: Policy("sequential", n=n, confidence=c), st.integers(1, 5), st.floats(0.6, 1)),
)
policies = st.one_of(
    sampling,
    st.sampled_from([Policy("student"), Policy("teacher"), Policy("copy")]),
    st.builds(lambda p: Policy("random", p=p), st.floats(0, 1)),
)
rules = st.builds(
    Rules,
    policies,
    st.builds(Guards, st.booleans(), st.booleans(), st.sampled_from([None, 0.5, 0.9])),
    st.sampled_from(["exact", "intent"]),
    st.sampled_from([None, 0.7, 0.95]),
)
seeds = st.integers(0, 10_000)


def settings_of(chosen: Rules, **more: Any) -> RuntimeSettings:
    return replace(
        RuntimeSettings(temperature=1.0), policy=chosen.policy, guards=chosen.guards,
        agreement=chosen.agreement, copy_above=chosen.copy_above, **more,
    )  # fmt: skip


@settings(max_examples=40)
@given(rules, seeds, st.booleans(), st.sampled_from(["decisions", "full"]))
def test_by_its_own_rules_a_record_replays_as_it_was(
    store: Store, chosen: Rules, seed: int, shared: bool, record: str
) -> None:
    decisions, rows = played(store, settings_of(chosen, record=record), seed, shared=shared)
    again = replay_episode(rows, Rules.of(rows[0].body))
    assert [(r.actor, r.reason, r.action, r.reasoning, r.unknown) for r in again] == [
        (d.acted_by, d.reason, d.action, d.reasoning, None) for d in decisions
    ]


@settings(max_examples=40)
@given(rules, rules, seeds, st.booleans(), st.sampled_from(["decisions", "full"]))
def test_what_replay_knows_is_what_the_other_rules_would_have_done(
    store: Store, recorded: Rules, other: Rules, seed: int, shared: bool, record: str
) -> None:
    _, rows = played(store, settings_of(recorded, record=record), seed, shared=shared)
    truth, _ = played(store, settings_of(other), seed, shared=shared, episode=rows[0].episode_id)
    for found, true in zip(replay_episode(rows, other), truth, strict=True):
        if found.actor is not None:
            assert found.actor == true.acted_by
        if found.action is not None:
            assert (found.action, found.reasoning) == (true.action, true.reasoning)
        assert (found.unknown is None) == (found.action is not None)


@settings(max_examples=40)
@given(rules, rules, seeds)
def test_of_the_first_step_a_full_record_leaves_nothing_unknown(
    store: Store, recorded: Rules, other: Rules, seed: int
) -> None:
    full = replace(recorded, policy=Policy("majority", n=5, threshold=0.6))
    _, rows = played(store, settings_of(full, record="full"), seed, steps=1)
    if other.policy.name != "copy":
        assert replay_decision(rows[0], other).unknown is None


def test_what_was_not_drawn_or_asked_is_unknown(store: Store) -> None:
    agreed = Rules(Policy("majority", n=1, threshold=1.0))
    _, rows = played(store, settings_of(agreed), seed=WILLING)
    assert replay_decision(rows[0], Rules(parse_policy("unanimity(3)"))).unknown == "samples"
    teacher = replay_decision(rows[0], Rules(Policy("teacher")))
    assert (teacher.actor, teacher.action, teacher.unknown) == ("teacher", None, "teacher")
    assert replay_decision(rows[0], Rules(Policy("copy"))).unknown == "copy"
    assert replay_decision(rows[0], replace(agreed, copy_above=0.5)).unknown == "copy"
    assert [r.unknown for r in replay_episode(rows, Rules(Policy("teacher")))][1:] == ["diverged"] * 2


def test_a_calibration_that_was_not_made_is_an_error(store: Store) -> None:
    _, rows = played(store, settings_of(Rules(Policy("student"))), steps=1)
    with pytest.raises(ConfigurationError, match="icd calibrate"):
        replay_decision(rows[0], Rules(parse_policy("calibrated")))


@pytest.mark.parametrize(("above", "actor"), [(0.7, "copy"), (0.9, "student"), (None, "student")])
def test_a_step_that_was_shown_closely_enough_is_copied_without_the_student(
    store: Store, above: float | None, actor: str
) -> None:
    chosen = Rules(Policy("majority", n=1, threshold=1.0), copy_above=above)
    (decision,), _ = played(store, settings_of(chosen), seed=WILLING, steps=1)
    assert decision.acted_by == actor
    if actor == "copy":
        assert (decision.reason, decision.action, decision.charges) == ("copied", "look", ())


def test_what_was_tried_here_is_not_copied_again(store: Store) -> None:
    chosen = Rules(Policy("majority", n=1, threshold=1.0), copy_above=0.7)
    decisions, _ = played(store, settings_of(chosen), seed=WILLING, steps=3)
    assert [d.acted_by for d in decisions].count("copy") == 1
