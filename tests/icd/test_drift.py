"""Drift: false alarms at most alpha, real changes noticed soon, and what follows with real parts."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from icd import Budget, PricedModel, PriceTable, Runtime, RuntimeSettings, parse_policy
from icd.agent_episode import AgentEpisode
from icd.backends.base import Message
from icd.calibration_record import Calibration, calibrated_policy, keep_calibration
from icd.chat.call import ChatCall, Feedback
from icd.chat.runtime import ChatRuntime, ChatSettings
from icd.drift import MEASURES, Stream, observed, turn_of
from icd.drift_watch import DriftRule, DriftWatch, Place, alarm_of, clear, told, under_of, values_of
from icd.errors import ConfigurationError
from icd.testing import ScriptedBackend
from icd_memory.embedding import HashingEmbedder
from icd_memory.retrieval import Memory
from icd_memory.store import Store
from icd_memory.trajectory import Outcome, Provenance, Step, Trajectory

NOW = datetime(2026, 11, 22, tzinfo=UTC)
PLACE = Place("default", "agent", "leave")
Draw = Callable[[Random, int], float]


def noticed_at(draw: Draw, alpha: float, length: int, seed: int) -> int | None:
    """Return after how many values a change is noticed in a simulated stream; None: never."""
    rng, stream = Random(seed), Stream()
    for number in range(length):
        stream = observed(stream, draw(rng, number), rng.random())
        if stream.evidence >= 1 / alpha:
            return number + 1
    return None


def coin(before: float, after: float, at: int) -> Draw:
    return lambda rng, number: float(rng.random() < (before if number < at else after))


def shifted(by: float, at: int) -> Draw:
    return lambda rng, number: rng.betavariate(8, 2) - (by if number >= at else 0.0)


def false_alarms(streams: int, length: int) -> None:
    """At alpha = .1, over streams without a change: at most what alpha and chance allow (three standard errors)."""
    for draw in (coin(0.2, 0.2, 0), coin(0.95, 0.95, 0), shifted(0.0, 0)):
        found = sum(noticed_at(draw, 0.1, length, seed) is not None for seed in range(streams))
        assert found <= 0.1 * streams + 3 * (0.1 * 0.9 * streams) ** 0.5


def test_false_alarms_are_at_most_alpha() -> None:
    false_alarms(40, 200)


@pytest.mark.slow
def test_false_alarms_are_at_most_alpha_over_many_long_streams() -> None:
    false_alarms(300, 1_000)


@pytest.mark.parametrize(("draw", "within"), [(coin(0.1, 0.7, 200), 80), (shifted(0.3, 200), 40)])
def test_a_change_is_noticed_soon(draw: Draw, within: int) -> None:
    found = [noticed_at(draw, 0.01, 200 + within, seed) for seed in range(8)]
    assert all(at is not None and at > 200 for at in found)


@pytest.mark.slow
def test_a_change_is_noticed_after_a_long_quiet_time() -> None:
    found = [noticed_at(coin(0.2, 0.5, 1_000), 0.01, 1_400, seed) for seed in range(20)]
    assert all(at is not None and at > 1_000 for at in found)


@settings(max_examples=25)
@given(st.lists(st.floats(-1, 1), min_size=1, max_size=80), st.randoms(use_true_random=False))
def test_what_is_kept_is_what_came(values: list[float], rng: Random) -> None:
    stream = Stream()
    for value in values:
        stream = observed(stream, value, rng.random())
    assert stream.count == len(values)
    assert stream.evidence >= 0
    assert Stream.model_validate_json(stream.model_dump_json()) == stream
    mean = sum(values[-50:]) / len(values[-50:])
    assert turn_of(stream).recent == pytest.approx(mean, abs=0.006)


# With a store


@pytest.fixture
def memory() -> Iterator[Memory]:
    with Store.open(":memory:") as store, Memory.open(store, HashingEmbedder()) as opened:
        yield opened


def model(name: str, answers: Callable[[int], list[str]]) -> PricedModel:
    backend = ScriptedBackend(lambda request: answers(request.n), model=name)
    return PricedModel(backend, PriceTable().price(name), Budget())


def test_an_alarm_is_shared_told_and_cleared(memory: Memory, caplog: pytest.LogCaptureFixture) -> None:
    """Two workers on one store: what both saw is one stream, and what one notices the other acts on."""
    rule = DriftRule(alpha=0.05, raise_n=5, turn_off=True)
    workers = [DriftWatch(memory.store, rule, memory=memory, clock=lambda: 0.0) for _ in range(2)]
    for number in range(2):
        memory.add(demonstration(number, "leave" if number else "other"))
    policy = parse_policy("unanimity(3)")
    assert workers[0].policy(PLACE, policy) == policy
    noticed = []
    with caplog.at_level(logging.WARNING):
        for number in range(200):
            value = {"success": float(number < 100)}
            noticed += workers[number % 2].observe(PLACE, "unanimity(3)", value, NOW)
    [row] = noticed
    alarm = alarm_of(row)
    assert alarm is not None
    assert (alarm.direction, 100 < alarm.episodes < 160) == ("worse", True)
    assert "success of leave went from" in caplog.text
    assert "1 demonstrations turned off" in told(row)
    # Read afresh: another worker's alarm is seen a second later.
    later = DriftWatch(memory.store, rule, memory=memory)
    assert str(later.policy(PLACE, policy)) == "unanimity(5)"
    assert later.policy(PLACE._replace(category="other"), policy) == policy
    assert later.open(PLACE) == ("success",)
    assert memory.store.stats().trajectories["disabled"] == 1
    assert clear(memory, "default")[1] == ["t1"]
    assert memory.store.watched.find() == []
    assert memory.store.stats().trajectories["disabled"] == 0


def demonstration(number: int, category: str) -> Trajectory:
    return Trajectory(
        f"t{number}", "agent", f"task {number}", f"house {number}", "train", f"Leave room {number}.", category, "",
        (Step("You are in a room.", "open the door"),), Outcome(True, 1.0, "environment"),
        Provenance("run", "expert", NOW),
    )  # fmt: skip


async def play(runtime: Runtime, number: int) -> AgentEpisode:
    async with runtime.episode("Leave.", category="leave", episode_id=f"e{number}") as episode:
        await episode.decide("You are in a room.")
        episode.finish(success=True)
    return episode


async def test_an_agent_whose_student_stops_agreeing(memory: Memory) -> None:
    """The student begins to disagree with itself: N is raised, the receipt says why, and a calibration is stale."""
    store, agree = memory.store, True

    def answers(n: int) -> list[str]:
        return [f"Action: go {number if not agree else 1}" for number in range(n)]

    runtime = Runtime(
        student=model("gpt-4.1-mini", answers),
        teacher=model("gpt-4.1", lambda n: ["Action: wait"] * n),
        store=store,
        settings=RuntimeSettings(policy=parse_policy("unanimity(2)"), k=0),
        watch=DriftWatch(store, DriftRule(alpha=0.2, raise_n=4)),
        now=lambda: NOW,
    )
    made = calibration("agent", NOW - timedelta(days=1))
    keep_calibration(store, made)
    policy = parse_policy("calibrated(0.1, 0.1)")
    assert str(calibrated_policy(store, CONDITIONS, policy)) == "unanimity(3)"
    for number in range(120):
        agree = number < 60
        await play(runtime, number)
        if store.watched.alarms():
            break
    assert 60 < number < 110
    assert {row.measure for row in store.watched.alarms()} <= {"agreement", "escalated"}
    with pytest.raises(ConfigurationError, match=r"stale.*icd calibrate agent"):
        calibrated_policy(store, CONDITIONS, policy)
    after = await play(runtime, 500)
    [receipt] = store.decisions(after.id)
    assert (receipt.body["policy"], len(receipt.body["samples"])) == ("unanimity(4)", 4)
    assert set(receipt.body["drift"]) <= {"agreement", "escalated"}
    assert receipt.body["drift"]
    keep_calibration(store, calibration("agent", NOW + timedelta(days=1)))
    assert str(calibrated_policy(store, CONDITIONS, policy)) == "unanimity(3)"


CONDITIONS = {
    "environment": "agent", "student": {}, "teacher": {}, "verifier": {}, "runtime": {}, "defaults": {},
}  # fmt: skip


def calibration(environment: str, made: datetime) -> Calibration:
    return Calibration(
        promise="episodes", epsilon=0.1, delta=0.1, policy="unanimity(3)", trials=(), episodes=30, split="dev",
        run="r", conditions=CONDITIONS, made=made.isoformat(),
    )  # fmt: skip


async def test_chat_calls_are_watched_by_their_first_answer_and_feedback(memory: Memory) -> None:
    chat = ChatRuntime(
        student=model("gpt-4.1-mini", lambda n: ["Yes."] * n),
        teacher=model("gpt-4.1", lambda n: ["No."] * n),
        memory=memory,
        settings=ChatSettings(policy=parse_policy("unanimity(2)")),
        watch=DriftWatch(memory.store, DriftRule()),
    )
    talk = (Message("user", "Question?"), Message("assistant", "Yes."), Message("user", "Sure?"))
    for asked in (talk[:1], talk[:1], talk):
        await chat.answer(ChatCall(asked, tenant="default", episode_id="e1", category="ask"))
    for name in ("f1", "f2"):
        await chat.feedback(Feedback(name, "e1", "", True, None, "", "default", ""))
    await chat.close()
    found = {
        row.measure: Stream.model_validate(row.state) for row in memory.store.watched.find(category="ask")
    }
    assert set(found) == {"agreement", "escalated", "success"}
    assert {stream.count for stream in found.values()} == {1}
    assert found["escalated"].recent == (0,)


def test_measures_of_an_episode() -> None:
    charges = [{"role": "student", "model": "small"}]
    asked = {
        "samples": [1],
        "support": 0.5,
        "agreement": 1.0,
        "acted_by": "student",
        "charges": charges,
        "policy": "p",
    }
    bodies = [{"plan": "x"}, asked, {**asked, "support": None, "agreement": 0.5, "acted_by": "teacher"}]
    found = values_of(bodies, False)
    assert found == {"support": 0.5, "agreement": 0.75, "escalated": 0.5, "success": 0.0}
    assert set(found) == set(MEASURES)
    assert under_of(bodies) == "p of small"
    assert values_of([{"samples": [], "acted_by": "teacher"}]) == {}
