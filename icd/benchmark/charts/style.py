"""How charts look: colours that follow the page, shapes beside colours, a title and a description for each."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Sequence
from html import escape
from typing import Any, NamedTuple

from icd.errors import MissingExtraError

__all__ = ["FAINT", "INK", "SERIES", "Chart", "Look", "draw", "looks"]

INK, FAINT = "#010203", "#040506"
"""Stand-ins that are replaced with the page's own colours: an SVG of matplotlib knows only fixed ones."""
SERIES = tuple(f"#0708{number:02x}" for number in range(8))
"""The same for the colours of series, ``--s0`` to ``--s7``."""
_MARKERS = "oDs^vPX*"
"""Different shapes: colours alone are not seen by everybody, and points may lie upon each other."""


class Chart(NamedTuple):
    """What a chart is called and what it says, for those who don't see it."""

    id: str
    """Unique in its page; letters, digits and hyphens."""
    title: str
    description: str


class Look(NamedTuple):
    """The colour and shape of a series."""

    colour: str
    marker: str


def looks(names: Sequence[str]) -> dict[str, Look]:
    """Return a look for each name, all different as long as there are at most 64."""
    count = len(SERIES)
    return {
        name: Look(SERIES[number % count], _MARKERS[(number + number // count) % count])
        for number, name in enumerate(names)
    }


def draw(chart: Chart, paint: Callable[[Any], None], *, panels: int = 1, height: float = 4.4) -> str:
    """Return an SVG that `paint` has drawn into its axes: one, or a list of several beside each other.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    try:
        import matplotlib
    except ImportError as error:
        raise MissingExtraError("the charts of a report", "report") from error
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    style = {
        "svg.fonttype": "none",
        "svg.hashsalt": "icd",
        "text.parse_math": False,
        "font.family": "sans-serif",
        "font.size": 11,
        **{f"{part}.color": INK for part in ("text", "xtick", "ytick")},
        "axes.labelcolor": INK,
        "axes.edgecolor": FAINT,
    }
    with matplotlib.rc_context(style):
        figure = Figure(figsize=(7.6, height), layout="constrained")
        FigureCanvasSVG(figure)
        axes = figure.subplots(1, panels)
        for one in axes if panels > 1 else [axes]:
            one.spines[["top", "right"]].set_visible(False)
            one.grid(color=FAINT, lw=0.5, alpha=0.5)
            one.set_axisbelow(True)
        paint(axes)
        _legend(figure)
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    return _for_the_page(buffer.getvalue(), chart)


def _legend(figure: Any) -> None:
    handles: dict[str, Any] = {}
    for axes in figure.axes:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            handles.setdefault(label, handle)
    if not handles:
        return
    columns = min(len(handles), 5 if max(map(len, handles)) < 14 else 3)
    figure.legend(
        handles.values(),
        handles.keys(),
        loc="outside lower center",
        ncols=columns,
        frameon=False,
        handletextpad=0.4,
    )


def _for_the_page(svg: str, chart: Chart) -> str:
    """Return the drawing alone, named, with ids that are its own and the page's colours."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<!--.*?-->|<metadata>.*?</metadata>|<style.*?</style>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'(\bid="|xlink:href="#|url\(#)', rf"\g<1>{chart.id}-", svg)
    viewed = re.search(r'viewBox="[^"]*"', svg)
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
        f'{viewed[0] if viewed else ""} role="img" aria-labelledby="{chart.id}-title {chart.id}-desc">'
        f'<title id="{chart.id}-title">{escape(chart.title)}</title>'
        f'<desc id="{chart.id}-desc">{escape(chart.description)}</desc>'
    )
    svg = head + svg[svg.index(">", svg.index("<svg")) + 1 :]
    svg = svg.replace(INK, "var(--ink)").replace(FAINT, "var(--faint)")
    for number, colour in enumerate(SERIES):
        svg = svg.replace(colour, f"var(--s{number})")
    return svg.strip()
