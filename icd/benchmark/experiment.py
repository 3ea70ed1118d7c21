"""An experiment: where it takes place, what is asked for, and a run that is ready to be played."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Protocol

from icd import assembly
from icd.assembly import Models
from icd.benchmark.conditions import Seat
from icd.benchmark.locks import alone
from icd.benchmark.method_notation import Varied
from icd.benchmark.runner import Event, Executor, Job, Stage, Tally, play_all
from icd.config import BackendSettings, Settings
from icd.episode import Limits
from icd.errors import ConfigurationError, PriceUnknownError
from icd.ledger import Budget
from icd.prices import PriceTable
from icd.runtime import Runtime
from icd_envs.base import Environment, Suite, Task
from icd_envs.process_world import ProcessWorld
from icd_envs.table import suite
from icd_memory.admission import Admission
from icd_memory.embedding import Embedder
from icd_memory.retrieval import Memory
from icd_memory.rows import JsonObject, RunRow
from icd_memory.store import Store
from icd_memory.trajectory import Trajectory


@dataclass(frozen=True, slots=True)
class Request:
    """What is to be run."""

    environment: str
    episodes: int
    """Tasks; each is played `repeats` times by each method."""
    split: str = ""
    """Empty: the environment's last one for comparisons, its first one for collections."""
    methods: tuple[str, ...] = ()
    """Standard names or policies, with changed settings in brackets; empty: one policy."""
    varied: tuple[Varied, ...] = ()
    """Settings whose values each make a method of every student method named."""
    policy: str = ""
    """Where no methods are named: the policy, with changed settings in brackets; empty: that of the settings."""
    repeats: int = 1
    workers: int = 1
    retries: int = 0
    """Times that an episode at which a machine failed is played again, after the others."""
    fresh: bool = False
    """Start anew instead of going on."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """Of the environment's suite."""
    command: str = ""
    """As it was typed, for the report."""


class MakeModels(Protocol):
    """Makes the models of a run from the settings: `icd.assembly.make_models`, or a test's."""

    def __call__(self, settings: Settings, *, student: bool, teacher: bool) -> Models:
        """Make those that are needed."""


class Workplace:
    """Store, tasks and memory of one environment, opened when they are first used."""

    def __init__(
        self,
        settings: Settings,
        environment: str,
        options: Mapping[str, Any] | None = None,
        make_models: MakeModels = assembly.make_models,
        make_embedder: Callable[[], Embedder] | None = None,
    ) -> None:
        self.settings = settings
        self.environment = environment
        self.make_models = make_models
        self._options = dict(options or {})
        self._make_embedder = make_embedder or (lambda: assembly.make_embedder(settings.memory))

    @cached_property
    def suite(self) -> Suite:
        """The tasks. Raises `TaskNotFoundError`."""
        return suite(self.environment, **self._options)

    @cached_property
    def store(self) -> Store:
        """The store. Raises a `MemoryStoreError`."""
        return Store.open(self.settings.memory.store)

    @cached_property
    def memory(self) -> Memory:
        """The memory over the store. Raises an `EmbedderError`."""
        return assembly.open_memory(
            self.settings, self.store, test_splits=self.suite.test_splits, embedder=self._make_embedder()
        )

    def close(self) -> None:
        """Close what was opened."""
        opened = vars(self)
        for name in ("memory", "store"):
            if name in opened:
                opened[name].close()


@dataclass(frozen=True, slots=True)
class Later:
    """Episodes of a method that can be made only when the other methods have played."""

    method: str
    episodes: Sequence[tuple[Task, int]]
    """Tasks and seeds."""
    runtime: Callable[[], Runtime]
    """Raises `ConfigurationError` where too little is played yet."""

    def jobs(self, run_id: str) -> list[Job]:
        """Return the episodes. Raises `ConfigurationError` where too little is played yet."""
        runtime = self.runtime()
        return [Job(run_id, self.method, task, seed, runtime) for task, seed in self.episodes]


