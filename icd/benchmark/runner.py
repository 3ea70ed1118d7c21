"""Playing many episodes: in parallel, resumable, one transaction at each end.

An episode that was cut off goes on where it was (`icd.episode`). What a machine failed at (a backend that
does not answer, a game that cannot be read) is recorded as `failed` and played again, at the end of this run or by
the next; what the agent failed at, or used up its limits at, is an outcome. Knows nothing of displays: it tells
`on_event` what happens.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeAlias

from icd.benchmark.retrying import Retries, lasting
from icd.episode import NO_LIMITS, Episode, Limits, Progress, play
from icd.errors import BackendError, ContextOverflowError, EnvsError, IcdError
from icd.runtime import Runtime
from icd.strategy_use import note_episode
from icd.telemetry import operations, spans
from icd_envs.base import Environment, Task
from icd_memory.admission import Admission
from icd_memory.rows import EpisodeRow, EpisodeStatus, JsonObject
from icd_memory.store import Store
from icd_memory.trajectory import Actor, Outcome, Provenance, Trajectory

_RECORDED = (BackendError, ContextOverflowError, EnvsError)


@dataclass(frozen=True, slots=True)
class Job:
    """One episode to play."""

    run_id: str
    method: str
    task: Task
    seed: int
    runtime: Runtime

    @property
    def id(self) -> str:
        """The episode's id: the same in every process."""
        return f"{self.run_id}/{self.method}/{self.task.id}/{self.seed}"


@dataclass(frozen=True, slots=True)
class Finished:
    """An episode's row, and what its calls cost."""

    row: EpisodeRow
    cost: float
    """Dollars; those before an interruption included."""
    lasting: bool = False
    """It failed in a way in which it would fail again."""


@dataclass(frozen=True, slots=True)
class Started:
    """Playing begins."""

    to_play: int
    done_before: tuple[Finished, ...]


@dataclass(frozen=True, slots=True)
class StepTaken:
    """An episode went on by a step."""

    job: Job
    step: int
    actor: Actor
    action: str


@dataclass(frozen=True, slots=True)
class Postponed:
    """A machine failed at an episode, which is played again after the others."""

    job: Job
    finished: Finished


@dataclass(frozen=True, slots=True)
class Ended:
    """An episode came to its end, or was given up by a machine failure."""

    job: Job
    finished: Finished


Event: TypeAlias = Started | StepTaken | Postponed | Ended


@dataclass(frozen=True, slots=True)
class Stage:
    """Where episodes are played and kept."""

    make_world: Callable[[], Environment]
    """One for each worker."""
    store: Store
    keep: Callable[[Trajectory], Admission]
    """Says under which status an episode is kept."""
    kept: Callable[[Admission], None] = lambda admission: None
    """Told of it once it is durable."""
    on_event: Callable[[Event], None] = lambda event: None
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    limits: Limits = NO_LIMITS
    """Of each episode."""
    in_thread: bool = False
    """Do the worlds' steps in threads, since they take long."""
    retries: int = 0
    """Times that an episode at which a machine failed is played again."""
    wait: Callable[[float], Awaitable[None]] = asyncio.sleep
    """Waits so many seconds before that."""


@dataclass(frozen=True, slots=True)
class Tally:
    """What became of the episodes."""

    done: int
    """Played to their end now."""
    failed: tuple[EpisodeRow, ...]
    """Given up by a machine failure now."""
    done_before: int
    not_played: int = 0
    """Left out, after too many failures."""

    def __add__(self, other: Tally) -> Tally:
        return Tally(
            self.done + other.done,
            self.failed + other.failed,
            self.done_before + other.done_before,
            self.not_played + other.not_played,
        )


Executor: TypeAlias = Callable[[Sequence[Job], Stage, int], Awaitable[Tally]]
"""Plays the jobs that are not done yet, so many at a time: `play_all`, or a cluster."""


async def play_all(jobs: Sequence[Job], stage: Stage, workers: int = 1) -> Tally:
    """Play the jobs that are not done yet, in this process.

    Cancelling it is safe at any moment: what was decided is recorded, and the next run goes on from there.

    Raises:
        IcdError: nothing can go on (a wrong setting, a budget that is used up, the store).
    """
    to_play, before = begin(jobs, stage)
    crew = _Crew(to_play, stage)
    workers = max(1, min(workers, len(crew.queue)))
    tasks = [asyncio.create_task(crew.work()) for _ in range(workers)]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    left = sum(not crew.retries.has_failed(job.id) for job in crew.queue)
    return Tally(crew.done, crew.retries.failed, before, left)


def begin(jobs: Sequence[Job], stage: Stage) -> tuple[deque[Job], int]:
    """Return the jobs that are not done yet, and how many are; tell of both."""
    known = _known(jobs, stage.store)
    before = tuple(known[job.id] for job in jobs if job.id in known and known[job.id].status == "done")
    finished = {row.id for row in before}
    to_play = deque(job for job in jobs if job.id not in finished)
    costs = _costs(jobs, stage.store) if before else {}
    stage.on_event(Started(len(to_play), tuple(Finished(row, costs.get(row.id, 0.0)) for row in before)))
    return to_play, len(before)


