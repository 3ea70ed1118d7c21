"""`icd bench`: several methods on the same tasks and seeds."""

from __future__ import annotations

from typing import Annotated

import typer

from icd.cli import options
from icd.cli.run import Outputs, compare
from icd.cli.settings import model_arguments, resolve, typed_command

DEFAULT = "teacher,student,few-shot,in-context,per-episode,cascade-only,cascade,random-at-cost,copy"


def bench(
    environment: options.Environment,
    episodes: Annotated[int, typer.Option("--episodes", "-n", min=1, help="Tasks to play.")] = 20,
    methods: options.Methods = DEFAULT,
    vary: options.Vary = None,
    policy: Annotated[str | None, typer.Option(help="What cascade stands for: unanimity(3), ...")] = None,
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
    results: options.Results = None,
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
    """Compare methods on the same tasks and seeds. The same command goes on where it was.

    Standard methods: student, few-shot, per-episode, in-context, cascade-only, cascade, random-at-cost, copy, teacher.
    """
    from icd.benchmark.experiment import Request
    from icd.benchmark.method_notation import read_varied, split_methods
    from icd.cli.play import default_workers, suite_options

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
    request = Request(
        environment, episodes, split or "",
        methods=split_methods(methods),
        varied=tuple(map(read_varied, vary or ())),
        repeats=repeats,
        workers=workers or default_workers(settings.student, settings.teacher, engine=engine),
        retries=retries,
        fresh=fresh,
        options=suite_options(environment, games, game_engine, *places, require_sandbox=require_sandbox),
        command=typed_command(),
    )  # fmt: skip
    return compare(request, settings, (engine, ray_address), Outputs(html, results, json))
