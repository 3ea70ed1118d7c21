"""What has been spent after so many episodes, collecting included."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from icd.benchmark.amortisation import Amortisation
from icd.benchmark.charts.style import Chart, Look, draw, looks
from icd.benchmark.statistics import Interval
from icd.ledger import BreakEven

__all__ = ["spending"]


def spending(bills: Mapping[str, Amortisation], order: Sequence[str], id: str) -> str:
    """Return an SVG of cumulative cost against episodes by method, with each break-even and its 95 % interval.

    `order` names all methods of the run, so that each looks alike in all charts.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    look = looks(order)
    horizon = max(found.points[-1].episodes for found in bills.values())

    def paint(axes: Any) -> None:
        first = next(iter(bills.values()))
        episodes = [point.episodes for point in first.points]
        _line(axes, "teacher", episodes, [point.teacher for point in first.points], look["teacher"])
        for name, found in bills.items():
            episodes = [point.episodes for point in found.points]
            _line(axes, name, episodes, [point.method for point in found.points], look[name])
        for name, found in bills.items():
            _mark(axes, found, horizon, look[name])
        axes.set(xlabel="episodes", ylabel="US dollars spent, collecting included", xlim=(0, horizon))
        axes.set_ylim(bottom=0)

    said = "; ".join(f"{name} {_said(found.break_even)}" for name, found in bills.items())
    chart = Chart(id, "Cumulative cost against episodes", f"Break-even with the teacher: {said}.")
    return draw(chart, paint)


def _line(axes: Any, name: str, episodes: Sequence[int], spent: Sequence[Interval], look: Look) -> None:
    axes.plot(episodes, [one.value for one in spent], color=look.colour, lw=1.8, label=name)
    axes.fill_between(
        episodes,
        [one.low for one in spent],
        [one.high for one in spent],
        color=look.colour,
        alpha=0.12,
        lw=0,
    )


def _mark(axes: Any, bill: Amortisation, horizon: float, look: Look) -> None:
    """Mark a break-even, its interval cut at the end of the axis."""
    found = bill.break_even
    if not math.isfinite(found.episodes):
        return
    start, end = bill.points[0], bill.points[-1]
    spent = start.method.value + (end.method.value - start.method.value) * found.episodes / end.episodes
    axes.errorbar(
        [found.episodes],
        [spent],
        xerr=[[max(found.episodes - found.low, 0)], [max(min(found.high, horizon) - found.episodes, 0)]],
        fmt=look.marker,
        ms=8,
        color=look.colour,
        ecolor=look.colour,
        capsize=3,
        zorder=3,
    )


def _said(found: BreakEven) -> str:
    if not math.isfinite(found.episodes):
        return "never"
    high = "never" if math.isinf(found.high) else f"{found.high:.0f}"
    return f"after {found.episodes:.0f} episodes (95 %: {found.low:.0f} to {high})"