@dataclass(frozen=True, slots=True)
class Experiment:
    """A run that is ready to be played, or to be gone on with."""

    run_id: str
    config: JsonObject
    """Its conditions, and under which circumstances it was first started."""
    jobs: Sequence[Job]
    models: Models
    stage: Stage
    workers: int
    executor: Executor = play_all
    """Where the episodes are played."""
    later: Later | None = None
    """What is played after `jobs`."""

    @property
    def totals(self) -> Counter[str]:
        """The number of episodes by method."""
        after = {self.later.method: len(self.later.episodes)} if self.later else {}
        return Counter(job.method for job in self.jobs) + Counter(after)

    async def play(self, on_event: Callable[[Event], None] = lambda event: None) -> Tally:
        """Play what is missing; see `icd.benchmark.runner.play_all`.

        Raises:
            IcdError: nothing can go on (a wrong setting, a budget that is used up, the store).
        """
        store = self.stage.store
        try:
            with alone(store, self.run_id):
                store.add_run(RunRow(self.run_id, self.config, self.stage.now()))
                store.set_note(f"command {self.run_id}", self.config["about"]["command"])
                return await self._play(replace(self.stage, on_event=on_event))
        finally:
            await self.models.close()

    async def _play(self, stage: Stage) -> Tally:
        tally = await self.executor(self.jobs, stage, self.workers)
        if self.later is None:
            return tally
        try:
            jobs = [] if tally.not_played else self.later.jobs(self.run_id)
        except ConfigurationError:
            if not tally.failed:
                raise
            jobs = []
        if not jobs:
            return replace(tally, not_played=tally.not_played + len(self.later.episodes))
        return tally + await self.executor(jobs, stage, self.workers)


def make_stage(
    request: Request,
    place: Workplace,
    max_steps: int,
    keep: Callable[[Trajectory], Admission],
    kept: Callable[[Admission], None] = lambda admission: None,
) -> Stage:
    """Return where the episodes of a run are played, in worlds as the suite wants them, and how they are kept."""
    suite = place.suite

    def make_world() -> Environment:
        if suite.stepping == "process":
            return ProcessWorld.of_suite(request.environment, request.options, max_steps)
        return suite.environment(max_steps)

    return Stage(
        make_world=make_world,
        store=place.store,
        keep=keep,
        kept=kept,
        limits=limits_of(place.settings),
        in_thread=suite.stepping != "loop",
        retries=request.retries,
    )


def limits_of(settings: Settings) -> Limits:
    """Return what an episode may use, by the settings."""
    run = settings.run
    return Limits(run.episode_tokens, run.episode_cost, run.episode_seconds)


def seat(settings: BackendSettings, prices: PriceTable, tokenizer: str = "") -> Seat:
    """Return a model in its place, as far as outcomes and costs depend on it."""
    other = {"kind", "model", "api_key_env", "deadline", "retries", "threads", "price", "priced_as"}
    if settings.kind == "expert":
        other |= {"temperature", "max_tokens", "max_code_tokens", "context"}
    facts = settings.model_dump(exclude=other, exclude_none=True)
    if settings.kind == "expert":
        facts["tokenizer"] = tokenizer
    try:
        price = assembly.price_facts(prices.of_backend(settings))
    except PriceUnknownError:
        # Whether it matters is found out where the model is made: this one may not be needed.
        price = {}
    return Seat(settings.kind, settings.effective_model, facts, price)


def within_budget(models: Models, settings: Settings, store: Store, run_id: str) -> Models:
    """Return the models on what the run's earlier parts have left of the budget."""
    limit = settings.run.budget
    if limit is None:
        return models
    spent = sum(row.cost for row in store.ledger(run_id))
    budget = Budget(max(limit - spent, 0.0))
    return replace(
        models,
        student=models.student and replace(models.student, budget=budget),
        teacher=models.teacher and replace(models.teacher, budget=budget),
        verifier=models.verifier and replace(models.verifier, budget=budget),
    )