class _Crew:
    """The workers' common state."""

    def __init__(self, queue: deque[Job], stage: Stage) -> None:
        self.queue = queue
        self.stage = stage
        self.done = 0
        self.retries = Retries(stage.retries)

    async def work(self) -> None:
        world = self.stage.make_world()
        try:
            while self.queue and not self.retries.exhausted:
                job = self.queue.popleft()
                if pause := self.retries.pause(job.id):
                    await self.stage.wait(pause)
                await self._one(job, world)
        finally:
            world.close()

    async def _one(self, job: Job, world: Environment) -> None:
        finished = await play_one(job, world, self.stage)
        if finished.row.status == "failed":
            if self.retries.again(finished.row, lasting=finished.lasting):
                self.queue.append(job)
                self.stage.on_event(Postponed(job, finished))
                return
        else:
            self.done += 1
            self.retries.worked(job.id)
        self.stage.on_event(Ended(job, finished))


async def play_one(job: Job, world: Environment, stage: Stage) -> Finished:
    """Play an episode to its end, or until a machine fails at it, and store what came of it.

    Raises:
        IcdError: nothing can go on (a wrong setting, a budget that is used up, the store).
    """

    def tell(progress: Progress) -> None:
        stage.on_event(StepTaken(job, progress.step, progress.actor, progress.action))

    stage.store.add_episode(_row(job, "running", stage.now()))
    try:
        with _watched(job) as span, span.current():
            episode = await play(
                job.runtime, world, job.task,
                episode_id=job.id, seed=job.seed, on_step=tell, limits=stage.limits, in_thread=stage.in_thread,
            )  # fmt: skip
            span.tell(operations.played, episode.won, episode.score, len(episode.steps))
    except _RECORDED as error:
        return Finished(give_up(job, error, stage), spent_on(job.id, stage.store), lasting(error))
    row = await asyncio.to_thread(_keep, job, episode, stage)
    return Finished(row, spent_on(job.id, stage.store))


def _watched(job: Job) -> spans.Span:
    """Begin an episode for who watches."""
    task, policy = job.task, job.runtime.settings.policy
    return spans.ambient().start(
        operations.agent, job.id, model=f"icd/{policy}", run=job.run_id, method=job.method, task=task.id,
        category=task.category,
    )  # fmt: skip


def give_up(job: Job, error: IcdError | EnvsError, stage: Stage) -> EpisodeRow:
    """Store that a machine failed at an episode; the next run plays it again."""
    row = _row(job, "failed", stage.now(), {"error": {"code": error.code, "message": str(error)}})
    stage.store.add_episode(row)
    return row


def spent_on(episode_id: str, store: Store) -> float:
    """Return the dollars that an episode's calls cost, interrupted attempts included."""
    return sum(entry.cost for entry in store.ledger(episode_id=episode_id) if not entry.counterfactual)


def _keep(job: Job, episode: Episode, stage: Stage) -> EpisodeRow:
    """Store an episode's end, outcome and trajectory together."""
    admission = stage.keep(trajectory_of(job, episode, stage.now()))
    row = _row(job, "done", stage.now(), outcome_of(episode))
    with stage.store.transaction():
        stage.store.add_episode(row)
        stage.store.add_trajectory(admission.trajectory, status=admission.status, reason=admission.reason)
        if job.runtime.library is not None and job.runtime.settings.strategies.k:
            note_episode(
                job.runtime.library, [row.body for row in stage.store.decisions(job.id)], tenant="default",
                episode_id=job.id, at=stage.now(), outcome=admission.trajectory.outcome,
            )  # fmt: skip
    stage.kept(admission)
    return row


def trajectory_of(job: Job, episode: Episode, now: datetime) -> Trajectory:
    """Return an episode as it is recorded: success is what the environment says."""
    task = episode.task
    return Trajectory(
        id=job.id,
        environment=task.environment,
        task_id=task.id,
        instance=task.instance,
        split=task.split,
        goal=task.goal,
        category=task.category,
        plan=episode.plan,
        steps=episode.steps,
        outcome=Outcome(episode.won, episode.score, "environment"),
        provenance=Provenance(job.run_id, _producer(job), now, task.restriction),
    )


def _producer(job: Job) -> str:
    teacher = job.runtime.teacher
    if job.runtime.settings.policy.name == "teacher" and teacher is not None:
        return teacher.backend.model
    return job.method


def outcome_of(episode: Episode) -> JsonObject:
    """Return what the row of a finished episode says about it."""
    actors = Counter(step.actor for step in episode.steps)
    outcome: JsonObject = {
        "won": episode.won,
        "score": episode.score,
        "steps": len(episode.steps),
        "steps_by": dict(actors),
        "goal": episode.task.goal,
        "category": episode.task.category,
        "instance": episode.task.instance,
        "code": episode.code,
    }
    return {**outcome, "limit": episode.limit} if episode.limit else outcome


def _row(job: Job, status: EpisodeStatus, now: datetime, outcome: JsonObject | None = None) -> EpisodeRow:
    return EpisodeRow(job.id, job.run_id, job.task.id, job.method, job.seed, status, now, outcome)


def _known(jobs: Sequence[Job], store: Store) -> dict[str, EpisodeRow]:
    runs = dict.fromkeys(job.run_id for job in jobs)
    return {row.id: row for run in runs for row in store.episodes(run)}


def _costs(jobs: Sequence[Job], store: Store) -> dict[str, float]:
    costs: dict[str, float] = {}
    for run in dict.fromkeys(job.run_id for job in jobs):
        for entry in store.ledger(run):
            if entry.episode_id is not None and not entry.counterfactual:
                costs[entry.episode_id] = costs.get(entry.episode_id, 0.0) + entry.cost
    return costs
