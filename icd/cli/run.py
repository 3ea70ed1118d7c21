"""`icd run`: episodes of an environment, by one policy or by several methods on the same tasks."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from icd.cli import options
from icd.cli.output import plain, results, say, write_json

if TYPE_CHECKING:
    from icd.benchmark.experiment import Request
    from icd.benchmark.summary import RunSummary
    from icd.config import Settings
    from icd_memory.store import Store


def run(
    environment: options.Environment,
    episodes: Annotated[int, typer.Option("--episodes", "-n", min=1, help="Tasks to play.")] = 20,
    policy: Annotated[
        str | None,
        typer.Option(help="student, teacher, copy, random(p), unanimity(n), majority(n, share) or cascade."),
    ] = None,
    methods: Annotated[
        str | None,
        typer.Option(help="Several, with commas: student, in-context, cascade, copy, teacher, or policies."),
    ] = None,
    split: Annotated[str | None, typer.Option(help="By default the environment's last one: test.")] = None,
    repeats: Annotated[int, typer.Option(min=1, help="Episodes of each task, with other seeds.")] = 1,
    k: Annotated[int | None, typer.Option("--k", min=0, help="Demonstrations shown at a step.")] = None,
    temperature: Annotated[float | None, typer.Option(min=0, help="Of the student's samples.")] = None,
    student: options.Student = None,
    student_model: options.StudentModel = None,
    teacher: options.Teacher = None,
    teacher_model: options.TeacherModel = None,
    max_steps: options.MaxSteps = None,
    seed: options.Seed = None,
    workers: options.Workers = None,
    budget: options.Budget = None,
    engine: options.Engine = "local",
    ray_address: options.RayAddress = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Start anew instead of going on.")] = False,
    html: Annotated[Path | None, typer.Option(help="Also write the report as a page.")] = None,
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
    """Play episodes and say what came of them. The same command goes on where it was."""
    from icd.benchmark.experiment import Request
    from icd.cli.play import default_workers, suite_options
    from icd.cli.settings import model_arguments, resolve, typed_command

    settings = resolve(
        config,
        student=model_arguments(student, student_model),
        teacher=model_arguments(teacher, teacher_model),
        student__temperature=temperature,
        policy=policy,
        retrieval__k=k,
        run__max_steps=max_steps,
        run__seed=seed,
        run__budget=budget,
        memory__store=store,
        memory__embedder=embedder,
    )
    places = appworld_python, appworld_root
    chosen = suite_options(environment, games, game_engine, *places, require_sandbox=require_sandbox)
    request = Request(
        environment,
        episodes,
        split or "",
        methods=_names(methods),
        repeats=repeats,
        workers=workers or default_workers(settings.student, settings.teacher, engine=engine),
        fresh=fresh,
        options=chosen,
        command=typed_command(),
    )
    return _play(request, settings, (engine, ray_address), html, json)


def _play(
    request: Request, settings: Settings, engine: tuple[str, str | None], html: Path | None, as_json: bool
) -> int:
    from icd.benchmark.compare import prepare_comparison
    from icd.benchmark.experiment import Workplace
    from icd.benchmark.summary import summarise
    from icd.cli.play import failures, on_engine, play

    place = Workplace(settings, request.environment, request.options)
    try:
        experiment = on_engine(prepare_comparison(request, place), request, settings, *engine)
        code = failures(play(experiment, f"{request.environment}: {experiment.run_id}"))
        show(summarise(place.store, experiment.run_id), place.store, html, as_json)
        return code
    finally:
        place.close()


def _names(methods: str | None) -> tuple[str, ...]:
    """Split at the commas that do not stand in parentheses."""
    import re

    names = re.split(r",(?![^()]*\))", methods or "")
    return tuple(name.strip() for name in names if name.strip())


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
