"""Success against cost, and the methods that no other one beats."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from icd.benchmark.charts.style import FAINT, INK, Chart, Look, draw, looks
from icd.benchmark.summary import MethodSummary

__all__ = ["Point", "front", "pareto", "success_against_cost"]


class Point(NamedTuple):
    """A method in the plot."""

    name: str
    cost: float
    success: float


def pareto(points: Sequence[Point]) -> list[Point]:
    """Return the points that no other one beats: cheaper ones solve less."""
    found: list[Point] = []
    for point in sorted(points, key=lambda p: (p.cost, -p.success)):
        if not found or point.success > found[-1].success:
            found.append(point)
    return found


def front(methods: Sequence[MethodSummary]) -> list[Point]:
    """Return the Pareto front of methods, by their point estimates; without the oracle, which nobody can use."""
    return pareto(
        [
            Point(m.method.name, m.cost.value, m.success.value)
            for m in methods
            if m.episodes and m.method.name != "oracle"
        ]
    )


def success_against_cost(methods: Sequence[MethodSummary], id: str) -> str:
    """Return an SVG with a point and both 95 % intervals for each method, and the Pareto front.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    shown = [method for method in methods if method.episodes]
    best = front(shown)
    look = looks([m.method.name for m in methods])

    def paint(axes: Any) -> None:
        axes.plot([p.cost for p in best], [p.success for p in best], color=FAINT, lw=1.2, ls="--", zorder=1)
        axes.scatter(
            [p.cost for p in best], [p.success for p in best], s=210, facecolors="none", edgecolors=INK, lw=1,
            zorder=2,
        )  # fmt: skip
        for method in shown:
            _point(axes, method, look[method.method.name])
        axes.set(xlabel="US dollars an episode (nominal)", ylabel="episodes solved", ylim=(-0.04, 1.06))
        axes.set_xlim(left=min(0.0, axes.get_xlim()[0]))

    said = "; ".join(f"{m.method.name} {m.success.value:.2f} at ${m.cost.value:.4f}" for m in shown)
    ringed = ", ".join(point.name for point in best)
    chart = Chart(
        id, "Success against cost", f"Share of episodes solved: {said}. On the Pareto front: {ringed}."
    )
    return draw(chart, paint)


def _point(axes: Any, method: MethodSummary, look: Look) -> None:
    cost, success = method.cost, method.success
    axes.errorbar(
        [cost.value],
        [success.value],
        xerr=[[max(cost.value - cost.low, 0)], [max(cost.high - cost.value, 0)]],
        yerr=[[max(success.value - success.low, 0)], [max(success.high - success.value, 0)]],
        fmt=look.marker,
        ms=8,
        alpha=0.9,
        color=look.colour,
        ecolor=look.colour,
        elinewidth=1.4,
        capsize=3,
        label=method.method.name,
        zorder=3,
    )
