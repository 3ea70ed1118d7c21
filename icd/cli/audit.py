"""`icd audit`: what the cascade would save on a log of chat calls, before it stands in anybody's path."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from icd.cli import options
from icd.cli.failures import BACKEND, CHECK_FAILED, INTERRUPTED
from icd.cli.output import messages, results, say, write_json

if TYPE_CHECKING:
    from rich.table import Table

    from icd.benchmark.statistics import Interval
    from icd.calls import PricedModel
    from icd.chat.audit import Audit, LimitedBackend
    from icd.chat.audit_report import AuditReport, Group
    from icd.config import Settings
    from icd.ledger import Budget
    from icd.prices import Price

_BUDGET = 1.0
"""US dollars, where none is set."""


def audit(
    log: Annotated[
        Path,
        typer.Argument(
            metavar="LOG", exists=True, dir_okay=False, help="Chat calls, one JSON object a line."
        ),
    ],
    demonstrations: Annotated[
        float, typer.Option(min=0, max=0.99, help="Share of the conversations that the student is shown.")
    ] = 0.5,
    max_calls: Annotated[int, typer.Option(min=1, help="Requests to the student at most.")] = 200,
    budget: Annotated[
        float | None, typer.Option(min=0, help="US dollars that the student may cost at most; by default 1.")
    ] = None,
    no_student: Annotated[
        bool, typer.Option("--no-student", help="Call no model: report what the log alone says.")
    ] = False,
    strict: Annotated[
        bool,
        typer.Option("--strict", help="Stop at the first line that cannot be used, instead of skipping it."),
    ] = False,
    policy: Annotated[
        str | None,
        typer.Option(
            help="student, random(p), unanimity(n), majority(n, share), sequential(n, confidence) or cascade."
        ),
    ] = None,
    k: Annotated[int | None, typer.Option("--k", min=0, help="Demonstrations shown at a step.")] = None,
    temperature: Annotated[float | None, typer.Option(min=0, help="Of the student's samples.")] = None,
    student: options.Student = None,
    student_model: options.StudentModel = None,
    teacher_model: Annotated[
        str | None,
        typer.Option(
            help="Whose price the logged calls have; else the model named in the log.",
            rich_help_panel="Models",
        ),
    ] = None,
    seed: options.Seed = None,
    embedder: options.Embedder = None,
    config: options.Config = None,
    json: options.Json = False,
) -> int:
    """Predict from a log of chat calls what the cascade would save and how often the teacher would be asked.

    Part of the conversations become demonstrations, the others are replayed. Nothing is sent anywhere unless a student is
    configured.
    """
    from icd.cli.settings import model_arguments, resolve

    settings = resolve(
        config,
        student=model_arguments(student, student_model),
        student__temperature=temperature,
        policy=policy,
        retrieval__k=k,
        run__seed=seed,
        run__budget=budget,
        memory__embedder=embedder,
    )
    settings = _in_memory(settings)
    asked = not no_student and "student" in settings.model_fields_set
    with _opened(settings, log, strict, demonstrations, teacher_model) as made:
        code, spent = _play(made, settings, max_calls, asked)
        _show(made, spent, settings.memory.embedder, as_json=json)
    if not asked and not no_student and not json:
        say("no model was asked: with --student and --student-model it is, up to --max-calls and --budget")
    return code


@contextmanager
def _opened(
    settings: Settings, path: Path, strict: bool, share: float, teacher: str | None
) -> Iterator[Audit]:
    """Open a log, and a memory of its own in which nothing stays.

    Raises:
        ConfigurationError: a policy that has no student, or a wrong setting.
    """
    from icd.assembly import chat_settings, open_memory
    from icd.chat.audit import Audit
    from icd.chat.chat_log import ChatLog
    from icd.errors import ConfigurationError
    from icd_memory.store import Store

    chat = chat_settings(settings)
    if not chat.policy.asks_student:
        raise ConfigurationError(f"policy {chat.policy} asks no student: an audit predicts what one would do")
    with (
        ChatLog(path, strict=strict) as log,
        Store.open(":memory:") as store,
        open_memory(settings, store) as memory,
    ):
        yield Audit(log, memory, chat, _prices(settings, teacher), share, settings.run.seed)


def _in_memory(settings: Settings) -> Settings:
    """Return the settings of an audit: its own store, and the hashing embedder unless one is set."""
    own = settings.memory
    embedder = own.embedder if "embedder" in own.model_fields_set else "hashing"
    memory = own.model_copy(update={"store": ":memory:", "index": "exact", "embedder": embedder})
    return settings.model_copy(update={"memory": memory})


def _prices(settings: Settings, named: str | None) -> Callable[[str], Price]:
    """Return what says the price of a logged call by its model."""
    from icd.errors import PriceUnknownError
    from icd.prices import PriceTable

    table = PriceTable.from_settings(settings.prices)
    teacher = settings.teacher if settings.teacher.kind != "expert" else None
    found: dict[str, Price] = {}

    def look_up(logged: str) -> Price:
        name = named or logged or (teacher.effective_model if teacher else "")
        if not name:
            raise PriceUnknownError(
                "the log does not say which model answered: name the teacher with --teacher-model"
            )
        if teacher is not None and teacher.effective_model == name:
            return table.of_backend(teacher)
        return table.price(name)

    def price(logged: str) -> Price:
        if logged not in found:
            found[logged] = look_up(logged)
        return found[logged]

    return price


def _play(made: Audit, settings: Settings, max_calls: int, asked: bool) -> tuple[int, float]:
    """Run the parts of an audit as far as it may go; returns the exit code and what the student cost."""
    from icd.ledger import Budget

    with messages.status("reading the log"):
        made.read()
    budget = Budget(_BUDGET if settings.run.budget is None else settings.run.budget)
    student = _student(settings, budget) if asked else None
    try:
        with messages.status("comparing with what was demonstrated"):
            made.learn()
            made.look()
        if student is not None:
            _announce(made, student, max_calls)
            asyncio.run(_ask(made, student, max_calls))
    except KeyboardInterrupt:
        made.stopped = "interrupted"
        say("interrupted: this is what is known so far")
        return INTERRUPTED, budget.spent
    if made.stopped == "student":
        assert made.student is not None
        if not made.replayed:
            raise made.student.failures[-1]
        say(f"error: {made.student.failures[-1]}")
        return BACKEND, budget.spent
    nothing = made.stopped and not (made.replayed or made.unfinished)
    return CHECK_FAILED if nothing else 0, budget.spent


def _student(settings: Settings, budget: Budget) -> PricedModel:
    """Make the student, on the audit's own budget.

    Raises:
        ConfigurationError: no key, no price, or an optional part is not installed.
        ModelFilesError: weights are missing.
    """
    from icd.assembly import make_models

    models = make_models(settings, student=True, teacher=False)
    assert models.student is not None
    return replace(models.student, budget=budget)


def _announce(made: Audit, student: PricedModel, max_calls: int) -> None:
    """Say what is going to be asked, before the first call."""
    steps = sum(len(conversation.steps) for conversation in made.held_out)
    calls = min(max_calls, steps * made.settings.policy.n)
    say(
        f"replaying up to {len(made.held_out)} conversations ({steps} steps) with {student.backend.model}: "
        f"at most {calls} requests and ${student.budget.limit or 0:.2f}"
    )


async def _ask(made: Audit, student: PricedModel, max_calls: int) -> None:
    with messages.status("asking the student") as status:

        def told(done: int, backend: LimitedBackend) -> None:
            status.update(
                f"{done}/{len(made.held_out)} conversations, {backend.calls} requests, ${student.budget.spent:.4f}"
            )

        try:
            await made.replay(student, max_calls, told)
        finally:
            await student.backend.close()


def _show(made: Audit, spent: float, embedder: str, *, as_json: bool) -> None:
    from icd.chat.audit_report import report

    found = report(made, spent)
    if as_json:
        write_json(found)
        return
    for line in _headline(found):
        results.print(line, markup=False)
    results.print(_table(found))
    for note in found.notes:
        results.print(note, style="dim", markup=False)
    results.print(f"Similarities are those of the embedder {embedder}.", style="dim", markup=False)


def _headline(found: AuditReport) -> Iterator[str]:
    """Yield what the log is, what it cost, and what was asked to predict anything about it."""
    log, student = found.log, found.student
    yield (
        f"{log.path}: {log.conversations} conversations, {log.steps} steps, "
        f"{log.usage.input_tokens} tokens read ({log.usage.cached_tokens} cached), "
        f"{log.usage.output_tokens} written: ${log.cost:.4f} ({', '.join(log.models) or 'model not named'})"
    )
    if log.skipped:
        yield f"{log.skipped} of {log.lines} lines could not be used:"
        yield from (f"  line {line}: {problem}" for line, problem in log.skipped_lines)
    if student is not None:
        yield (
            f"{found.policy} with {student.model}: {student.calls} requests, ${student.spent:.4f} for this audit"
        )


def _table(found: AuditReport) -> Table:
    from rich.table import Table

    made = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 1))
    asked = found.student is not None
    for number, name in enumerate(_PREDICTED if asked else _ALONE):
        made.add_column(name, justify="right" if number else "left", no_wrap=not number)
    for group in (*found.categories, found.total):
        made.add_row(*(_predicted(group) if asked else _alone(group)), style="" if group.category else "bold")
    return made


_PREDICTED = (
    "agent",
    "conversations",
    "steps",
    "by the teacher [95 %]",
    "agrees with the log [95 %]",
    "teacher $/conv. [95 %]",
    "cascade $/conv. [95 %]",
    "savings [95 %]",
)
_ALONE = (
    "agent",
    "conversations",
    "steps",
    "something similar shown [95 %]",
    "nearest answer agrees [95 %]",
    "teacher $/conv. [95 %]",
)


def _predicted(group: Group) -> list[str]:
    found = group.prediction
    if found is None:
        return [group.label, "not replayed"]
    return [
        group.label,
        str(found.conversations),
        str(found.steps),
        _percent(found.escalation),
        _percent(found.agreement),
        _dollars(found.teacher_cost),
        _dollars(found.cascade_cost),
        _percent(found.savings),
    ]


def _alone(group: Group) -> list[str]:
    return [
        group.label,
        str(group.conversations),
        str(group.steps),
        _percent(group.support.similar),
        _percent(group.support.nearest_agrees),
        _dollars(group.teacher_cost),
    ]


def _percent(interval: Interval) -> str:
    if math.isnan(interval.value):
        return ""
    if math.isnan(interval.low):
        return f"{interval.value:.0%}"
    return f"{interval.value:.0%} [{interval.low:.0%}, {interval.high:.0%}]"


def _dollars(interval: Interval) -> str:
    if math.isnan(interval.value):
        return ""
    form = ".4f" if interval.value >= 0.01 else ".6f"
    if math.isnan(interval.low):
        return f"{interval.value:{form}}"
    return f"{interval.value:{form}} [{interval.low:{form}}, {interval.high:{form}}]"
