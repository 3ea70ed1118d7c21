"""Collecting demonstrations: the teacher plays train tasks, and admission decides what may be shown.

The bill counts every attempt, failures too: it is the ledger of the collection's run. A task that was
collected is never collected again under the same conditions, so asking for more plays only what is missing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from icd.benchmark.conditions import CollectionConditions
from icd.benchmark.methods import MethodDefaults, standard_method
from icd.benchmark.runner import Event, Job, Stage, Tally, play_all
from icd.calls import PricedModel
from icd.errors import ConfigurationError
from icd.runtime import Runtime
from icd_envs.base import Suite, Task
from icd_memory.admission import Admission, admit
from icd_memory.retrieval import Memory
from icd_memory.rows import RunRow
from icd_memory.store import Store
from icd_memory.trajectory import Trajectory

_SEED = 0
"""Of each attempt's samples: a task is attempted once."""


def collection_jobs(
    conditions: CollectionConditions,
    suite: Suite,
    episodes: int,
    *,
    seed: int,
    teacher: PricedModel,
    store: Store,
) -> list[Job]:
    """Return one job for each of the first `episodes` tasks in the order of `seed`.

    Raises:
        ConfigurationError: the split is one of the environment's test splits.
    """
    if conditions.split in suite.test_splits:
        raise ConfigurationError(
            f"{conditions.split!r} is a test split of {suite.name}: demonstrations come from another one "
            f"({', '.join(s for s in suite.splits if s not in suite.test_splits)})"
        )
    run_id = conditions.run_id()
    settings = standard_method("teacher", MethodDefaults()).settings(conditions.runtime)
    runtime = Runtime(teacher=teacher, store=store, settings=settings, run_id=run_id)
    tasks: Sequence[Task] = suite.tasks(conditions.split, episodes, seed)
    return [Job(run_id, "teacher", task, _SEED, runtime) for task in tasks]


async def collect(
    jobs: Sequence[Job],
    conditions: CollectionConditions,
    suite: Suite,
    memory: Memory,
    *,
    workers: int = 1,
    on_event: Callable[[Event], None] = lambda event: None,
) -> Tally:
    """Play the jobs that are not done yet; what succeeded can be retrieved when this returns.

    Raises:
        IcdError: nothing can go on (a wrong setting, a budget that is used up, the store).
    """
    store = memory.store

    def judge(trajectory: Trajectory) -> Admission:
        return admit(
            trajectory,
            test_splits=frozenset(suite.test_splits),
            is_known=lambda content: any(
                row.status == "demonstration" and row.trajectory_id != trajectory.id
                for row in store.with_content(content, tenant=trajectory.tenant)
            ),
        )

    def index(admission: Admission) -> None:
        if admission.status == "demonstration":
            memory.index_added([admission.trajectory])

    stage = Stage(
        make_world=lambda: suite.environment(conditions.max_steps),
        store=store,
        keep=judge,
        kept=index,
        on_event=on_event,
    )
    store.add_run(RunRow(conditions.run_id(), {"conditions": conditions.to_json()}, stage.now()))
    return await play_all(jobs, stage, workers)
