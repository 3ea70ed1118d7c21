"""`icd strategies learn`: the teacher writes strategies for the student, and they are tested."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from icd.cli import options
from icd.cli.failures import CHECK_FAILED
from icd.cli.output import plain, results, say, write_json

if TYPE_CHECKING:
    from icd.strategies.improvement import ScenarioResult
    from icd.strategies.learning import Event
    from icd.strategies.preparation import LearningRun, Outcome


def learn(
    environment: Annotated[
        str, typer.Argument(help="The environment whose recorded episodes are learned from.", metavar="ENV")
    ],
    rounds: Annotated[int, typer.Option(min=1, help="Of looking for scenarios.")] = 2,
    scenarios: Annotated[int, typer.Option(min=1, help="Of each round, at most.")] = 4,
    seeds: Annotated[
        Path | None, typer.Option(help="A file with descriptions of scenarios to begin with, one a line.")
    ] = None,
    lessons: Annotated[
        int, typer.Option(min=0, help="Groups of escalated steps that the teacher is asked the lesson of.")
    ] = 0,
    student: options.Student = None,
    student_model: options.StudentModel = None,
    teacher: options.Teacher = None,
    teacher_model: options.TeacherModel = None,
    budget: options.Budget = None,
    fresh: options.Fresh = False,
    store: options.StorePlace = None,
    embedder: options.Embedder = None,
    config: options.Config = None,
    json: options.Json = False,
) -> int:
    """Let the teacher write strategies, and propose those that help the student on other situations. The same command
    goes on where it was."""
    from icd.benchmark.experiment import Workplace
    from icd.cli.settings import model_arguments, resolve
    from icd.strategies.improvement import LearningSettings
    from icd.strategies.preparation import LearningRequest, prepare_learning

    settings = resolve(
        config,
        student=model_arguments(student, student_model),
        teacher=model_arguments(teacher, teacher_model),
        run__budget=budget,
        memory__store=store,
        memory__embedder=embedder,
    )
    chosen = LearningSettings(
        rounds=rounds, scenarios=scenarios, relevance=settings.strategies.min_similarity
    )
    request = LearningRequest(environment, chosen, _lines(seeds), lessons, fresh)
    place = Workplace(settings, environment)
    try:
        outcome = _run(prepare_learning(request, place))
    finally:
        place.close()
    if json:
        write_json(plain(outcome))
    else:
        _show(outcome)
    return CHECK_FAILED if outcome.learned.stopped or outcome.lessons.stopped else 0


def _lines(file: Path | None) -> tuple[str, ...]:
    if file is None:
        return ()
    return tuple(line.strip() for line in file.read_text("utf-8").splitlines() if line.strip())


def _run(run: LearningRun) -> Outcome:
    import asyncio

    say(f"learning strategies of {run.request.environment}: {run.run_id}")
    try:
        return asyncio.run(run.run(_tell))
    except KeyboardInterrupt:
        say("interrupted: what was paid for is kept, and the same command goes on from here")
        raise


def _tell(event: Event) -> None:
    from icd.strategies.learning import RoundBegun, ScenarioDone, TurnTaken

    match event:
        case RoundBegun(number=number, scenarios=found):
            say(f"round {number}: {len(found)} scenario{'s' * (len(found) != 1)}")
        case TurnTaken(scenario=scenario, number=0, gap=gap):
            say(f"  {scenario.text} ({scenario.origin})\n    without guidance: gap {gap:.2f}")
        case TurnTaken(number=number, gap=gap):
            say(f"    turn {number}: gap {gap:.2f}")
        case ScenarioDone(result=result):
            say(f"    {result.verdict}{_tested(result)}, ${result.cost:.4f}")


def _tested(result: ScenarioResult) -> str:
    from icd.strategies.improvement import in_words

    if result.why:
        return f": {result.why}"
    return "" if result.effect is None else f": {in_words(result.effect)}"


def _show(outcome: Outcome) -> None:
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for heading in ("scenario", "gap", "with it", "on others", "p", "", "strategy", "$"):
        left = heading in ("scenario", "", "strategy")
        table.add_column(heading, justify="left" if left else "right", overflow="fold")
    for result in outcome.learned.results:
        effect = result.effect
        table.add_row(
            result.scenario.text, f"{result.before:.2f}", f"{result.after:.2f}" if result.turns else "-",
            "-" if effect is None else "{:+.0%} [{:+.0%}, {:+.0%}]".format(*effect.difference),
            "-" if effect is None else f"{effect.p_value:.3f}", result.verdict, result.strategy or "-",
            f"{result.cost:.4f}",
        )  # fmt: skip
    results.print(table)
    _summary(outcome)


def _summary(outcome: Outcome) -> None:
    learned, lessons = outcome.learned, outcome.lessons
    kept = sum(result.verdict == "kept" for result in learned.results)
    results.print(f"{kept} of {len(learned.results)} kept; ${learned.cost:.4f} in all", markup=False)
    if lessons.asked:
        results.print(
            f"{len(lessons.proposed)} lessons of {lessons.asked} escalated steps, not tested", markup=False
        )
    if outcome.merged:
        results.print(f"{outcome.merged} near-duplicates merged", markup=False)
    if outcome.approved:
        results.print(f"approved, since they passed: {', '.join(outcome.approved)}", markup=False)
    elif kept or lessons.proposed:
        say("they wait for approval: `icd strategies list --status proposed`, `icd strategies approve ID`")
    if stopped := learned.stopped or lessons.stopped:
        say(f"stopped: {stopped}")
        say("the same command with a larger --budget goes on from here")
