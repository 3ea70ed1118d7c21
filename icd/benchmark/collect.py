"""Collecting demonstrations: the teacher plays train tasks, and admission decides what may be shown.

The bill counts every attempt, failures too: it is the ledger of the collection's run. A task that was
collected is never collected again under the same conditions, so asking for more plays only what is missing.
"""

from __future__ import annotations

from collections.abc import Callable, Collection

from icd import assembly
from icd.benchmark.about import about, version_of
from icd.benchmark.conditions import CollectionConditions
from icd.benchmark.experiment import (
    Experiment,
    Request,
    Workplace,
    limits_of,
    make_stage,
    seat,
    within_budget,
)
from icd.benchmark.runner import Job
from icd.cascade import Policy
from icd.errors import ConfigurationError
from icd.prices import PriceTable
from icd.runtime import Runtime, RuntimeSettings
from icd_envs.base import Suite
from icd_memory.admission import Admission, admit
from icd_memory.retrieval import Memory
from icd_memory.store import Store
from icd_memory.trajectory import Trajectory

_SEED = 0
"""Of each attempt's samples: a task is attempted once."""


def prepare_collection(request: Request, place: Workplace) -> Experiment:
    """Make a collection ready; what succeeded can be retrieved when it has been played.

    Raises:
        ConfigurationError: the split is one of the environment's test splits, or a setting is wrong.
        EnvsError: the environment has no such split, or no games.
        IcdMemoryError: the store or the embedder cannot be used.
    """
    settings, suite = place.settings, place.suite
    split = request.split or suite.splits[0]
    _refuse_test_split(split, suite)
    store, memory = place.store, place.memory
    conditions = CollectionConditions(
        environment=request.environment,
        options=dict(request.options),
        split=split,
        max_steps=settings.run.max_steps or suite.max_steps,
        teacher=seat(
            settings.teacher,
            PriceTable.from_settings(settings.prices),
            assembly.tokenizer_name(settings),
        ),
        runtime=RuntimeSettings(
            policy=Policy("teacher"),
            k=0,
            temperature=settings.teacher.temperature,
            max_tokens=settings.teacher.max_tokens,
            max_code_tokens=settings.teacher.max_code_tokens,
        ),
        version=version_of("icd-runtime"),
        limits=limits_of(settings),
    )
    run_id = conditions.run_id()
    models = within_budget(place.make_models(settings, student=False, teacher=True), settings, store, run_id)
    runtime = Runtime(teacher=models.teacher, store=store, settings=conditions.runtime, run_id=run_id)
    tasks = suite.tasks(split, request.episodes, settings.run.seed)
    return Experiment(
        run_id,
        {"conditions": conditions.to_json(), "about": about(request.command)},
        [Job(run_id, "teacher", task, _SEED, runtime) for task in tasks],
        models,
        make_stage(
            request, place, conditions.max_steps, judged_for(store, suite.test_splits), _index(memory)
        ),
        request.workers,
    )


def _refuse_test_split(split: str, suite: Suite) -> None:
    if split in suite.test_splits:
        others = ", ".join(name for name in suite.splits if name not in suite.test_splits)
        raise ConfigurationError(
            f"{split!r} is a test split of {suite.name}: collect demonstrations from {others}"
        )


def judged_for(store: Store, test_splits: Collection[str]) -> Callable[[Trajectory], Admission]:
    """Return what judges trajectories of an environment with these test splits, beside what the store holds."""

    def judge(trajectory: Trajectory) -> Admission:
        def is_known(content_hash: str) -> bool:
            rows = store.with_content(content_hash, tenant=trajectory.tenant)
            return any(r.status == "demonstration" and r.trajectory_id != trajectory.id for r in rows)

        return admit(trajectory, test_splits=test_splits, is_known=is_known)

    return judge


def _index(memory: Memory) -> Callable[[Admission], None]:
    def index(admission: Admission) -> None:
        if admission.status == "demonstration":
            memory.index_added([admission.trajectory])

    return index
