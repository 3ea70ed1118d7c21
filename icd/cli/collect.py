"""`icd collect`: the teacher plays train tasks; what succeeds becomes a demonstration."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from icd.cli import options
from icd.cli.output import plain, say, write_json

if TYPE_CHECKING:
    from icd_memory.store import Store


def collect(
    environment: Annotated[
        str, typer.Argument(help="household, alfworld, workspace, appworld or service-desk.", metavar="ENV")
    ],
    episodes: Annotated[int, typer.Option("--episodes", "-n", min=1, help="Tasks to attempt.")] = 100,
    split: Annotated[str | None, typer.Option(help="Never a test split; by default train.")] = None,
    teacher: options.Teacher = None,
    teacher_model: options.TeacherModel = None,
    max_steps: options.MaxSteps = None,
    seed: options.Seed = None,
    workers: options.Workers = None,
    retries: options.Retries = 2,
    budget: options.Budget = None,
    games: options.Games = None,
    require_sandbox: options.RequireSandbox = False,
    appworld_python: options.AppworldPython = None,
    appworld_root: options.AppworldRoot = None,
    store: options.StorePlace = None,
    embedder: options.Embedder = None,
    config: options.Config = None,
    json: options.Json = False,
) -> int:
    """Collect the teacher's demonstrations on train tasks. No task is played twice."""
    from icd.benchmark.collect import prepare_collection
    from icd.benchmark.experiment import Request, Workplace
    from icd.cli.play import default_workers, failures, play, suite_options
    from icd.cli.settings import model_arguments, resolve, typed_command

    settings = resolve(
        config,
        teacher=model_arguments(teacher, teacher_model),
        run__max_steps=max_steps,
        run__seed=seed,
        run__budget=budget,
        memory__store=store,
        memory__embedder=embedder,
    )
    places = appworld_python, appworld_root
    chosen = suite_options(environment, games, None, *places, require_sandbox=require_sandbox)
    request = Request(
        environment,
        episodes,
        split or "",
        workers=workers or default_workers(settings.teacher),
        retries=retries,
        options=chosen,
        command=typed_command(),
    )
    place = Workplace(settings, environment, chosen)
    try:
        experiment = prepare_collection(request, place)
        tally = play(experiment, f"collecting demonstrations of {environment}: {experiment.run_id}")
        code = failures(tally)
        _write(experiment.run_id, place.store, environment, json)
        return code
    finally:
        place.close()


def _write(run_id: str, store: Store, environment: str, as_json: bool) -> None:
    from icd.benchmark.summary import collected

    stored = store.listing(environment=environment, status="demonstration")
    mine = sum(row.id.startswith(f"{run_id}/") for row in stored)
    found = collected(store, [run_id], mine)
    if as_json:
        write_json({"run": run_id, "store": store.place, **plain(found), "in_memory": len(stored)})
        return
    say(
        f"{found.demonstrations} demonstrations from {found.episodes} attempts ({found.won} won), "
        f"${found.cost:.4f} in all; {store.place} holds {len(stored)} of {environment}"
    )
