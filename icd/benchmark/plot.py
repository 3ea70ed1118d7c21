"""Success against cost as an SVG that takes its colours from the page around it."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from typing import NamedTuple

from icd.benchmark.summary import MethodSummary
from icd.errors import MissingExtraError

_INK, _FAINT = "#010203", "#040506"
"""Stand-ins that are replaced with the page's own colours: an SVG of matplotlib knows only fixed ones."""
_SERIES = ("#c2571a", "#2f78c4", "#2a8f5b", "#8a63c9", "#b0457e", "#7d7a1f", "#4d8f9e", "#a05a5a")


_MARKERS = "oDs^vPX*"
"""Different shapes: colours alone are not seen by everybody, and points may lie upon each other."""


class Point(NamedTuple):
    """A method in the plot."""

    name: str
    cost: float
    success: float


def success_against_cost(methods: Sequence[MethodSummary]) -> str:
    """Return an SVG with a point and its 95 % intervals for each method, and the line of the best ones.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    try:
        import matplotlib
    except ImportError as error:
        raise MissingExtraError("the plot of a report", "report") from error
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    shown = [method for method in methods if method.episodes]
    style = {
        "svg.fonttype": "none",
        "svg.hashsalt": "icd",
        "font.family": "sans-serif",
        "font.size": 11,
        **{f"{part}.color": _INK for part in ("text", "xtick", "ytick")},
        "axes.labelcolor": _INK,
        "axes.edgecolor": _FAINT,
    }
    with matplotlib.rc_context(style):
        figure = Figure(figsize=(7.6, 4.4), layout="constrained")
        FigureCanvasSVG(figure)
        axes = figure.add_subplot()
        best = pareto([Point(m.method.name, m.cost.value, m.success.value) for m in shown])
        axes.plot([p.cost for p in best], [p.success for p in best], color=_FAINT, lw=1.2, ls="--", zorder=1)
        for number, method in enumerate(shown):
            _draw(axes, method, _SERIES[number % len(_SERIES)], _MARKERS[number % len(_MARKERS)])
        axes.set(xlabel="US dollars an episode (nominal)", ylabel="episodes solved", ylim=(-0.04, 1.06))
        axes.set_xlim(left=min(0.0, axes.get_xlim()[0]))
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(color=_FAINT, lw=0.5, alpha=0.5)
        axes.legend(
            loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=5, frameon=False, handletextpad=0.4
        )
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    return _for_the_page(buffer.getvalue())


def pareto(points: Sequence[Point]) -> list[Point]:
    """Return the points that no other one beats: cheaper ones solve less."""
    found: list[Point] = []
    for point in sorted(points, key=lambda p: (p.cost, -p.success)):
        if not found or point.success > found[-1].success:
            found.append(point)
    return found


def _draw(axes: object, method: MethodSummary, colour: str, marker: str) -> None:
    cost, success = method.cost, method.success
    axes.errorbar(  # type: ignore[attr-defined]
        [cost.value],
        [success.value],
        xerr=[[max(cost.value - cost.low, 0)], [max(cost.high - cost.value, 0)]],
        yerr=[[max(success.value - success.low, 0)], [max(success.high - success.value, 0)]],
        fmt=marker,
        ms=8,
        alpha=0.85,
        color=colour,
        ecolor=colour,
        elinewidth=1.4,
        capsize=3,
        label=method.method.name,
        zorder=3,
    )


def _for_the_page(svg: str) -> str:
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", svg, count=1)
    svg = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", svg, count=1)
    svg = svg.replace("<svg ", '<svg role="img" aria-label="Success against cost" ', 1)
    return svg.replace(_INK, "var(--ink)").replace(_FAINT, "var(--faint)")
