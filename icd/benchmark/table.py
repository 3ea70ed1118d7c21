"""A run as a table for the terminal, and what has to be said beside it."""

from __future__ import annotations

import math

from rich.table import Table
from rich.text import Text

from icd.benchmark.facts import price_text
from icd.benchmark.statistics import Interval
from icd.benchmark.summary import MethodSummary, RunSummary
from icd.ledger import BreakEven

_COLUMNS = (
    "method",
    "episodes",
    "success [95 %]",
    "vs student",
    "steps",
    "by the teacher",
    "$/episode [95 %]",
    "relative cost",
    "break-even",
)
_SUCCESS = _COLUMNS.index("success [95 %]")
_GOALS = ("TGC [95 %]", "SGC [95 %]")
"""In the place of success, for code worlds."""
_SCORE = "score [95 %]"
"""After success, where scores say more than that."""
_FOR_WIDE = ("vs student", "$/episode [95 %]", "break-even")
_WIDE = 132
"""Characters that all columns need."""
_GOAL_WIDTH = 20
"""Characters that an additional column needs: the second one of code worlds, and scores."""


def table(summary: RunSummary, width: int = _WIDE) -> Table:
    """Return the table of a run's methods; what does not fit into `width` characters is left out."""
    names = columns(summary)
    wide = width >= _WIDE + _GOAL_WIDTH * (_has_goals(summary) + _has_scores(summary))
    shown = [n for n, name in enumerate(names) if wide or name not in _FOR_WIDE]
    made = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 1))
    for number in shown:
        made.add_column(names[number], justify="left" if number == 0 else "right", no_wrap=True)
    ratio = names.index("relative cost")
    for texts in rows(summary):
        if not wide:
            texts[ratio] = texts[ratio].partition(" [")[0]
        made.add_row(*(Text(texts[number]) for number in shown))  # brackets of methods are no markup
    return made


def rows(summary: RunSummary) -> list[list[str]]:
    """Return each method's figures as texts, in the order of the run's columns."""
    goals, scores = _has_goals(summary), _has_scores(summary)
    return [_cells(method, goals=goals, scores=scores) for method in summary.methods]


def _cells(method: MethodSummary, *, goals: bool, scores: bool) -> list[str]:
    against, found = method.against, method.goals
    success = [share(method.success)]
    if goals:
        success = [share(found.tgc), share(found.sgc)] if found else ["", ""]
    return [
        method.method.name,
        str(method.episodes) + _beside(method),
        *success,
        *([share(method.score)] if scores else []),
        signed(against.difference),
        f"{method.steps:.1f}" if method.episodes else "",
        f"{method.escalation:.0%}" if method.episodes else "",
        dollars(method.cost),
        factor(against.relative_cost),
        episodes(against.break_even),
    ]


def columns(summary: RunSummary) -> tuple[str, ...]:
    """Return the names of a run's columns."""
    success = _GOALS if _has_goals(summary) else _COLUMNS[_SUCCESS : _SUCCESS + 1]
    scores = (_SCORE,) if _has_scores(summary) else ()
    return (*_COLUMNS[:_SUCCESS], *success, *scores, *_COLUMNS[_SUCCESS + 1 :])


def _has_goals(summary: RunSummary) -> bool:
    return any(method.goals for method in summary.methods)


def _has_scores(summary: RunSummary) -> bool:
    return any(method.score for method in summary.methods)


def _beside(method: MethodSummary) -> str:
    missing = [f"{method.failed} failed"] * bool(method.failed)
    missing += [f"{method.unfinished} unfinished"] * bool(method.unfinished)
    return f" ({', '.join(missing)})" if missing else ""


def share(interval: Interval | None) -> str:
    """Return a share, or a mean score, with its interval."""
    return _written(interval, ".2f")


def signed(interval: Interval | None) -> str:
    """Return a difference with its interval."""
    return _written(interval, "+.2f")


def dollars(interval: Interval | None) -> str:
    """Return an amount with its interval."""
    return _written(interval, ".4f")


def factor(interval: Interval | None) -> str:
    """Return a ratio with its interval."""
    return _written(interval, ".2f")


def _written(interval: Interval | None, form: str) -> str:
    """Write an interval; nothing where there is none."""
    if interval is None or math.isnan(interval.value):
        return ""
    return f"{interval.value:{form}} [{interval.low:{form}}, {interval.high:{form}}]"


def episodes(found: BreakEven | None) -> str:
    """Return the number of episodes until a break-even, with its interval."""
    if found is None:
        return ""
    return f"{_count(found.episodes)} [{_count(found.low)}, {_count(found.high)}]"


def _count(number: float) -> str:
    return "never" if math.isinf(number) else f"{number:.0f}"


def notes(summary: RunSummary) -> list[str]:
    """Return what has to be said beside the figures: how they came about, and what they do not mean."""
    conditions = summary.conditions
    student, teacher = conditions["student"], conditions["teacher"]
    runtime, collection = conditions["runtime"], summary.collection
    lines = [
        f"{conditions['environment']}, split {conditions['split']}, at most {conditions['max_steps']} steps, "
        f"seed {conditions['seed']}, temperature {runtime['temperature']:g}, "
        f"k {conditions['defaults']['k']}, cascade {conditions['defaults']['cascade']}.",
        f"Student: {_model(student)}.",
        f"Teacher: {_model(teacher)}.",
    ]
    if collection.demonstrations:
        lines.append(
            f"Demonstrations: {collection.demonstrations} from {collection.episodes} attempts "
            f"({collection.won} won), ${collection.cost:.4f} for all of them."
        )
    goals = [method.goals for method in summary.methods if method.goals]
    if goals:
        lines.append(
            f"TGC: share of tasks; SGC: share of scenarios ({max(one.scenarios for one in goals)}) of which every task "
            "played was won. Intervals are over scenarios."
        )
    if any(method.estimated for method in summary.methods):
        lines.append(
            "Some token counts are estimates: the endpoint or the expert has no tokenizer of its own."
        )
    if student and student["kind"] == "local":
        lines.append(
            "The same run again is the same as far as the local runtime gives it: its arithmetic depends on "
            "batches, threads and processor."
        )
    return lines


def headline(summary: RunSummary) -> list[str]:
    """Return what the run shows in sentences, with the figures that carry them."""
    lines = []
    shown, cascade, copied = summary.of("in-context"), summary.of("cascade"), summary.of("copy")
    if shown and shown.against.difference:
        lines.append(
            f"With demonstrations the student solves {shown.success.value:.0%} of the episodes, without them "
            f"{shown.success.value - shown.against.difference.value:.0%} "
            f"(difference {signed(shown.against.difference)})."
        )
    if cascade and cascade.against.relative_success and cascade.against.relative_cost:
        lines.append(
            f"The cascade reaches {cascade.against.relative_success.value:.0%} of the teacher's success "
            f"while the teacher takes {cascade.escalation:.0%} of the steps, at "
            f"{cascade.against.relative_cost.value:.2f} of its cost."
        )
    if copied and copied.episodes:
        lines.append(f"Copying demonstrated steps without any model solves {copied.success.value:.0%}.")
    return lines


def _model(seat: dict[str, object] | None) -> str:
    if seat is None:
        return "none"
    text = f"{seat['model']} ({seat['kind']})"
    price, settings = seat["price"], seat["settings"]
    if isinstance(price, dict) and price:
        text += f", {price_text(price)}"
    if isinstance(settings, dict) and "tokenizer" in settings:
        text += f", tokens counted by {settings['tokenizer']}"
    return text
