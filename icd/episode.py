"""Playing one episode: plan, then decide and act until it ends.

An episode that was cut off goes on where it was: its recorded decisions are acted again without asking any model, since
the environment answers them in the same way.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, ParamSpec, TypeVar

from icd.backends.expert import ExpertBackend
from icd.calls import PricedModel
from icd.decision import Charge, DecisionContext
from icd.runtime import PLAN_STEP, Runtime
from icd.telemetry import content, operations, spans
from icd_envs.base import Environment, StepResult, Task
from icd_memory.retrieval import Excerpt
from icd_memory.trajectory import Actor, Step

P = ParamSpec("P")
T = TypeVar("T")
Limit = Literal["", "tokens", "cost", "seconds"]


@dataclass(frozen=True, slots=True)
class Limits:
    """What an episode may use; None: without limit. It ends before the step after the one that passes a limit."""

    tokens: int | None = None
    """Of all its calls, in and out."""
    cost: float | None = None
    """US dollars."""
    seconds: float | None = None
    """In which it is played; interruptions do not count."""


NO_LIMITS = Limits()


@dataclass(frozen=True, slots=True)
class Episode:
    """What an attempt left behind."""

    id: str
    task: Task
    plan: str
    steps: tuple[Step, ...]
    won: bool
    score: float
    """The environment's last reward."""
    code: bool = False
    """Its actions were blocks of Python."""
    limit: Limit = ""
    """The limit that ended it; empty: none."""


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a running episode stands, for a display."""

    task: Task
    step: int
    actor: Actor
    action: str


async def play(
    runtime: Runtime,
    world: Environment,
    task: Task,
    *,
    episode_id: str,
    seed: int = 0,
    on_step: Callable[[Progress], None] | None = None,
    limits: Limits = NO_LIMITS,
    in_thread: bool = False,
) -> Episode:
    """Play `task` to its end, or to one of its limits.

    Args:
        runtime: decides the steps.
        world: where they are done; used by nobody else meanwhile.
        task: what to do.
        episode_id: names the episode's receipts; recorded decisions under it are acted again first.
        seed: sets the samples and coins of the episode.
        on_step: is told of every step.
        limits: what it may use.
        in_thread: do the world's steps in a thread, since they take long.
    """
    stepper = _Stepper(in_thread)
    result = await stepper.do(world.reset, task)
    runtime = runtime.for_episode(_bound(runtime.teacher, world))
    known = _Known(runtime, episode_id)
    meter = _Meter(limits, runtime, episode_id, stepper, known.seconds)
    plan = known.plan
    begin = _context(task, result, episode_id, seed)
    strategies = runtime.episode_strategies(begin)
    if plan is None:
        drafted = await runtime.plan(replace(begin, strategies=strategies))
        meter.add(drafted.charges, drafted.seconds)
        plan = drafted.text
    steps: list[Step] = []
    first = replace(begin, plan=plan)
    sticky: list[Excerpt] | None = None
    passed: Limit = ""
    while not result.done:
        context = replace(_context(task, result, episode_id, seed, plan, steps), strategies=strategies)
        if (move := known.move(len(steps))) is None:
            if passed := meter.passed:
                break
            if runtime.settings.student_prompt.placement == "sticky" and sticky is None:
                sticky = runtime.excerpts(first)
            decision = await runtime.decide(context, sticky)
            meter.add(decision.charges, decision.seconds)
            move = _Move(decision.action, decision.reasoning, decision.acted_by)
        observation, view = result.observation, result.view
        result = await stepper.act(world, task, move.action)
        steps.append(Step(observation, move.action, move.reasoning, view, move.actor, result.reward))
        if on_step:
            on_step(Progress(task, len(steps), move.actor, move.action))
    return Episode(
        episode_id, task, plan, tuple(steps), result.won, result.reward, result.actions.code, passed
    )


@dataclass(frozen=True, slots=True)
class _Move:
    action: str
    reasoning: str
    actor: Actor


class _Known:
    """What is already recorded of an episode: its plan and its moves, in order."""

    def __init__(self, runtime: Runtime, episode_id: str) -> None:
        rows = list(runtime.store.decisions(episode_id)) if runtime.store else []
        self._bodies = [row.body for row in sorted(rows, key=lambda row: row.step) if row.step != PLAN_STEP]
        self.plan: str | None = rows[0].body["plan"] if rows else None
        self.seconds = sum(row.body.get("seconds", 0.0) for row in rows)
        """In which they were decided."""

    def move(self, step: int) -> _Move | None:
        """Return the recorded move of a step, None from where the record ends."""
        if step >= len(self._bodies):
            return None
        body = self._bodies[step]
        return _Move(body["action"], body["reasoning"], body["acted_by"])


class _Stepper:
    """Does the world's steps, and measures how long they take: all of an episode's, also after an interruption, since
    recorded moves are acted again."""

    def __init__(self, in_thread: bool) -> None:
        self.seconds = 0.0
        self._in_thread = in_thread

    async def do(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        started = time.perf_counter()
        try:
            return await _in_thread(call, *args, **kwargs) if self._in_thread else call(*args, **kwargs)
        finally:
            self.seconds += time.perf_counter() - started

    async def act(self, world: Environment, task: Task, action: str) -> StepResult:
        """Do an action, as the tool that the environment is."""
        with spans.ambient().start(operations.tool, task.environment) as span:
            result = await self.do(world.step, action)
            span.content(content.tool, action, result.observation)
        return result


async def _in_thread(call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Do as `asyncio.to_thread`; when cancelled, wait until the call has ended: the world is not free before."""
    running = asyncio.ensure_future(asyncio.to_thread(call, *args, **kwargs))
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        await asyncio.wait([running])
        if not running.cancelled():
            running.exception()
        raise


