"""Comparing methods on the same tasks and seeds. What they play never becomes a demonstration."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace

from icd import assembly
from icd.assembly import Models
from icd.benchmark.about import about, version_of
from icd.benchmark.conditions import (
    Conditions,
    fingerprint,
    fresh_attempt,
    latest_attempt,
    strategies_fingerprint,
)
from icd.benchmark.experiment import (
    Experiment,
    Later,
    Request,
    Workplace,
    limits_of,
    make_stage,
    seat,
    within_budget,
)
from icd.benchmark.method_notation import with_setting
from icd.benchmark.methods import (
    MIXED,
    MIXED_FROM,
    Details,
    Method,
    MethodDefaults,
    applies,
    find_method,
    needs_student,
    needs_teacher,
    policy_method,
)
from icd.benchmark.mixing import solve_mixed_share
from icd.benchmark.retrievers import Retrievers
from icd.benchmark.runner import Job
from icd.calibration_record import calibrated_policy
from icd.cascade import parse_policy
from icd.config import Settings
from icd.errors import ConfigurationError
from icd.prices import PriceTable
from icd.runtime import Runtime
from icd.runtime_settings import RuntimeSettings
from icd_memory.admission import Admission
from icd_memory.store import Store
from icd_memory.strategies import StrategyLibrary
from icd_memory.trajectory import Trajectory


def prepare_comparison(request: Request, place: Workplace) -> Experiment:
    """Make a comparison ready: the same tasks and seeds for each method.

    Raises:
        ConfigurationError: a setting is wrong, or there are no demonstrations for a method that needs them.
        ModelFilesError: weights are missing.
        EnvsError: the environment has no such split, or no games.
        IcdMemoryError: the store or the embedder cannot be used.
    """
    settings, suite, store = place.settings, place.suite, place.store
    conditions = _conditions(request, place)
    attempt = fresh_attempt if request.fresh else latest_attempt
    run_id = attempt(store, conditions.run_id())
    methods = [
        _decided(method, conditions, store) for method in _methods(request, settings, conditions.defaults)
    ]
    _check_demonstrations(methods, conditions, store)
    _check_strategies(methods, conditions, store)
    models = place.make_models(settings, student=needs_student(methods), teacher=needs_teacher(methods))
    models = within_budget(models, settings, store, run_id)
    cast = _Cast(place, conditions, models, run_id)
    runtimes = {method.name: cast.runtime(method) for method in methods if method.name != MIXED}
    # All methods on one task before the next task: what is finished so far can be compared at any time.
    episodes = [
        (task, seed)
        for seed in range(settings.run.seed, settings.run.seed + request.repeats)
        for task in suite.tasks(conditions.split, request.episodes, settings.run.seed)
    ]
    jobs = [
        Job(run_id, name, task, seed, runtime)
        for task, seed in episodes
        for name, runtime in runtimes.items()
    ]
    stage = make_stage(request, place, conditions.max_steps, _for_the_record(suite.test_splits))
    config = {
        "conditions": conditions.to_json(),
        "about": about(request.command, assembly.model_files(settings)),
    }
    later = Later(MIXED, episodes, cast.mixed) if any(m.name == MIXED for m in methods) else None
    return Experiment(run_id, config, jobs, models, stage, request.workers, later=later)


def _methods(request: Request, settings: Settings, defaults: MethodDefaults) -> list[Method]:
    """Return what is to be compared, each method once."""
    if not request.methods:
        return [policy_method(request.policy or settings.policy, defaults)]
    varied = [
        with_setting(name, setting, value)
        for setting, values in request.varied
        for value in values
        for name in request.methods
        if applies(setting, name, defaults)
    ]
    named = [find_method(text, defaults) for text in (*request.methods, *varied)]
    methods = list({method.name: method for method in named}.values())
    missing = [name for name in MIXED_FROM if name not in {method.name for method in methods}]
    if missing and any(method.name == MIXED for method in methods):
        raise ConfigurationError(
            f"{MIXED} takes its share of the teacher from others: add {', '.join(missing)}"
        )
    return methods


def _decided(method: Method, conditions: Conditions, store: Store) -> Method:
    """Return the method with the policy that a calibration chose, where its own is such a promise."""
    if method.policy.name != "calibrated":
        return method
    defaults = conditions.defaults
    if (method.k, method.guards, method.details) != (defaults.k, defaults.guards, defaults.details):
        raise ConfigurationError(
            f"{method.name}: what is promised of {method.policy} holds for the run's settings only"
        )
    found = calibrated_policy(store, conditions.to_json(), method.policy)
    if found.name == "teacher":
        return replace(find_method("teacher", defaults), name=method.name)
    return replace(method, policy=found)


class _Cast:
    """Makes the runtimes of a run's methods."""

    def __init__(self, place: Workplace, conditions: Conditions, models: Models, run_id: str) -> None:
        self._store, self._conditions, self._models, self._run_id = place.store, conditions, models, run_id
        self._place = place
        self._retrievers = Retrievers(
            lambda: place.memory,
            place.store,
            conditions.environment,
            conditions.defaults.details,
            lambda name: assembly.make_embedder(place.settings.memory.model_copy(update={"embedder": name})),
        )

    def _library(self) -> StrategyLibrary:
        return assembly.strategy_library(self._place.memory)

    def runtime(self, method: Method) -> Runtime:
        return Runtime(
            student=self._models.student,
            teacher=self._models.teacher,
            verifier=self._models.verifier,
            retriever=self._retrievers.of(method),
            store=self._store,
            library=self._library() if method.details.strategies else None,
            settings=method.settings(self._conditions.runtime),
            run_id=self._run_id,
        )

    def mixed(self) -> Runtime:
        """Return the runtime of random mixing, once those have played that its share is solved from."""
        share = solve_mixed_share(self._store, self._run_id, self._conditions.to_json())
        return self.runtime(find_method(MIXED, replace(self._conditions.defaults, mixed=share)))


