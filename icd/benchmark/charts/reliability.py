"""Whether agreement foretells a right step: the reliability curve."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from icd.benchmark.agreement_quality import AgreementQuality
from icd.benchmark.charts.style import FAINT, Chart, draw, looks

__all__ = ["reliability_chart"]


def reliability_chart(qualities: Mapping[str, AgreementQuality], order: Sequence[str], id: str) -> str:
    """Return an SVG with the share of right steps by agreement, a line for each method.

    `order` names all methods of the run, so that each looks alike in all charts.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    look = looks(order)

    def paint(axes: Any) -> None:
        axes.plot([0, 1], [0, 1], color=FAINT, lw=1.2, ls="--", zorder=1)
        for name, quality in qualities.items():
            curve = [point for point in quality.curve if not math.isnan(point.right.value)]
            axes.errorbar(
                [point.agreement for point in curve],
                [point.right.value for point in curve],
                yerr=[
                    [max(point.right.value - point.right.low, 0) for point in curve],
                    [max(point.right.high - point.right.value, 0) for point in curve],
                ],
                fmt=f"{look[name].marker}-",
                ms=6,
                lw=1.4,
                color=look[name].colour,
                ecolor=look[name].colour,
                capsize=3,
                label=name,
            )
        axes.set(xlabel="agreement of the samples", ylabel="right", xlim=(-0.04, 1.04), ylim=(-0.04, 1.06))

    said = "; ".join(
        f"{name}: " + ", ".join(f"{p.right.value:.2f} right at {p.agreement:.2f}" for p in quality.curve)
        for name, quality in qualities.items()
    )
    return draw(
        Chart(id, "Reliability of the agreement", f"Share of right steps. {said}."), paint, height=3.8
    )
