"""`icd calibrate`: choose a policy whose success has a guarantee, on held-out tasks."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated

import typer

from icd.cli import options
from icd.cli.output import plain, results, say, write_json
from icd.cli.settings import model_arguments, resolve, typed_command

if TYPE_CHECKING:
    from icd.benchmark.calibrate import Calibrating, Wanted
    from icd.calibration_record import Calibration


def calibrate(
    environment: options.Environment,
    epsilon: Annotated[
        float, typer.Option(help="How far success may lie below the teacher's, as a share of episodes.")
    ] = 0.1,
    delta: Annotated[float, typer.Option(help="Probability that it nevertheless lies lower.")] = 0.1,
    episodes: Annotated[int, typer.Option("--episodes", "-n", min=1, help="Held-out tasks.")] = 100,
    split: Annotated[
        str | None, typer.Option(help="Held-out; by default the one between train and test.")
    ] = None,
    promise: Annotated[
        str,
        typer.Option(help="episodes (success beside the teacher's) or steps (same action as the teacher)."),
    ] = "episodes",
    candidates: Annotated[
        str | None,
        typer.Option(help="Policies to choose among, with commas: unanimity(n), majority(n, share)."),
    ] = None,
    by_support: Annotated[
        float | None,
        typer.Option(
            help="Promise it apart for episodes whose first support is below this, and for the others."
        ),
    ] = None,
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
    store: options.StorePlace = None,
    embedder: options.Embedder = None,
    games: options.Games = None,
    config: options.Config = None,
    json: options.Json = False,
) -> int:
    """Choose the cheapest policy that keeps a promise, on held-out tasks; `--policy 'calibrated(0.1, 0.1)'` is then it.

    The same command goes on where it was, and plays nothing twice.
    """
    from icd.benchmark.calibrate import Calibrating
    from icd.benchmark.experiment import Request, Workplace
    from icd.cli.play import default_workers, suite_options

    settings = resolve(
        config, policy="cascade", retrieval__k=k, student__temperature=temperature,
        student=model_arguments(student, student_model), teacher=model_arguments(teacher, teacher_model),
        run__max_steps=max_steps, run__seed=seed, run__budget=budget,
        memory__store=store, memory__embedder=embedder,
    )  # fmt: skip
    wanted = _wanted(epsilon, delta, promise, candidates, by_support)
    chosen = suite_options(environment, games)
    request = Request(
        environment,
        episodes,
        split or "",
        workers=workers or default_workers(settings.student, settings.teacher),
        options=chosen,
        command=typed_command(),
    )
    place = Workplace(settings, environment, chosen)
    try:
        return _calibrate(Calibrating(wanted, request, place), json)
    finally:
        place.close()


def _wanted(
    epsilon: float, delta: float, promise: str, candidates: str | None, by_support: float | None
) -> Wanted:
    from icd.benchmark.calibrate import Wanted
    from icd.calibration import DEFAULT_CANDIDATES
    from icd.cascade import parse_policy
    from icd.errors import ConfigurationError

    if promise not in ("episodes", "steps"):
        raise ConfigurationError(f"no promise {promise!r}: there are episodes and steps")
    if promise == "steps" and by_support is not None:
        raise ConfigurationError("--by-support is for the promise of episodes")
    names = re.split(r",(?![^()]*\))", candidates or "")
    policies = tuple(parse_policy(name) for name in names if name.strip())
    return Wanted(
        epsilon,
        delta,
        policies or DEFAULT_CANDIDATES,
        "steps" if promise == "steps" else "episodes",
        by_support,
    )


def _calibrate(calibrating: Calibrating, as_json: bool) -> int:
    from icd.calibration_record import keep_calibration
    from icd.calibration_words import in_words
    from icd.cli.play import failures, play

    environment = calibrating.place.environment
    most = len(calibrating.tasks) * (1 + len(calibrating.wanted.candidates))
    if calibrating.wanted.promise == "episodes":
        say(
            f"at most {most} episodes on {len(calibrating.tasks)} tasks of {calibrating.split}, fewer if one fails"
        )
    while (stage := calibrating.next_stage()) is not None:
        price = "price not known yet" if stage.price is None else f"about ${stage.price:.4f}"
        say(f"{', '.join(stage.methods)}: {stage.to_play} episodes to play, {price}")
        if code := failures(play(stage.experiment, f"calibrating {environment}: {stage.experiment.run_id}")):
            return code
    found = calibrating.found()
    keep_calibration(calibrating.place.store, found)
    if as_json:
        write_json({**plain(found.model_dump()), "words": list(in_words(found))})
    else:
        _show(found)
    return 0


def _show(found: Calibration) -> None:
    from rich.table import Table

    from icd.calibration_words import in_words

    table = Table(box=None, pad_edge=False)
    for heading in ("policy", "episodes", "lost", "gained", "shortfall", "p", "$/episode"):
        table.add_column(heading, justify="left" if heading == "policy" else "right")
    for trial in found.trials:
        table.add_row(
            trial.policy, str(trial.episodes), str(trial.losses), str(trial.gains), f"{trial.mean_loss:.3f}",
            f"{trial.p_value:.3f}", "-" if trial.cost is None else f"{trial.cost:.4f}",
        )  # fmt: skip
    results.print(table)
    for line in in_words(found):
        results.print(line, markup=False)
