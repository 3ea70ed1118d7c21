"""Who plays which episode of a run on several machines: the driver is the only one who hands episodes out.

A worker that is lost costs nothing but its call in flight: another one goes on with its episode from the recorded
decisions (`icd.episode`). Knows workers only by the interface `Pool`.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Protocol

from icd.benchmark.retrying import Retries
from icd.benchmark.runner import (
    Ended,
    Finished,
    Job,
    Postponed,
    Stage,
    StepTaken,
    Tally,
    begin,
    give_up,
    spent_on,
)
from icd.benchmark.shares import Shares
from icd.benchmark.wire import EndSaid, ErrorSaid, Order, StepSaid, read_reply
from icd.errors import BudgetError, ClusterError
from icd_memory.rows import JsonObject

LOST_AFTER = 3
"""Workers that an episode may lose before it counts as a machine failure: it may be what kills them."""


class WorkerLostError(Exception):
    """A worker is gone: its process or its machine died, or cannot be reached."""


class Worker(Protocol):
    """Plays one episode at a time, somewhere."""

    def play(self, order: JsonObject) -> AsyncGenerator[JsonObject, None]:
        """Play the episode of an `Order` and yield `Reply`s. Raises `WorkerLostError`."""

    async def leave(self) -> None:
        """Let it go. It never raises, also where the worker is gone already."""


class Pool(Protocol):
    """Where workers come from."""

    async def hire(self) -> Worker:
        """Return a new worker, as soon as there is room for one.

        Raises:
            WorkerLostError: it died while it started.
            ClusterError: there will be none.
            IcdError: it cannot do this work: another version, a missing file, a store that it cannot reach.
        """

    async def close(self) -> None:
        """End all workers; what they have paid is recorded first."""


async def dispatch(
    jobs: Sequence[Job], stage: Stage, pool: Pool, workers: int, budget: float | None = None
) -> Tally:
    """Play the jobs that are not done yet on `workers` workers of a pool, and close it.

    Cancelling it is safe at any moment, as for `icd.benchmark.runner.play_all`. `budget`: dollars that the run may
    cost in all.

    Raises:
        ClusterError: no worker is left.
        IcdError: nothing can go on (a wrong setting, a budget that is used up, the store).
    """
    try:
        to_play, before = begin(jobs, stage)
        workers = min(workers, len(to_play))
        foreman = _Foreman(to_play, stage, pool, Shares(budget, stage.store, jobs), workers)
        if workers:
            await foreman.run()
        left = sum(not foreman.retries.has_failed(job.id) for job in foreman.queue)
        return Tally(foreman.done, foreman.retries.failed, before, left)
    finally:
        await pool.close()


class _Foreman:
    """Hands episodes out to seats, each of which always has a worker or waits for one."""

    def __init__(self, queue: deque[Job], stage: Stage, pool: Pool, shares: Shares, seats: int) -> None:
        self.queue, self.done = queue, 0
        self.retries = Retries(stage.retries)
        self._stage, self._pool, self._shares, self._seats = stage, pool, shares, seats
        self._under_way = 0
        self._lost: Counter[str] = Counter()
        self._changed = asyncio.Condition()

    async def run(self) -> None:
        """Return when nothing is left to do, though some seats may still wait for a worker."""
        seats = [asyncio.create_task(self._seat()) for _ in range(self._seats)]
        end = asyncio.create_task(self._end())
        try:
            while not end.done():
                done, _ = await asyncio.wait({end, *seats}, return_when=asyncio.FIRST_COMPLETED)
                for seat in done - {end}:
                    seat.result()
                    seats.remove(seat)
        finally:
            for task in (end, *seats):
                task.cancel()
            await asyncio.gather(end, *seats, return_exceptions=True)

    async def _end(self) -> None:
        async with self._changed:
            await self._changed.wait_for(lambda: self._over)

    @property
    def _over(self) -> bool:
        return not self._under_way and (not self.queue or self.retries.exhausted)

    async def _seat(self) -> None:
        while not self._over:
            try:
                worker = await self._hired()
            except ClusterError:
                self._seats -= 1
                if self._seats:
                    return
                raise
            try:
                while (job := await self._next()) is not None:
                    await self._one(job, worker)
            except WorkerLostError:
                continue
            finally:
                await worker.leave()

    async def _hired(self) -> Worker:
        for _ in range(LOST_AFTER - 1):
            try:
                return await self._pool.hire()
            except WorkerLostError:
                continue
        try:
            return await self._pool.hire()
        except WorkerLostError as error:
            raise ClusterError(f"workers die while they start: {error}") from error

    async def _next(self) -> Job | None:
        """Wait for a job and take it; None when there will be none."""

        def ready() -> bool:
            return self._over or (self._may_begin and bool(self.queue))

        async with self._changed:
            await self._changed.wait_for(ready)
            if self._over:
                return None
            self._under_way += 1
            return self.queue.popleft()

    @property
    def _may_begin(self) -> bool:
        if self.retries.exhausted:
            return False
        # What did not get enough of the budget waits until it can have all that is left.
        return not self._under_way or not (self.queue and self._shares.was_short(self.queue[0].id))

    async def _one(self, job: Job, worker: Worker) -> None:
        if pause := self.retries.pause(job.id):
            await self._stage.wait(pause)
        share = self._shares.deal(job.id, self._seats - self._under_way + 1)
        order = Order(method=job.method, task_id=job.task.id, seed=job.seed, budget=share)
        try:
            await self._listen(job, worker.play(order.model_dump(mode="json")))
        except WorkerLostError as error:
            self._lost_at(job, str(error))
            raise
        except BudgetError:
            if not self._shares.may_try_again(job.id):
                raise
            self.queue.append(job)
        finally:
            self._shares.settle(job.id)
            async with self._changed:
                self._under_way -= 1
                self._changed.notify_all()

    async def _listen(self, job: Job, replies: AsyncGenerator[JsonObject, None]) -> None:
        async with aclosing(replies):
            async for data in replies:
                match read_reply(data):
                    case StepSaid() as said:
                        self._stage.on_event(StepTaken(job, said.step, said.actor, said.action))
                    case EndSaid() as said:
                        self._ended(job, Finished(said.row, said.cost, said.lasting))
                        return
                    case ErrorSaid() as said:
                        raise said.error()
        raise WorkerLostError("it stopped in the middle of an episode")

    def _lost_at(self, job: Job, why: str) -> None:
        self._lost[job.id] += 1
        if self._lost[job.id] < LOST_AFTER:
            self.queue.appendleft(job)
            return
        error = ClusterError(f"{LOST_AFTER} workers were lost while they played it; the last one: {why}")
        cost = spent_on(job.id, self._stage.store)
        self._ended(job, Finished(give_up(job, error, self._stage), cost, lasting=True))

    def _ended(self, job: Job, finished: Finished) -> None:
        if finished.row.status == "failed":
            if self.retries.again(finished.row, lasting=finished.lasting):
                self.queue.append(job)
                self._stage.on_event(Postponed(job, finished))
                return
        else:
            self.done += 1
            self.retries.worked(job.id)
        self._stage.on_event(Ended(job, finished))
