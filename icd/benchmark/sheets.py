"""The tables of a report as texts: a page and a Markdown file show the same ones."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from icd.benchmark.ablation import Ablation
from icd.benchmark.agreement_quality import AgreementQuality
from icd.benchmark.escalation import EscalationMap
from icd.benchmark.pairs import PairedDifference
from icd.benchmark.statistics import Interval
from icd.benchmark.summary import MethodSummary, RunSummary
from icd.ledger import BreakEven

__all__ = [
    "Cell",
    "Sheet",
    "ablation_sheet",
    "agreement_sheet",
    "caching_sheet",
    "category_sheet",
    "difference_sheet",
    "escalation_sheet",
    "method_sheet",
    "overview_sheet",
    "reason_sheet",
    "token_sheet",
]


class Cell(NamedTuple):
    """A text, and what stands small beside it."""

    text: str
    small: str = ""
    shade: float | None = None
    """From 0 to 1, for a map."""


class Sheet(NamedTuple):
    """A table. The first cell of a row names it."""

    caption: str
    columns: tuple[str, ...]
    rows: list[list[Cell]]


def figure(interval: Interval | None, form: str) -> Cell:
    """Return an estimate with its interval; an empty cell where there is none."""
    if interval is None or math.isnan(interval.value):
        return Cell("")
    return Cell(
        _number(interval.value, form), f"{_number(interval.low, form)} to {_number(interval.high, form)}"
    )


def _number(value: float, form: str) -> str:
    if math.isinf(value):
        return "∞"
    return "?" if math.isnan(value) else f"{value:{form}}"


def break_even_cell(found: BreakEven | None) -> Cell:
    """Return after how many episodes something has paid for itself."""
    if found is None:
        return Cell("")
    texts = ["never" if math.isinf(n) else f"{n:.0f}" for n in (found.episodes, found.low, found.high)]
    return Cell(texts[0], f"{texts[1]} to {texts[2]}")


def method_sheet(summary: RunSummary) -> Sheet:
    """Return every method with its figures; for code worlds TGC and SGC in the place of success, and scores if graded."""
    goals = any(method.goals for method in summary.methods)
    scores = any(method.score for method in summary.methods)
    columns = (
        "method", "episodes", *(("TGC", "SGC") if goals else ("success",)), *(("score",) if scores else ()),
        "steps", "by the teacher", "$ an episode", "$ a success", "relative cost", "break-even",
    )  # fmt: skip
    rows = [_method(m, goals=goals, scores=scores) for m in summary.methods]
    return Sheet("Methods on the same tasks and seeds", columns, rows)


def _method(method: MethodSummary, *, goals: bool, scores: bool) -> list[Cell]:
    played = method.episodes > 0
    missing = [f"{method.failed} failed"] * bool(method.failed)
    missing += [f"{method.unfinished} unfinished"] * bool(method.unfinished)
    found = method.goals
    success = [figure(method.success, ".2f")]
    if goals:
        success = [figure(found.tgc, ".2f"), figure(found.sgc, ".2f")] if found else [Cell(""), Cell("")]
    return [
        Cell(method.method.name, method.method.description),
        Cell(str(method.episodes), ", ".join(missing)),
        *success,
        *([figure(method.score, ".2f")] if scores else []),
        Cell(f"{method.steps:.1f}" if played else ""),
        Cell(f"{method.escalation:.0%}" if played else ""),
        figure(method.cost, ".4f"),
        figure(method.cost_per_success, ".4f") if played else Cell(""),
        figure(method.against.relative_cost, ".2f"),
        break_even_cell(method.against.break_even),
    ]


def overview_sheet(summaries: Sequence[RunSummary]) -> Sheet:
    """Return the methods of several runs in one table."""
    rows = [
        [
            Cell(s.conditions["environment"], f"{s.conditions['split']}, {s.run_id}"),
            Cell(m.method.name),
            Cell(str(m.episodes)),
            figure(m.success, ".2f"),
            Cell(f"{m.escalation:.0%}" if m.episodes else ""),
            figure(m.cost, ".4f"),
            figure(m.against.relative_cost, ".2f"),
            break_even_cell(m.against.break_even),
        ]
        for s in summaries
        for m in s.methods
    ]
    columns = (
        "run", "method", "episodes", "success", "by the teacher", "$ an episode", "relative cost", "break-even",
    )  # fmt: skip
    return Sheet("All runs", columns, rows)


def category_sheet(methods: Sequence[MethodSummary]) -> Sheet:
    """Return successes by kind of task."""
    names = sorted({name for method in methods for name in method.by_category})
    rows = []
    for name in names:
        row = [Cell(name or "(none)")]
        for method in methods:
            found = method.by_category.get(name)
            interval = figure(found.share, ".2f") if found else Cell("")
            row.append(Cell(f"{found.won}/{found.episodes}", interval.small) if found else interval)
        rows.append(row)
    return Sheet("Episodes solved by kind of task", ("kind", *(m.method.name for m in methods)), rows)


def difference_sheet(found: Sequence[PairedDifference]) -> Sheet:
    """Return the paired differences."""
    rows = [
        [
            Cell(f"{d.first} − {d.second}"),
            Cell(str(d.tasks)),
            figure(d.success, "+z.2f"),
            Cell("< 0.001" if d.p < 0.001 else f"{d.p:.3f}"),
            Cell(str(d.only_first)),
            Cell(str(d.only_second)),
            _detectable(d),
            figure(d.cost, "+z.4f"),
        ]
        for d in found
    ]
    columns = (
        "difference", "tasks", "success", "McNemar's p", "only the first", "only the second", "can be shown",
        "$ an episode",
    )  # fmt: skip
    return Sheet("Differences on the same tasks", columns, rows)


def _detectable(found: PairedDifference) -> Cell:
    """Return the difference that so many tasks can show."""
    beside = f"{found.discordance:.0%} discordant"
    return Cell("none" if found.detectable is None else f"±{found.detectable:.2f}", beside)


def escalation_sheet(found: EscalationMap) -> Sheet:
    """Return a map: the teacher's share of steps by kind of task and place in the episode."""
    places = [*found.categories.items(), ("all", found.total)]
    rows = [
        [
            Cell(name or "(none)"),
            *(Cell(f"{c.share.value:.0%}", f"of {c.steps}", c.share.value) if c else Cell("") for c in cells),
        ]
        for name, cells in places
    ]
    return Sheet(f"{found.method}: steps that the teacher took", ("kind", *found.positions), rows)


