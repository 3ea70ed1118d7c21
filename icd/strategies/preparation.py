"""A learning run made ready from the settings: its id, its models, what it draws from, and how it is run.

A run's id is a hash of what its results depend on, so the same command finds its run again and goes on with it; what it
draws from is fixed when it first begins. More rounds or a larger budget go on with the same run.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime

from icd import assembly
from icd.assembly import Models
from icd.benchmark.about import version_of
from icd.benchmark.conditions import digest
from icd.benchmark.experiment import Workplace, seat
from icd.benchmark.locks import alone
from icd.calls import PricedModel
from icd.errors import ConfigurationError
from icd.prices import PriceTable
from icd.strategies.actors import Actors
from icd.strategies.escalations import Lessons, batches, learn_lessons
from icd.strategies.improvement import Improver, LearningSettings
from icd.strategies.journal import Journal
from icd.strategies.learning import Event, Learned, learn
from icd.strategies.pool import Pool
from icd.strategies.scenarios import ScenarioSource
from icd.strategies.situations import Situation, newest_episodes, recorded, with_actions
from icd.strategy_use import known_tools
from icd_memory.rows import JsonObject
from icd_memory.store import Store
from icd_memory.strategies import StrategyLibrary

_ENDLESS = 1_000_000
"""Step cap of a world in which recorded steps are acted again."""


@dataclass(frozen=True, slots=True)
class LearningRequest:
    """What is to be learned."""

    environment: str
    settings: LearningSettings
    seeds: tuple[str, ...] = ()
    """Descriptions of scenarios to begin with."""
    lessons: int = 0
    """Batches of escalated steps that the teacher is asked about."""
    fresh: bool = False
    """Start anew instead of going on."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a run."""

    learned: Learned
    lessons: Lessons
    merged: int
    """Strategies of the environment that turned out to say what another says."""
    approved: tuple[str, ...]
    """Ids of those that were approved since they passed their test and the settings say so."""


@dataclass(frozen=True, slots=True)
class LearningRun:
    """A run that is ready to begin, or to go on."""

    run_id: str
    request: LearningRequest
    place: Workplace
    models: Models
    now: Callable[[], datetime] = lambda: datetime.now(UTC)

    async def run(self, on_event: Callable[[Event], None] = lambda event: None) -> Outcome:
        """Learn what is missing.

        Raises:
            BackendError: a model could not answer; the same run goes on from there.
            ConfigurationError: another process is at this run.
            IcdMemoryError: the store or the embedder failed.
        """
        try:
            with alone(self.place.store, self.run_id):
                return await self._run(on_event)
        finally:
            await self.models.close()

    async def _run(self, on_event: Callable[[Event], None]) -> Outcome:
        store, environment, settings = self.place.store, self.request.environment, self.place.settings
        embedder = self.place.memory.embedder
        journal = Journal(store, self.run_id, settings.run.budget)
        library = StrategyLibrary(store, embedder, tools_of=known_tools, now=self.now)
        student, teacher = self._pair()
        situations = self._situations(journal)
        pool = Pool(situations, embedder)
        known = journal.once("known", lambda: [s.scenario for s in library.list(environment=environment)])
        actors = Actors(journal, student, teacher, assembly.runtime_settings(settings))
        source = ScenarioSource(journal, teacher, pool, embedder, self.request.seeds, known)
        improver = Improver(
            actors, pool, library, self.request.settings,
            environment=environment, prepare=self._prepare, now=self.now,
        )  # fmt: skip
        learned = await learn(source, improver, journal, self.request.settings, on_event)
        found = batches(situations, embedder)[: self.request.lessons]
        lessons = await learn_lessons(
            found, journal, teacher, library, environment=environment, now=self.now()
        )
        learned = replace(learned, cost=journal.spent)
        return self._settled(learned, lessons, library)

    def _pair(self) -> tuple[PricedModel, PricedModel]:
        assert self.models.student is not None
        assert self.models.teacher is not None
        return self.models.student, self.models.teacher

    def _situations(self, journal: Journal) -> list[Situation]:
        """Return what the run draws from: the episodes that were there when it first began."""
        store, environment = self.place.store, self.request.environment
        episodes: Sequence[str] = journal.once("episodes", lambda: newest_episodes(store, environment))
        return list(recorded(store, episodes, test_splits=self.place.suite.test_splits))

    def _prepare(self, situation: Situation) -> Situation:
        if self.place.suite.stepping == "process":
            return situation
        trajectory = self.place.store.trajectory(situation.context.episode_id)
        world = self.place.suite.environment(_ENDLESS)
        try:
            return with_actions(situation, trajectory, world)
        finally:
            world.close()

    def _settled(self, learned: Learned, lessons: Lessons, library: StrategyLibrary) -> Outcome:
        by = f"icd strategies learn ({self.run_id})"
        approved = []
        if self.place.settings.strategies.auto_approve == "tested":
            kept = [result.strategy for result in learned.results if result.verdict == "kept"]
            approved = [id for id in kept if library.approve_if_tested(id, by=by).status == "approved"]
        merged = library.merge_duplicates(self.request.environment, by=by)
        return Outcome(learned, lessons, len(merged), tuple(approved))


def prepare_learning(request: LearningRequest, place: Workplace) -> LearningRun:
    """Make a run ready.

    Raises:
        ConfigurationError: the teacher is no model that could write, or a setting is wrong.
        EnvsError: there is no such environment.
        ModelFilesError: weights are missing.
        IcdMemoryError: the store cannot be used.
    """
    if place.settings.teacher.kind == "expert":
        raise ConfigurationError(
            "the teacher who writes strategies must be a model: set [teacher] kind and model in icd.toml, or pass "
            "--teacher URL --teacher-model NAME (what an expert did in recorded episodes is compared with all the same)"
        )
    _ = place.suite
    run_id = _attempt(place.store, _base_id(request, place), fresh=request.fresh)
    return LearningRun(run_id, request, place, place.make_models(place.settings, student=True, teacher=True))


def _base_id(request: LearningRequest, place: Workplace) -> str:
    settings = place.settings
    prices = PriceTable.from_settings(settings.prices)
    steps = assembly.runtime_settings(settings)
    facts: JsonObject = {
        "environment": request.environment,
        "seeds": request.seeds,
        "settings": {name: value for name, value in asdict(request.settings).items() if name != "rounds"},
        "student": asdict(seat(settings.student, prices)),
        "teacher": asdict(seat(settings.teacher, prices)),
        "prompts": [asdict(steps.student_prompt), asdict(steps.teacher_prompt)],
        "answers": [steps.temperature, steps.max_tokens, steps.max_code_tokens],
        "embedder": settings.memory.embedder,
        "version": version_of("icd-runtime"),
    }
    return f"learn-{request.environment}-{digest(facts)}"


def _attempt(store: Store, base: str, *, fresh: bool) -> str:
    """Return the id of the newest run of these facts: `base`, or ``base.2`` after a fresh start."""
    name = f"attempts {base}"
    number = int(store.note(name) or 1)
    if fresh and (store.ledger(base) or number > 1):
        number += 1
        store.set_note(name, str(number))
    return base if number == 1 else f"{base}.{number}"
