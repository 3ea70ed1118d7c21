"""`icd run`: episodes of an environment by one policy; what `icd run` and `icd bench` have in common."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from icd.cli import options
from icd.cli.output import plain, results, say, write_json
from icd.cli.settings import model_arguments, resolve, typed_command

if TYPE_CHECKING:
    from collections.abc import Sequence

    from icd.benchmark.experiment import Request
    from icd.benchmark.summary import RunSummary
    from icd.config import Settings
    from icd_memory.store import Store


def run(
    environment: options.Environment,
    episodes: Annotated[int, typer.Option("--episodes", "-n", min=1, help="Tasks to play.")] = 20,
    policy: Annotated[
        str | None,
        typer.Option(
            help="student, teacher, copy, random(p), unanimity(n), majority(n, share), sequential(n, confidence) or "
            "cascade; with changed settings as in cascade[k=1;window=0]."
        ),
    ] = None,
    split: options.Split = None,
    repeats: options.Repeats = 1,
    k: options.K = None,
    temperature: options.Temperature = None,
    student: options.Student = None,
    student_model: options.StudentModel = None,
    teacher: options.Teacher = None,
    teacher_model: options.TeacherModel = None,
    max_steps: options.MaxSteps = None,
    seed: options.Seed = None,
    workers: options.Workers = None,
    retries: options.Retries = 2,
    budget: options.Budget = None,
    engine: options.Engine = "local",
    ray_address: options.RayAddress = None,
    fresh: options.Fresh = False,
    html: options.Html = None,
    games: options.Games = None,
    game_engine: options.GameEngine = None,
    require_sandbox: options.RequireSandbox = False,
    appworld_python: options.AppworldPython = None,
    appworld_root: options.AppworldRoot = None,
    store: options.StorePlace = None,
    embedder: options.Embedder = None,
    config: options.Config = None,
    json: options.Json = False,
) -> int:
    """Play episodes and say what came of them. The same command goes on where it was.

    The student is the active one (`icd offline list`), unless --student or --student-model names one.
    """
    from icd.benchmark.experiment import Request
    from icd.cli.play import default_workers, suite_options

    settings = resolve(
        config,
        student=model_arguments(student, student_model),
        teacher=model_arguments(teacher, teacher_model),
        student__temperature=temperature,
        policy=policy and policy.partition("[")[0],
        retrieval__k=k,
        run__max_steps=max_steps,
        run__seed=seed,
        run__budget=budget,
        memory__store=store,
        memory__embedder=embedder,
    )
    if student is None and student_model is None:
        from icd.offline.active import active_settings

        settings = active_settings(settings)
    places = appworld_python, appworld_root
    chosen = suite_options(environment, games, game_engine, *places, require_sandbox=require_sandbox)
    request = Request(
        environment, episodes, split or "", policy=policy or "", repeats=repeats,
        workers=workers or default_workers(settings.student, settings.teacher, engine=engine),
        retries=retries, fresh=fresh, options=chosen, command=typed_command(),
    )  # fmt: skip
    return compare(request, settings, (engine, ray_address), Outputs(html, None, json))


class Outputs(NamedTuple):
    """What is written at the end of a run."""

    html: Path | None
    results: Path | None
    as_json: bool


def compare(request: Request, settings: Settings, engine: tuple[str, str | None], outputs: Outputs) -> int:
    """Play episodes and write what came of them; return the exit code. `engine`: its name, and a cluster's address."""
    from icd.benchmark.compare import prepare_comparison
    from icd.benchmark.experiment import Workplace
    from icd.benchmark.summary import summarise
    from icd.cli.play import failures, on_engine, play

    place = Workplace(settings, request.environment, request.options)
    try:
        experiment = on_engine(prepare_comparison(request, place), request, settings, *engine)
        code = failures(play(experiment, f"{request.environment}: {experiment.run_id}"))
        if outputs.results is not None:
            write([(place.store, experiment.run_id)], outputs.results)
        show(summarise(place.store, experiment.run_id), place.store, outputs.html, outputs.as_json)
        return code
    finally:
        place.close()


def write(runs: Sequence[tuple[Store, str]], file: Path) -> None:
    """Write the raw results of runs, each in its store."""
    from icd.benchmark.results import write_results

    say(f"results: {write_results(runs, file)} episodes in {file}")


def show(summary: RunSummary, store: Store, html: Path | None, as_json: bool) -> None:
    """Write a run's summary: table or JSON, and the page if one is wanted."""
    if html is not None:
        from icd.benchmark.report import write_page

        write_page([summary], store, html)
        say(f"report: {html}")
    if as_json:
        write_json(plain(summary))
        return
    from icd.benchmark.table import notes, table

    results.print(table(summary, results.width))
    for line in notes(summary):
        results.print(line, style="dim", markup=False)
