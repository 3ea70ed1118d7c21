"""What stands in a report about one run, part by part: sentences, charts and tables."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import NamedTuple, TypeAlias

from icd.benchmark import sheets
from icd.benchmark.charts.ablation import setting_chart
from icd.benchmark.charts.amortisation import spending
from icd.benchmark.charts.pareto import front, success_against_cost
from icd.benchmark.charts.reliability import reliability_chart
from icd.benchmark.findings import EPISODES_TO_COME, Findings
from icd.benchmark.sheets import Sheet
from icd.benchmark.table import headline, notes

__all__ = ["Part", "Section", "parts", "section"]

DrawChart: TypeAlias = Callable[[str], str]
"""From an id that is unique in the page to an SVG. May raise `MissingExtraError`."""


class Part(NamedTuple):
    """A heading and what stands under it."""

    id: str
    heading: str
    sentences: tuple[str, ...] = ()
    charts: tuple[DrawChart, ...] = ()
    sheets: tuple[Sheet, ...] = ()
    points: tuple[str, ...] = ()
    """A list."""


class Section(NamedTuple):
    """All about one run."""

    title: str
    parts: tuple[Part, ...]
    facts: tuple[tuple[str, str], ...]


def section(found: Findings) -> Section:
    """Return what is shown of a run."""
    conditions = found.summary.conditions
    title = f"{conditions['environment']}, {conditions['split']}"
    return Section(title, tuple(parts(found)), tuple(found.facts.items()))


def parts(found: Findings) -> Iterator[Part]:
    """Return the parts for which the run has data."""
    summary = found.summary
    played = [method for method in summary.methods if method.episodes]
    yield _methods(found)
    if played:
        yield _pareto(found)
    if found.amortisations:
        yield _amortisation(found)
    if found.differences:
        yield Part(
            "differences",
            "Paired differences",
            ("First minus second, on the tasks and seeds that both finished. p is McNemar's exact test of equal success, "
            "not corrected for the number of comparisons.",
            "Can be shown: the difference that so many tasks show with a chance of 80 %, if as many of them as here are "
            "discordant (won by exactly one of the two).",),
            sheets=(sheets.difference_sheet(found.differences),),
        )  # fmt: skip
    if any(method.by_category for method in played):
        yield Part("kinds", "By kind of task", sheets=(sheets.category_sheet(played),))
    if found.escalations:
        yield _escalations(found)
    for number, ablation in enumerate(found.ablations, 1):
        yield Part(
            f"ablation-{number}",
            f"{ablation.base}: {ablation.setting}",
            charts=(partial(setting_chart, ablation),),
            sheets=(sheets.ablation_sheet(ablation),),
        )
    if found.agreement:
        yield _agreement(found)
    if played:
        yield _caching(found)
    yield Part("reading", "How to read this", points=tuple(notes(summary)))


def _methods(found: Findings) -> Part:
    derived = ", ".join(method.method.name for method in found.summary.methods if method.derived)
    said = f"Not played, but chosen for each task from the episodes of others: {derived}."
    return Part(
        "methods",
        "Methods",
        (said,) if derived else (),
        sheets=(sheets.method_sheet(found.summary),),
        points=tuple(headline(found.summary)),
    )


def _pareto(found: Findings) -> Part:
    methods = found.summary.methods
    best = ", ".join(point.name for point in front(methods))
    return Part(
        "pareto",
        "Success against cost",
        (f"Bars are 95 % intervals. On the Pareto front (ringed, joined by the dashed line): {best}. No cheaper method "
        "of this run solves as much.",),
        charts=(partial(success_against_cost, methods),),
    )  # fmt: skip


def _amortisation(found: Findings) -> Part:
    cost = found.summary.collection.cost
    return Part(
        "amortisation",
        "When the demonstrations have paid for themselves",
        (f"Collecting the demonstrations cost ${cost:.4f}, failed attempts included. Marks are break-even points "
        "with the teacher and their 95 % intervals; bands follow the interval of the cost of an episode.",
        *_stopping(found)),
        charts=(partial(spending, found.amortisations, _names(found)),),
    )  # fmt: skip


def _names(found: Findings) -> list[str]:
    """Return the methods in the order that gives them their colours."""
    return [method.method.name for method in found.summary.methods]


def _stopping(found: Findings) -> Iterator[str]:
    """Say whether more demonstrations would pay."""
    rule = found.stopping
    if rule is None:
        return
    said = {
        "stop": "further demonstrations do not pay",
        "collect": "further demonstrations pay",
        "unclear": "whether further demonstrations pay is unclear",
    }[rule.verdict]
    beyond = ", an extrapolation beyond the largest memory played" if rule.beyond else ""
    yield (
        f"For {EPISODES_TO_COME:,} more episodes, {said}: the best number of them is {rule.best.value:.0f} "
        f"(95 %: {rule.best.low:.0f} to {rule.best.high:.0f}){beyond}, from {rule.tasks} tasks played with "
        "memories of several sizes."
    )


def _escalations(found: Findings) -> Part:
    return Part(
        "escalations",
        "Where the teacher acts",
        ("The teacher's share of the steps, by kind of task and the step's place in its episode.",),
        sheets=(
            *(sheets.escalation_sheet(one) for one in found.escalations),
            sheets.reason_sheet(found.escalations),
        ),
    )


def _agreement(found: Findings) -> Part:
    return Part(
        "agreement",
        "Whether agreement says who is right",
        ("AUROC is the probability that a right step has the higher agreement of a right and a wrong one: 0.5 says "
        "nothing, 1 everything. Intervals are over tasks.",),
        charts=(partial(reliability_chart, found.agreement, _names(found)),),
        sheets=(sheets.agreement_sheet(found.agreement),),
    )  # fmt: skip


def _caching(found: Findings) -> Part:
    methods = [method for method in found.summary.methods if method.episodes]
    return Part(
        "caching",
        "Tokens, and what caching is worth",
        ("The same calls billed as they were, with input read from the provider's cache at its cached price, and as if "
        "nothing had been cached.",),
        sheets=(sheets.caching_sheet(methods), sheets.token_sheet(methods)),
    )  # fmt: skip
