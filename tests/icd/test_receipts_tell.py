"""What receipts tell of endpoints in trouble, and what they don't tell of people."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from icd import Budget, PricedModel, PriceTable, Runtime, RuntimeSettings, parse_policy
from icd.backends.base import Message
from icd.backends.circuit import Circuit
from icd.backends.openai_compatible import OpenAICompatibleBackend
from icd.chat.call import ChatCall
from icd.chat.runtime import ChatRuntime, ChatSettings
from icd.decision import DecisionContext
from icd.testing import Fault, LoopbackServer, ScriptedBackend
from icd_memory.embedding import HashingEmbedder
from icd_memory.redaction import Redactor
from icd_memory.retrieval import Memory
from icd_memory.store import Store

PRICES = PriceTable()
ADA = "ada.lovelace@example.org"


def priced(backend: Any, name: str) -> PricedModel:
    return PricedModel(backend, PRICES.price(name), Budget())


def always(answer: str) -> Callable[[dict[str, Any]], list[str]]:
    return lambda body: [answer] * body.get("n", 1)


def undecided() -> PricedModel:
    """A student that never agrees with itself."""
    answers = ScriptedBackend(
        lambda request: [f"Action: go {n}" for n in range(request.n)], model="gpt-4.1-mini"
    )
    return priced(answers, "gpt-4.1-mini")


def endpoint(url: str, **options: Any) -> OpenAICompatibleBackend:
    return OpenAICompatibleBackend(
        "gpt-4.1", base_url=url, backoff=0.0, circuit=Circuit(1, 1_000.0), **options
    )


def runtime(store: Store, teacher: PricedModel, **settings: Any) -> Runtime:
    return Runtime(
        student=undecided(), teacher=teacher, store=store,
        settings=RuntimeSettings(policy=parse_policy("unanimity(2)"), k=0, **settings),
    )  # fmt: skip


CONTEXT = DecisionContext("Leave.", "leave", "You are in a room.", episode_id="e")


async def test_retries_are_told() -> None:
    with (
        LoopbackServer(
            always("Action: wait"), faults=[Fault("status", status=503), Fault("status", status=429)]
        ) as server,
        Store.open(":memory:") as store,
    ):
        teacher = endpoint(server.base_url)
        decision = await runtime(store, priced(teacher, "gpt-4.1")).decide(CONTEXT)
        await teacher.close()
        [row] = store.decisions("e")
    assert decision.acted_by == "teacher"
    [told] = row.body["trouble"]
    assert (told["role"], told["model"], told["error"]) == ("teacher", "gpt-4.1", "")
    assert told["retried"] == ["backend.overloaded", "backend.overloaded"]


async def test_a_fallback_and_an_open_circuit_are_told() -> None:
    with (
        LoopbackServer(always("x"), faults=[Fault("status", status=503)] * 9) as server,
        Store.open(":memory:") as store,
    ):
        teacher = endpoint(server.base_url, retries=1)
        acting = runtime(store, priced(teacher, "gpt-4.1"), fall_back_to_student=True)
        first, second = await acting.decide(CONTEXT), await acting.decide(CONTEXT)
        await teacher.close()
        bodies = [row.body for row in store.decisions("e")]
    assert {first.reason, second.reason} == {"teacher_failed"}
    failed, refused = (body["trouble"][0] for body in bodies)
    assert (failed["error"], failed["retried"]) == ("backend.overloaded", ["backend.overloaded"])
    # The circuit opened with the first failure; the second call was not sent.
    assert failed["circuit"] == refused["circuit"] == "open"
    assert refused["retried"] == []


@pytest.mark.parametrize("streamed", [False, True])
async def test_chat_receipts_tell_the_same(streamed: bool) -> None:
    with (
        LoopbackServer(always("Sent."), faults=[Fault("status", status=503)]) as server,
        Store.open(":memory:") as store,
        Memory.open(store, HashingEmbedder()) as memory,
    ):
        teacher = endpoint(server.base_url)
        chat = ChatRuntime(
            student=undecided(), teacher=priced(teacher, "gpt-4.1"), memory=memory,
            settings=ChatSettings(policy=parse_policy("unanimity(2)")),
        )  # fmt: skip
        call = ChatCall((Message("user", "Where is it?"),), episode_id="e")
        if streamed:
            async for _ in chat.stream(call):
                pass
        else:
            await chat.answer(call)
        await chat.close()
        await teacher.close()
        [row] = store.decisions("e")
    assert row.body["acted_by"] == "teacher"
    assert [told["retried"] for told in row.body["trouble"]] == [["backend.overloaded"]]


async def test_receipts_of_peoples_own_agents_hold_no_personal_data() -> None:
    """In observations, actions, samples and plans; and as the trajectory has it, so that the two can be joined."""
    answer = f"Think: {ADA} asked.\nAction: write to {ADA}"
    same = ScriptedBackend(lambda request: [answer] * request.n, model="gpt-4.1-mini")
    with Store.open(":memory:") as store, Memory.open(store, HashingEmbedder(), redact=True) as memory:
        acting = Runtime(
            student=priced(same, "gpt-4.1-mini"), retriever=memory.retriever, store=store, redactor=Redactor(),
            settings=RuntimeSettings(policy=parse_policy("student"), k=1),
        )  # fmt: skip
        async with acting.episode(f"Answer {ADA}.", plan=f"Write to {ADA}.", tenant="shop") as episode:
            decision = await episode.decide(f"bob@example.org and {ADA} wrote.")
            episode.finish(success=True)
        assert ADA in decision.action  # The agent itself must be able to act.
        [row] = store.decisions(episode.id)
        [trajectory] = store.trajectories(tenant="shop")
        stored = json.dumps(row.body) + json.dumps([t.goal + t.plan for t in (trajectory,)])
    assert "@" not in stored
    assert row.tenant == "shop"
    assert trajectory.steps[0].action == row.body["action"]
    assert trajectory.steps[0].observation == row.body["observation"]
    assert row.body["samples"][0]["key"] == row.body["action"].lower()


@pytest.mark.parametrize(("redact", "shown"), [("on", False), ("off", True)])
def test_the_setting_decides(
    workspace: Path, monkeypatch: pytest.MonkeyPatch, redact: str, shown: bool
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "none")
    with LoopbackServer(always("Action: wait")) as server:
        seat = {"kind": "openai", "model": "gpt-4.1", "base_url": server.base_url}
        memory = {"embedder": "hashing", "store": "icd.db", "redact": redact}
        overrides = {
            "student": seat,
            "teacher": seat,
            "memory": memory,
            "policy": "student",
            "prices": {"gpt-4.1": 0},
        }
        with (
            Runtime.from_config(overrides=overrides) as acting,
            acting.episode("Answer.", episode_id="e") as episode,
        ):
            episode.decide_sync(f"{ADA} wrote.")
    with Store.open("icd.db") as store:
        [row] = store.decisions("e")
    assert (ADA in json.dumps(row.body)) is shown
