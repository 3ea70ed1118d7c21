"""A small benchmark without any model: generated households, the expert as teacher, and a student that does what
demonstrations did. Run as a script it plays slowly, so that it can be killed in the middle."""

from __future__ import annotations

import asyncio
import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from icd.assembly import Models
from icd.backends.base import Backend, ChatRequest, ChatResponse
from icd.backends.expert import ExpertBackend
from icd.benchmark.collect import prepare_collection
from icd.benchmark.compare import prepare_comparison
from icd.benchmark.experiment import Experiment, Request, Workplace
from icd.benchmark.runner import Event, StepTaken
from icd.benchmark.summary import RunSummary, summarise
from icd.calls import PricedModel
from icd.config import Settings
from icd.ledger import Budget
from icd.prices import PriceTable
from icd.testing import DemonstrationBackend
from icd_memory.store import Store

COLLECTED = 12
EPISODES = 2
METHODS = ("student", "in-context", "cascade", "copy", "teacher")


class ScenarioModels:
    """Makes the models of a scenario; counts what the student was asked."""

    def __init__(self, student: Backend | None = None) -> None:
        self.student = student or DemonstrationBackend(model="gpt-4.1-mini")

    def __call__(self, settings: Settings, *, student: bool, teacher: bool) -> Models:
        prices, budget = PriceTable(), Budget(settings.run.budget)
        return Models(
            PricedModel(self.student, prices.price("gpt-4.1-mini"), budget) if student else None,
            PricedModel(ExpertBackend(), prices.price("claude-sonnet-4.5"), budget) if teacher else None,
        )


class Slow:
    """A backend that takes its time."""

    def __init__(self, inner: Backend, seconds: float) -> None:
        self.inner, self.seconds = inner, seconds
        self.model, self.capabilities = inner.model, inner.capabilities

    async def complete(self, request: ChatRequest) -> ChatResponse:
        await asyncio.sleep(self.seconds)
        return await self.inner.complete(request)

    def count_tokens(self, text: str) -> int:
        return self.inner.count_tokens(text)

    async def close(self) -> None:
        await self.inner.close()


def settings(store: Path | str, **changes: Any) -> Settings:
    sections: dict[str, Any] = {
        "memory": {"store": str(store), "embedder": "hashing"},
        "student": {"kind": "openai", "model": "gpt-4.1-mini", "temperature": 0.2},
        "retrieval": {"k": 2, "window": 0},
        "run": {"max_steps": 12},
    }
    return Settings(**{**sections, **changes})


def workplace(store: Path | str, student: Backend | None = None, **changes: Any) -> Workplace:
    return Workplace(settings(store, **changes), "household", make_models=ScenarioModels(student))


def collection(place: Workplace, episodes: int = COLLECTED, **request: Any) -> Experiment:
    return prepare_collection(Request("household", episodes, **request), place)


def comparison(place: Workplace, episodes: int = EPISODES, **request: Any) -> Experiment:
    return prepare_comparison(
        Request("household", episodes, **{"methods": METHODS, "command": "icd run household", **request}),
        place,
    )


def play_everything(store: Path) -> RunSummary:
    """Collect and compare without interruption."""
    place = workplace(store)
    try:
        asyncio.run(collection(place).play())
        experiment = comparison(place)
        asyncio.run(experiment.play())
        return summarise(place.store, experiment.run_id)
    finally:
        place.close()


def bill(store: Store, run_id: str | None = None) -> Counter[tuple[object, ...]]:
    """Return every paid call without its random id: equal bills, equal calls."""
    return Counter(
        (row.run_id, row.episode_id, row.role, row.model, row.input_tokens, row.output_tokens, row.cost)
        for row in store.ledger(run_id)
    )


def main(store: str) -> None:
    """Play everything slowly, and say so step by step."""

    def tell(event: Event) -> None:
        if isinstance(event, StepTaken):
            sys.stdout.write(json.dumps([event.job.id, event.step]) + "\n")
            sys.stdout.flush()

    place = workplace(store, Slow(DemonstrationBackend(model="gpt-4.1-mini"), 0.02))
    asyncio.run(collection(place).play(tell))
    asyncio.run(comparison(place).play(tell))
    place.close()
    sys.stdout.write("end\n")


if __name__ == "__main__":
    main(sys.argv[1])
