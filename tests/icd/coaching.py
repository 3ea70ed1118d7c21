"""A small shop as a store of situations, a scripted student that follows advice, and a scripted teacher that gives it.

The student waits, unless its prompt advises something for the kind of request that it has. The teacher sees that it
waits, and writes what it did itself.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from icd.backends.base import Backend, ChatRequest, ChatResponse
from icd.calls import PricedModel
from icd.ledger import Budget
from icd.prices import Price
from icd.runtime_settings import RuntimeSettings
from icd.strategies.actors import Actors
from icd.strategies.improvement import Improver, LearningSettings
from icd.strategies.journal import Journal
from icd.strategies.learning import Event, Learned, learn
from icd.strategies.pool import Pool, half_of
from icd.strategies.scenarios import ScenarioSource
from icd.strategies.situations import newest_episodes, recorded, situations_of
from icd.testing import ScriptedBackend
from icd_memory.embedding import HashingEmbedder
from icd_memory.rows import DecisionRow
from icd_memory.store import Store
from icd_memory.strategies import StrategyLibrary
from icd_memory.trajectory import Outcome, Provenance, Step, Trajectory

AT = datetime(2026, 11, 22, tzinfo=UTC)
SHOP = "shop"
KINDS = {
    "late parcel": "trace the parcel",
    "broken glass": "send a replacement",
    "wrong address": "redirect the delivery",
}
"""What the teacher does, by the kind of request."""
PRICE = Price(input=1.0, cached_input=1.0, output=2.0, source="test")
SETTINGS = LearningSettings(rounds=2, scenarios=3, turns=2, written_from=4, tested_on=12, relevance=0.1)


def trajectory(kind: str, number: int, action: str = "", split: str = "train") -> Trajectory:
    done = action or KINDS[kind]
    return Trajectory(
        id=f"{kind}/{number}",
        environment=SHOP,
        task_id=f"{kind} {number}",
        instance=f"customer {kind} {number}",
        split=split,
        goal=f"answer request {number} about a {kind}",
        category=kind,
        plan="",
        steps=(
            Step(
                f"The customer {number} complains of a {kind}.",
                done,
                f"A {kind} calls for it.",
                "",
                "teacher",
            ),
        ),
        outcome=Outcome(True, 1.0, "environment"),
        provenance=Provenance("a run", "teacher", AT),
    )


def escalation(of: Trajectory) -> DecisionRow:
    """The receipt that says that the student was in doubt."""
    body = {
        "action": of.steps[0].action,
        "reason": "disagreed",
        "samples": [{"action": "wait"}],
        "code": False,
    }
    return DecisionRow(f"receipt {of.id}", of.id, 0, body, AT)


def fill(
    store: Store,
    each: int = 28,
    action: Callable[[str, Trajectory], str] | None = None,
    kinds: Iterable[str] = KINDS,
) -> None:
    """Store episodes of every kind; `action` changes what the teacher did."""
    for kind in kinds:
        for number in range(each):
            made = trajectory(kind, number)
            if action is not None:
                made = trajectory(kind, number, action(kind, made))
            store.add_trajectory(made, status="demonstration")
            store.add_decision(escalation(made))


def half(of: Trajectory) -> str:
    [situation] = situations_of(of)
    return half_of(situation)


def student(request: ChatRequest) -> str:
    """Wait, or do what the prompt advises for this kind of request."""
    text = "\n".join(message.content for message in request.messages)
    kind = next((kind for kind in KINDS if kind in request.messages[-1].content), "")
    advised = re.search(rf"a {kind}, do this: ([\w ]+)\.", text) if kind else None
    return f"Think: so be it.\nAction: {advised.group(1) if advised else 'wait'}"


def teacher(request: ChatRequest) -> str:
    """Describe the kinds that are shown; advise what the teacher did there."""
    text = request.messages[-1].content
    shown = [kind for kind in KINDS if kind in text.split("Not again:")[0]]
    if "Which narrower" in text:
        return "None."
    if "Which kinds" in text:
        return "\n".join(f"Scenario: A customer complains of a {kind}." for kind in shown)
    if "write the advice" in text:
        [kind] = [kind for kind in KINDS if kind in text.split("\n")[0]]
        done = re.findall(r"The teacher's:\n<answer>\n(.+)\n</answer>", text)
        return f"Guidance: When a customer complains of a {kind}, do this: {done[0]}. Waiting loses them."
    if "What should the student learn" in text:
        return "\n".join(
            f"Scenario: A {kind}.\nGuidance: Do not wait when there is a {kind}." for kind in shown
        )
    raise AssertionError(text)


@dataclass
class Lifetime:
    """How many calls a process still makes, of all its models."""

    calls: int


@dataclass
class Killed(Backend):
    """A backend whose process dies at its next call: before it is answered, or just after."""

    inner: Backend
    lifetime: Lifetime
    after: bool = False

    def __post_init__(self) -> None:
        self.model, self.capabilities = self.inner.model, self.inner.capabilities

    async def complete(self, request: ChatRequest) -> ChatResponse:
        self.lifetime.calls -= 1
        dies = self.lifetime.calls < 0
        if dies and not self.after:
            raise Death
        response = await self.inner.complete(request)
        if dies:
            raise Death
        return response

    def count_tokens(self, text: str) -> int:
        return self.inner.count_tokens(text)

    async def close(self) -> None:
        await self.inner.close()


class Death(BaseException):
    """The process is gone."""


@dataclass
class Coaching:
    """A learning run over a store, with scripted models."""

    store: Store
    student: Backend = field(default_factory=lambda: ScriptedBackend(student, model="the student"))
    teacher: Backend = field(default_factory=lambda: ScriptedBackend(teacher, model="the teacher"))
    settings: LearningSettings = SETTINGS
    budget: float | None = None
    seeds: tuple[str, ...] = ()
    run_id: str = "learn-shop"
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def library(self) -> StrategyLibrary:
        return StrategyLibrary(self.store, HashingEmbedder(), now=lambda: AT)

    def journal(self) -> Journal:
        return Journal(self.store, self.run_id, self.budget)

    async def learn(self, on_event: Callable[[Event], None] = lambda event: None) -> Learned:
        journal, embedder = self.journal(), HashingEmbedder()
        mine, coach = (PricedModel(model, PRICE, Budget()) for model in (self.student, self.teacher))
        pool = Pool(
            list(recorded(self.store, newest_episodes(self.store, SHOP), test_splits=["test"])), embedder
        )
        actors = Actors(journal, mine, coach, RuntimeSettings(max_tokens=24))
        source = ScenarioSource(journal, coach, pool, embedder, self.seeds)
        improver = Improver(
            actors, pool, self.library, self.settings, environment=SHOP, now=lambda: AT, **self.options
        )
        return await learn(source, improver, journal, self.settings, on_event)
