"""A worker's side of a run on several machines: the workplace rebuilt from plain data, and episodes played in it.

Knows nothing of how messages travel (`icd.benchmark.engine_ray`) or of who gets which episode
(`icd.benchmark.dispatch`).
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import suppress
from copy import copy
from dataclasses import replace

from icd import assembly
from icd.benchmark.compare import prepare_comparison
from icd.benchmark.experiment import MakeModels, Workplace
from icd.benchmark.locks import playing
from icd.benchmark.runner import Event, Job, StepTaken, play_one
from icd.benchmark.wire import Briefing, EndSaid, ErrorSaid, Order, StepSaid, differences
from icd.calls import PricedModel
from icd.errors import ConfigurationError, EnvsError, IcdError, IcdMemoryError
from icd.ledger import Budget
from icd.runtime import Runtime
from icd_memory.rows import JsonObject


class Workshop:
    """Plays one episode at a time."""

    def __init__(self, briefing: Briefing, make_models: MakeModels = assembly.make_models) -> None:
        """Rebuild the workplace, and check that it is the driver's.

        Raises:
            ConfigurationError: this machine would play under other conditions.
            ModelFilesError: weights are missing here.
            IcdMemoryError: the store, the embedder or the index cannot be used from here.
        """
        with suppress(OSError):
            os.chdir(briefing.folder)
        request = replace(briefing.request, fresh=False)
        self._place = Workplace(
            briefing.restored(), request.environment, request.options, make_models=make_models
        )
        try:
            self._experiment = prepare_comparison(request, self._place)
            self._check(briefing)
        except BaseException:
            self._place.close()
            raise
        self._jobs = _by_order(self._experiment.jobs)
        self._world = self._experiment.stage.make_world()
        self._playing: asyncio.Task[None] | None = None

    def _check(self, briefing: Briefing) -> None:
        if self._experiment.run_id == briefing.run_id:
            return
        found = differences(briefing.conditions, self._experiment.config["conditions"])
        raise ConfigurationError(
            "a worker would play under other conditions, and its episodes could not be compared: "
            f"{'; '.join(found) or 'another run was begun meanwhile'}; install the same versions and files on each node"
        )

    async def play(self, order: JsonObject) -> AsyncGenerator[JsonObject, None]:
        """Play an episode and tell of it: steps, then its end or what keeps it from going on."""
        said: asyncio.Queue[JsonObject | None] = asyncio.Queue()
        playing = self._playing = asyncio.create_task(self._play(Order.model_validate(order), said))
        try:
            while (message := await said.get()) is not None:
                yield message
            with suppress(asyncio.CancelledError):
                await playing
        finally:
            await _cancelled(playing)

    async def stop(self) -> None:
        """End what is being played; what was paid is recorded first."""
        if self._playing is not None:
            await _cancelled(self._playing)

    async def close(self) -> None:
        """Stop, and free what was opened."""
        await self.stop()
        self._world.close()
        await self._experiment.models.close()
        self._place.close()

    def _job(self, order: Order) -> Job:
        key = order.method, order.task_id, order.seed
        if key not in self._jobs and (later := self._experiment.later) is not None:
            self._jobs |= _by_order(later.jobs(self._experiment.run_id))
        return self._jobs[key]

    async def _play(self, order: Order, said: asyncio.Queue[JsonObject | None]) -> None:
        try:
            job = self._job(order)
            job = replace(job, runtime=_paying_from(job.runtime, order.budget))
            async with playing(self._place.store, job.id):
                stage = replace(self._experiment.stage, on_event=_teller(said))
                finished = await play_one(job, self._world, stage)
            end = EndSaid(row=finished.row, cost=finished.cost, lasting=finished.lasting)
            said.put_nowait(end.model_dump(mode="json"))
        except (IcdError, EnvsError, IcdMemoryError) as error:
            said.put_nowait(ErrorSaid.of(error).model_dump(mode="json"))
        finally:
            said.put_nowait(None)


async def _cancelled(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def _by_order(jobs: Sequence[Job]) -> dict[tuple[str, str, int], Job]:
    return {(job.method, job.task.id, job.seed): job for job in jobs}


def _teller(said: asyncio.Queue[JsonObject | None]) -> Callable[[Event], None]:
    def tell(event: Event) -> None:
        if isinstance(event, StepTaken):
            step = StepSaid(step=event.step, actor=event.actor, action=event.action)
            said.put_nowait(step.model_dump(mode="json"))

    return tell


def _paying_from(runtime: Runtime, share: float | None) -> Runtime:
    """Return the runtime with its models on this episode's share of the run's budget."""
    budget, paying = Budget(share), copy(runtime)
    for seat in ("student", "teacher", "verifier"):
        model: PricedModel | None = getattr(runtime, seat)
        setattr(paying, seat, model and replace(model, budget=budget))
    return paying
