"""What has been spent after so many episodes, collecting included."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from icd.benchmark.charts.style import Chart, Look, draw, looks
from icd.benchmark.summary import MethodSummary, RunSummary

__all__ = ["amortised", "spending"]

_EPISODES = 100
"""Shown where no break-even is known."""
_MOST = 4
"""Methods in the chart: more lines cannot be told apart."""


def amortised(summary: RunSummary) -> list[MethodSummary]:
    """Return the methods whose demonstrations may pay for themselves: the first few as the run shows them."""
    played = [m for m in summary.methods if m.episodes and not m.derived]
    return [m for m in played if m.against.break_even is not None][:_MOST]


def spending(summary: RunSummary, id: str) -> str:
    """Return an SVG of cumulative cost against episodes, with each break-even and its 95 % interval.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    methods = amortised(summary)
    teacher = summary.of("teacher")
    horizon = _horizon(methods)
    look = looks([m.method.name for m in summary.methods])

    def paint(axes: Any) -> None:
        for method in [*methods, *([teacher] if teacher else [])]:
            start = 0.0 if method is teacher else summary.collection.cost
            _line(axes, method, start, horizon, look[method.method.name])
        for method in methods:
            _mark(axes, method, summary.collection.cost, horizon, look[method.method.name])
        axes.set(xlabel="episodes", ylabel="US dollars spent, collecting included", xlim=(0, horizon))
        axes.set_ylim(bottom=0)

    said = "; ".join(f"{m.method.name} {_said(m)}" for m in methods)
    chart = Chart(
        id,
        "Cumulative cost against episodes",
        f"Collecting cost ${summary.collection.cost:.4f}. Break-even with the teacher: {said}.",
    )
    return draw(chart, paint)


def _horizon(methods: Sequence[MethodSummary]) -> float:
    known = [m.against.break_even for m in methods]
    ends = [e for found in known if found for e in (found.episodes, found.high) if math.isfinite(e)]
    return max(1.25 * max(ends, default=_EPISODES), 10.0)


def _line(axes: Any, method: MethodSummary, start: float, horizon: float, look: Look) -> None:
    episodes = [0.0, horizon]
    axes.plot(
        episodes,
        [start + n * method.cost.value for n in episodes],
        color=look.colour,
        lw=1.8,
        label=method.method.name,
    )
    axes.fill_between(
        episodes,
        [start + n * method.cost.low for n in episodes],
        [start + n * method.cost.high for n in episodes],
        color=look.colour,
        alpha=0.12,
        lw=0,
    )


def _mark(axes: Any, method: MethodSummary, start: float, horizon: float, look: Look) -> None:
    """Mark a break-even, its interval cut at the end of the axis."""
    found = method.against.break_even
    if found is None or not math.isfinite(found.episodes):
        return
    spent = start + found.episodes * method.cost.value
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


def _said(method: MethodSummary) -> str:
    found = method.against.break_even
    if found is None or not math.isfinite(found.episodes):
        return "never"
    high = "never" if math.isinf(found.high) else f"{found.high:.0f}"
    return f"after {found.episodes:.0f} episodes (95 %: {found.low:.0f} to {high})"
