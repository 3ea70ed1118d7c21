"""Workers in this process, behind the same interface as Ray's actors, that are lost by plan."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing

from scenario import ScenarioModels

from icd.benchmark.dispatch import WorkerLostError
from icd.benchmark.experiment import MakeModels
from icd.benchmark.wire import Briefing
from icd.benchmark.workshop import Workshop
from icd.errors import ClusterError
from icd_memory.rows import JsonObject


class LosingPool:
    """Hires at most `most` workers in all; `plan` says after how many replies each of them dies, None: never."""

    def __init__(
        self,
        briefing: Briefing,
        plan: Iterator[int | None],
        most: int = 99,
        make_models: Callable[[], MakeModels] = ScenarioModels,
    ) -> None:
        self._briefing = json.dumps(briefing.model_dump(mode="json"))
        self._plan, self._most, self._make_models = plan, most, make_models
        self.hired: list[LosingWorker] = []
        self.closed = False

    async def hire(self) -> LosingWorker:
        if len(self.hired) == self._most:
            raise ClusterError("no worker is left")
        lives = next(self._plan)
        if lives == 0:
            raise WorkerLostError("died at start")
        briefing = Briefing.model_validate(json.loads(self._briefing))
        worker = LosingWorker(Workshop(briefing, self._make_models()), lives)
        self.hired.append(worker)
        return worker

    async def close(self) -> None:
        self.closed = True
        for worker in self.hired:
            await worker.leave()


class LosingWorker:
    def __init__(self, workshop: Workshop, lives: int | None) -> None:
        self._workshop, self._lives = workshop, lives
        self.here = True
        self.orders: list[JsonObject] = []

    async def play(self, order: JsonObject) -> AsyncGenerator[JsonObject, None]:
        self.orders.append(order)
        async with aclosing(self._workshop.play(json.loads(json.dumps(order)))) as replies:
            async for reply in replies:
                if self._lives is not None:
                    self._lives -= 1
                    if self._lives < 0:
                        raise WorkerLostError("killed by plan")
                yield json.loads(json.dumps(reply))

    async def leave(self) -> None:
        if self.here:
            self.here = False
            await self._workshop.close()