def method_defaults(
    settings: Settings, runtime: RuntimeSettings, demonstrations: int | None = None
) -> MethodDefaults:
    """Return what the settings fix for the methods: the cascade is their policy, if that samples and asks the
    teacher, else the paper's."""
    policy = runtime.policy
    sampled = policy.asks_student and policy.asks_teacher and policy.name != "random"
    return MethodDefaults(
        settings.retrieval.k,
        policy if sampled else parse_policy("cascade"),
        assembly.guards(settings),
        Details.of(runtime, settings.memory.embedder),
        demonstrations,
    )


def _conditions(request: Request, place: Workplace) -> Conditions:
    settings, prices = place.settings, PriceTable.from_settings(place.settings.prices)
    count, shown, sources = fingerprint(place.store, request.environment)
    runtime = assembly.runtime_settings(settings)
    return Conditions(
        environment=request.environment,
        options=dict(request.options),
        split=request.split or place.suite.splits[-1],
        max_steps=settings.run.max_steps or place.suite.max_steps,
        seed=settings.run.seed,
        student=seat(settings.student, prices),
        teacher=seat(settings.teacher, prices, assembly.tokenizer_name(settings)),
        runtime=runtime,
        defaults=method_defaults(settings, runtime, count),
        verifier=seat(settings.verifier, prices) if settings.verifier else None,
        embedder=settings.memory.embedder,
        demonstrations=count,
        memory=shown,
        strategies=strategies_fingerprint(place.store, request.environment),
        sources=sources,
        version=version_of("icd-runtime"),
        limits=limits_of(settings),
    )


def _check_demonstrations(methods: Sequence[Method], conditions: Conditions, store: Store) -> None:
    hungry = [method.name for method in methods if method.k]
    if hungry and not conditions.demonstrations:
        raise ConfigurationError(
            f"{store.place} has no demonstrations of {conditions.environment}, which {', '.join(hungry)} "
            f"would show: run `icd collect {conditions.environment}` first, or compare without them (--k 0)"
        )


def _check_strategies(methods: Sequence[Method], conditions: Conditions, store: Store) -> None:
    using = [method.name for method in methods if method.details.strategies]
    if using and not conditions.strategies:
        raise ConfigurationError(
            f"{store.place} has no approved strategies of {conditions.environment}, which {', '.join(using)} would "
            "show: propose some and approve them (`icd strategies list`)"
        )


def _for_the_record(test_splits: Collection[str]) -> Callable[[Trajectory], Admission]:
    """Return what keeps played episodes out of the memory: it must not change while methods are compared."""

    def keep(trajectory: Trajectory) -> Admission:
        if trajectory.split in test_splits:
            return Admission("rejected", f"of the test split {trajectory.split}", trajectory)
        return Admission("quarantine", "played in a comparison of methods", trajectory)

    return keep
