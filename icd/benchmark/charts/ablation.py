"""Success and cost against the values of one setting."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from icd.benchmark.ablation import Ablation
from icd.benchmark.charts.style import SERIES, Chart, draw
from icd.benchmark.statistics import Interval

__all__ = ["setting_chart"]


def setting_chart(ablation: Ablation, id: str) -> str:
    """Return an SVG with success and cost, side by side, for each value.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    values = [point.value for point in ablation.points]
    places: Sequence[float] = (
        [float(v) for v in values] if ablation.numeric else [float(place) for place in range(len(values))]
    )

    def paint(panels: Any) -> None:
        success, cost = panels
        _line(success, places, [p.success for p in ablation.points], SERIES[0], joined=ablation.numeric)
        _line(cost, places, [p.cost for p in ablation.points], SERIES[1], joined=ablation.numeric)
        success.set(ylabel="episodes solved", ylim=(-0.04, 1.06))
        cost.set(ylabel="US dollars an episode")
        cost.set_ylim(bottom=0)
        for axes in panels:
            axes.set_xlabel(ablation.setting)
            axes.set_xticks(places, values)
            axes.margins(x=0.12)

    said = "; ".join(
        f"{p.value}: success {p.success.value:.2f}, ${p.cost.value:.4f}" for p in ablation.points
    )
    title = f"{ablation.base}: {ablation.setting}"
    return draw(Chart(id, title, f"By value of {ablation.setting}. {said}."), paint, panels=2, height=3.2)


def _line(
    axes: Any, places: Sequence[float], figures: Sequence[Interval], colour: str, *, joined: bool
) -> None:
    values = [figure.value for figure in figures]
    axes.errorbar(
        places,
        values,
        yerr=[
            [max(f.value - f.low, 0) for f in figures],
            [max(f.high - f.value, 0) for f in figures],
        ],
        fmt="o-" if joined else "o",
        ms=6,
        lw=1.4,
        color=colour,
        ecolor=colour,
        capsize=3,
    )
