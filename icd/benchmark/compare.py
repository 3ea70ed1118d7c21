"""Comparing methods on the same tasks and seeds. What they play never becomes a demonstration."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from icd import assembly
from icd.benchmark.about import about, version_of
from icd.benchmark.conditions import Conditions, fingerprint, fresh_attempt, latest_attempt
from icd.benchmark.experiment import Experiment, Request, Workplace, seat, within_budget
from icd.benchmark.methods import Method, MethodDefaults, find_method, needs_student, needs_teacher
from icd.benchmark.runner import Job, Stage
from icd.cascade import parse_policy
from icd.config import Settings
from icd.errors import ConfigurationError
from icd.prices import PriceTable
from icd.runtime import Runtime
from icd_memory.admission import Admission
from icd_memory.store import Store
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
    methods = [
        find_method(name, conditions.defaults)
        for name in dict.fromkeys(request.methods or (settings.policy,))
    ]
    _check_demonstrations(methods, conditions, store)
    attempt = fresh_attempt if request.fresh else latest_attempt
    run_id = attempt(store, conditions.run_id())
    models = place.make_models(
        settings,
        student=needs_student(methods),
        teacher=needs_teacher(methods) or settings.run.record == "full",
    )
    models = within_budget(models, settings, store, run_id)
    runtimes = {
        method.name: Runtime(
            student=models.student,
            teacher=models.teacher,
            verifier=models.verifier,
            retriever=place.memory.retriever if method.k else None,
            store=store,
            settings=method.settings(conditions.runtime),
            run_id=run_id,
        )
        for method in methods
    }
    # All methods on one task before the next task: what is finished so far can be compared at any time.
    jobs = [
        Job(run_id, name, task, seed, runtime)
        for seed in range(settings.run.seed, settings.run.seed + request.repeats)
        for task in suite.tasks(conditions.split, request.episodes, settings.run.seed)
        for name, runtime in runtimes.items()
    ]
    stage = Stage(lambda: suite.environment(conditions.max_steps), store, _for_the_record(suite.test_splits))
    config = {
        "conditions": conditions.to_json(),
        "about": about(request.command, assembly.model_files(settings)),
    }
    return Experiment(run_id, config, jobs, models, stage, request.workers)


def method_defaults(settings: Settings) -> MethodDefaults:
    """Return what the settings fix for the methods: the cascade is their policy, if that samples and asks the
    teacher, else the paper's."""
    policy = parse_policy(settings.policy)
    cascade = policy if policy.name in ("unanimity", "majority", "sequential") else parse_policy("cascade")
    return MethodDefaults(settings.retrieval.k, cascade, assembly.guards(settings))


def _conditions(request: Request, place: Workplace) -> Conditions:
    settings, prices = place.settings, PriceTable.from_settings(place.settings.prices)
    count, shown, sources = fingerprint(place.store, request.environment)
    return Conditions(
        environment=request.environment,
        options=dict(request.options),
        split=request.split or place.suite.splits[-1],
        max_steps=settings.run.max_steps or place.suite.max_steps,
        seed=settings.run.seed,
        student=seat(settings.student, prices),
        teacher=seat(settings.teacher, prices, assembly.tokenizer_name(settings)),
        runtime=assembly.runtime_settings(settings),
        defaults=method_defaults(settings),
        verifier=seat(settings.verifier, prices) if settings.verifier else None,
        embedder=settings.memory.embedder,
        demonstrations=count,
        memory=shown,
        sources=sources,
        version=version_of("icd-runtime"),
    )


def _check_demonstrations(methods: Sequence[Method], conditions: Conditions, store: Store) -> None:
    hungry = [method.name for method in methods if method.k]
    if hungry and not conditions.demonstrations:
        raise ConfigurationError(
            f"{store.place} has no demonstrations of {conditions.environment}, which {', '.join(hungry)} "
            f"would show: run `icd collect {conditions.environment}` first, or compare without them (--k 0)"
        )


def _for_the_record(test_splits: Collection[str]) -> Callable[[Trajectory], Admission]:
    """Return what keeps played episodes out of the memory: it must not change while methods are compared."""

    def keep(trajectory: Trajectory) -> Admission:
        if trajectory.split in test_splits:
            return Admission("rejected", f"of the test split {trajectory.split}", trajectory)
        return Admission("quarantine", "played in a comparison of methods", trajectory)

    return keep