class _Meter:
    """What an episode has used, recorded parts included."""

    def __init__(
        self, limits: Limits, runtime: Runtime, episode_id: str, stepper: _Stepper, seconds: float
    ) -> None:
        self._limits, self._stepper, self._seconds = limits, stepper, seconds
        rows = runtime.store.ledger(episode_id=episode_id) if runtime.store else []
        paid = [row for row in rows if not row.counterfactual]
        self._tokens = sum(row.input_tokens + row.cached_tokens + row.output_tokens for row in paid)
        self._cost = sum(row.cost for row in paid)

    def add(self, charges: Sequence[Charge], seconds: float) -> None:
        paid = [charge for charge in charges if not charge.counterfactual]
        self._tokens += sum(charge.usage.input_tokens + charge.usage.output_tokens for charge in paid)
        self._cost += sum(charge.cost for charge in paid)
        self._seconds += seconds

    @property
    def passed(self) -> Limit:
        """The first limit that is reached; empty: none."""
        limits = self._limits
        if limits.tokens is not None and self._tokens >= limits.tokens:
            return "tokens"
        if limits.cost is not None and self._cost >= limits.cost:
            return "cost"
        if limits.seconds is not None and self._seconds + self._stepper.seconds >= limits.seconds:
            return "seconds"
        return ""


def _bound(teacher: PricedModel | None, world: Environment) -> PricedModel | None:
    if teacher is None or not isinstance(teacher.backend, ExpertBackend):
        return teacher
    return teacher.with_backend(teacher.backend.bind(world.expert()))


def _context(
    task: Task,
    result: StepResult,
    episode_id: str,
    seed: int,
    plan: str = "",
    steps: list[Step] | None = None,
) -> DecisionContext:
    history = tuple(steps or ())
    return DecisionContext(
        goal=task.goal,
        category=task.category,
        observation=result.observation,
        plan=plan,
        view=result.view,
        history=history,
        admissible=result.actions.admissible,
        code=result.actions.code,
        environment=task.environment,
        instance=task.instance,
        episode_id=episode_id,
        step=len(history),
        seed=step_seed(task.id, seed, len(history)),
    )


def step_seed(task_id: str, seed: int, step: int) -> int:
    """Return a seed for the samples of one step that depends on task, seed and step only."""
    digest = hashlib.sha256(f"{task_id}|{seed}|{step}".encode()).digest()
    return int.from_bytes(digest[:4], "big") >> 1
