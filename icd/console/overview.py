"""The sums of the overview: of live traffic, or of one method of a run; over time and by kind of task."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from icd.benchmark.sheets import break_even_cell
from icd.benchmark.statistics import Interval
from icd.console.figures import dollars, share
from icd.console.line_chart import Line, Mark, Plot, Spot, draw
from icd.console.savings import CallPrice, Saving, saving
from icd.episode_facts import LIVE_RUN
from icd.ledger import BreakEven
from icd_memory.figures import Scope, Totals
from icd_memory.rows import RunRow
from icd_memory.store import Store

__all__ = ["Overview", "break_even_words", "choose_scope", "overview"]

_DAYS = 120
"""Beyond so many days, weeks are shown."""
_POINTS = 40
_LAST_CATEGORIES = 30


@dataclass(frozen=True, slots=True)
class Overview:
    """What the page shows."""

    whole: Saving
    price: CallPrice | None
    categories: list[tuple[str, Saving]]
    charts: list[str]
    """SVGs: success, cost, escalations over time, and the break-even."""


def choose_scope(scopes: Sequence[Scope], run_id: str, method: str) -> Scope | None:
    """Return the scope that was asked for; None: there are no episodes.

    Of a run without a method (or with one that it lacks), the first in which student and teacher share the steps. Without
    a run, live traffic; else the latest.
    """
    live = [s for s in scopes if s.run_id == LIVE_RUN]
    found = [s for s in scopes if s.run_id == run_id] or live or list(scopes)
    if not found:
        return None
    exact = [s for s in found if s.method == method]
    if found[0].run_id == LIVE_RUN and not (method and exact):
        return Scope(LIVE_RUN, "", sum(s.episodes for s in found), 0, 0, max(s.last_day for s in found))
    shared = [s for s in found if s.student_steps and s.teacher_steps]
    return (exact or shared or found)[0]


def _is_collection(run: RunRow) -> bool:
    """Say whether a run collected demonstrations, rather than compared methods."""
    return "defaults" not in run.config.get("conditions", {})


def overview(store: Store, tenant: str, scope: Scope, since: str, until: str) -> Overview:
    """Return the sums of a scope; `since` and `until` are days, or empty."""
    rows = store.figures.totals(tenant, scope.run_id)
    price = CallPrice.of(Totals.over(rows))
    mine = [
        row
        for row in rows
        if (not scope.method or row.method == scope.method)
        and (not since or row.day >= since)
        and (not until or row.day <= until)
    ]
    whole = saving(Totals.over(mine), price, _collection(store, tenant, scope.run_id))
    by_category = _grouped(mine, "category")
    ordered = sorted(by_category.items(), key=lambda item: -item[1].episodes)[:_LAST_CATEGORIES]
    categories = [(name, saving(totals, _price_of(rows, name) or price)) for name, totals in ordered]
    return Overview(whole, price, categories, [*_over_time(mine, price), _amortisation(whole)])


def _price_of(rows: Sequence[Totals], category: str) -> CallPrice | None:
    return CallPrice.of(Totals.over([row for row in rows if row.category == category]))


def _collection(store: Store, tenant: str, run_id: str) -> float:
    """Return what the demonstrations had cost: those of the run's sources, for live traffic all collections'."""
    run = store.run(run_id)
    if run is not None:
        sources = run.config.get("conditions", {}).get("sources", ())
    elif run_id == LIVE_RUN:
        sources = [run.id for run in store.runs() if _is_collection(run)]
    else:
        sources = ()
    costs = store.figures.costs(tenant) if sources else {}
    return sum(costs.get(source, 0.0) for source in sources)


def _grouped(rows: Sequence[Totals], by: str) -> dict[str, Totals]:
    found: dict[str, list[Totals]] = defaultdict(list)
    for row in rows:
        found[getattr(row, by)].append(row)
    return {key: Totals.over(group) for key, group in found.items()}


def _over_time(rows: Sequence[Totals], price: CallPrice | None) -> list[str]:
    days = _grouped(rows, "day")
    if not days:
        return []
    first = date.fromisoformat(min(days))
    weeks = (date.fromisoformat(max(days)) - first).days > _DAYS
    periods: dict[date, list[Totals]] = defaultdict(list)
    for day, totals in days.items():
        at = date.fromisoformat(day)
        periods[at - timedelta(at.weekday()) if weeks else at].append(totals)
    first = min(periods)
    found = [((at - first).days, saving(Totals.over(group), price)) for at, group in sorted(periods.items())]
    labels = [
        (float((at - first).days), f"{at:%d %b %Y}" if weeks else f"{at:%d %b}") for at in sorted(periods)
    ]
    each = "week" if weeks else "day"
    judged = [(x, s.success) for x, s in found if s.judged]
    cost_lines = [Line("as it was", [_spot(x, s.cost) for x, s in found], 0)]
    if price is not None:
        teachers = [_spot(x, s.teacher) for x, s in found if s.teacher]
        cost_lines.append(Line("the teacher at every step", teachers, 1))
    plots = [
        Plot(
            "success", f"Success by {each}", _told(labels, judged, share),
            [Line("success", [_spot(*j) for j in judged], 0)], labels, share, most=1.0,
        ),
        Plot(
            "cost", f"Cost of an episode by {each}", _told(labels, [(x, s.cost) for x, s in found], dollars),
            cost_lines, labels, dollars,
        ),
        Plot(
            "escalation", f"Share of the steps that the teacher took, by {each}",
            _told(labels, [(x, s.escalation) for x, s in found], share),
            [Line("escalations", [_spot(x, s.escalation) for x, s in found], 0)], labels, share, most=1.0,
        ),
    ]  # fmt: skip
    return [draw(plot) for plot in plots]


def _spot(x: float, interval: Interval) -> Spot:
    return Spot(float(x), *interval)


def _told(
    labels: Sequence[tuple[float, str]],
    values: Sequence[tuple[float, Interval]],
    write: Callable[[float], str],
) -> str:
    """Say what a chart shows."""
    if not values:
        return "There is nothing to show."
    names = dict(labels)
    (x, first), (z, last) = values[0], values[-1]
    low, high = (pick(value.value for _, value in values) for pick in (min, max))
    return (
        f"From {write(first.value)} on {names[float(x)]} to {write(last.value)} on {names[float(z)]}, between "
        f"{write(low)} and {write(high)}, in {len(values)} points. The table by kind of task has the figures."
    )


def _amortisation(whole: Saving) -> str:
    """Draw what has been spent after so many episodes, collecting included, beside the teacher's."""
    if whole.teacher is None or whole.break_even is None:
        return ""
    found = whole.break_even
    end = 2 * found.episodes if 0 < found.episodes < 1e6 else max(float(whole.episodes), 10.0)
    counts = [end * number / _POINTS for number in range(_POINTS + 1)]
    lines = [
        Line("as it was", [_bill(n, whole.collection, whole.cost) for n in counts], 0),
        Line("the teacher at every step", [_bill(n, 0.0, whole.teacher) for n in counts], 1),
    ]
    marks = []
    if 0 < found.episodes < 1e6:
        marks.append(
            Mark(found.episodes, found.low, found.high, found.episodes * whole.teacher.value, "break-even")
        )
    labels = [(end * part / 4, f"{end * part / 4:,.0f}") for part in range(5)]
    return draw(
        Plot(
            "amortisation", "US dollars spent against episodes, collecting included", break_even_words(found), lines,
            labels, dollars, "episodes", marks=marks,
        )
    )  # fmt: skip


def _bill(episodes: float, start: float, each: Interval) -> Spot:
    value, low, high = (start + episodes * part for part in each)
    return Spot(episodes, value, low, high)


def break_even_words(found: BreakEven) -> str:
    """Say after how many episodes the demonstrations have paid for themselves."""
    cell = break_even_cell(found)
    if cell.text == "0":
        return "Nothing was spent for demonstrations before: each episode saves from the first one on."
    if cell.text == "never":
        return "At these costs collecting the demonstrations never pays for itself."
    return (
        f"Collecting the demonstrations has paid for itself after {cell.text} episodes (95 %: {cell.small})."
    )