def reason_sheet(found: Sequence[EscalationMap]) -> Sheet:
    """Return why somebody acted, as shares of a method's steps."""
    totals = {one.method: sum(one.reasons.values()) for one in found}
    counts: dict[str, int] = {}
    for one in found:
        for reason, count in one.reasons.items():
            counts[reason] = counts.get(reason, 0) + count
    rows = []
    for reason in sorted(counts, key=lambda r: (-counts[r], r)):
        row = [Cell(reason)]
        for one in found:
            steps = one.reasons.get(reason, 0)
            share = steps / max(totals[one.method], 1)
            row.append(Cell(f"{share:.0%}", f"{steps} steps", share) if steps else Cell(""))
        rows.append(row)
    return Sheet("Who acted, and why", ("actor: reason", *(one.method for one in found)), rows)


def ablation_sheet(ablation: Ablation) -> Sheet:
    """Return success and cost by the values of a setting."""
    rows = [
        [
            Cell(point.value, "as the run has it" if point.unchanged else ""),
            figure(point.success, ".2f"),
            figure(point.cost, ".4f"),
        ]
        for point in ablation.points
    ]
    return Sheet(
        f"{ablation.base} by {ablation.setting}", (ablation.setting, "success", "$ an episode"), rows
    )


def agreement_sheet(found: Mapping[str, AgreementQuality]) -> Sheet:
    """Return how well the agreement of samples foretells a right step."""
    targets = {"teacher": "the teacher's own action", "outcome": "the episode was won"}
    rows = [
        [
            Cell(name, "all samples equal, or not" if quality.only_unanimity else ""),
            Cell(targets[quality.target]),
            Cell(str(quality.steps), f"of {quality.tasks} tasks"),
            figure(quality.auroc, ".2f"),
        ]
        for name, quality in found.items()
    ]
    return Sheet("Agreement as a forecast", ("method", "right means", "steps", "AUROC"), rows)


def caching_sheet(methods: Sequence[MethodSummary]) -> Sheet:
    """Return costs as billed, and as they were if nothing had been read from a cache."""
    rows = []
    for method in methods:
        read = method.tokens.fresh + method.tokens.cached
        rows.append(
            [
                Cell(method.method.name),
                Cell(f"{method.tokens.cached / read:.0%}" if read else ""),
                figure(method.cost, ".4f"),
                figure(method.uncached_cost, ".4f"),
                Cell(
                    f"{method.cost.value / method.uncached_cost.value:.2f}"
                    if method.uncached_cost.value
                    else ""
                ),
            ]
        )
    columns = ("method", "input from the cache", "$ an episode as billed", "$ without a cache", "ratio")
    return Sheet("Costs with and without a prompt cache", columns, rows)


def token_sheet(methods: Sequence[MethodSummary]) -> Sheet:
    """Return the mean tokens of an episode."""
    rows = [
        [
            Cell(m.method.name),
            Cell(f"{m.tokens.fresh:,.0f}"),
            Cell(f"{m.tokens.cached:,.0f}"),
            Cell(f"{m.tokens.output:,.0f}"),
        ]
        for m in methods
    ]
    return Sheet("Tokens an episode", ("method", "fresh input", "cached input", "output"), rows)
