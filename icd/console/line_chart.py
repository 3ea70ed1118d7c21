"""Small charts over time or over episodes, drawn as SVG without any library; with a title and a description each."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from typing import NamedTuple

__all__ = ["Line", "Mark", "Plot", "Spot", "draw"]

_WIDTH, _HEIGHT = 640, 260
_LEFT, _RIGHT, _TOP, _BOTTOM = 92, 12, 12, 30
_TICKS = 5
_DASHES = ("", "7 4", "2 3", "9 3 2 3")
"""Lines differ in more than their colour."""


class Spot(NamedTuple):
    """A value with its interval."""

    x: float
    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Line:
    """A series."""

    name: str
    spots: Sequence[Spot]
    series: int
    """Of its colour and dashes."""


class Mark(NamedTuple):
    """A point with an interval to both sides, cut at the edges of the plot."""

    x: float
    low: float
    high: float
    y: float
    name: str


@dataclass(frozen=True, slots=True)
class Plot:
    """A chart."""

    id: str
    """Unique in its page; letters, digits and hyphens."""
    title: str
    description: str
    """What it says, for those who don't see it."""
    lines: Sequence[Line]
    labels: Sequence[tuple[float, str]]
    """Of the horizontal axis."""
    write: Callable[[float], str]
    """How values are written."""
    x_name: str = ""
    most: float | None = None
    """Upper end of the vertical axis; None: as the values need."""
    marks: Sequence[Mark] = ()


def draw(plot: Plot) -> str:
    """Return the SVG; its colours come from the page's style sheet."""
    spots = [spot for line in plot.lines for spot in line.spots]
    if not spots:
        return ""
    frame = _Frame(plot, spots)
    parts = [
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" class="chart" '
        f'aria-labelledby="{plot.id}-title {plot.id}-desc">',
        f'<title id="{plot.id}-title">{escape(plot.title)}</title>',
        f'<desc id="{plot.id}-desc">{escape(plot.description)}</desc>',
        *frame.grid(),
        *(frame.band(line) for line in plot.lines),
        *(part for line in plot.lines for part in frame.line(line)),
        *(frame.mark(mark) for mark in plot.marks),
        "</svg>",
    ]
    return "".join(parts)


class _Frame:
    """From values to places."""

    def __init__(self, plot: Plot, spots: Sequence[Spot]) -> None:
        self._plot = plot
        xs = [spot.x for spot in spots]
        self._from, self._to = min(xs), max(xs)
        if self._from == self._to:
            self._from, self._to = self._from - 0.5, self._to + 0.5
        highest = max(_finite(spot.high, spot.value) for spot in spots)
        lowest = min(0.0, *(_finite(spot.low, spot.value) for spot in spots), 0.0)
        self._ticks = _ticks(lowest, plot.most if plot.most is not None else highest or 1.0)
        self._low, self._high = self._ticks[0], self._ticks[-1]

    def x(self, value: float) -> float:
        share = (value - self._from) / (self._to - self._from)
        return _LEFT + min(max(share, 0.0), 1.0) * (_WIDTH - _LEFT - _RIGHT)

    def y(self, value: float) -> float:
        share = (value - self._low) / (self._high - self._low)
        return _HEIGHT - _BOTTOM - min(max(share, 0.0), 1.0) * (_HEIGHT - _TOP - _BOTTOM)

    def grid(self) -> list[str]:
        found = []
        for tick in self._ticks:
            y = self.y(tick)
            found.append(f'<path class="grid" d="M{_LEFT} {y:.1f}H{_WIDTH - _RIGHT}"/>')
            told = escape(self._plot.write(tick))
            found.append(f'<text x="{_LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{told}</text>')
        last = -math.inf
        for value, label in self._plot.labels:
            x = self.x(value)
            if x - last < 74:
                continue
            last = x
            anchor = "start" if x < _LEFT + 30 else "end" if x > _WIDTH - 40 else "middle"
            found.append(
                f'<text x="{x:.1f}" y="{_HEIGHT - 10}" text-anchor="{anchor}">{escape(label)}</text>'
            )
        return found

    def band(self, line: Line) -> str:
        shown = [spot for spot in line.spots if not math.isnan(spot.low)]
        if len(shown) < 2 or all(spot.low == spot.high for spot in shown):
            return ""
        upper = [f"{self.x(s.x):.1f} {self.y(_finite(s.high, self._high)):.1f}" for s in shown]
        lower = [f"{self.x(s.x):.1f} {self.y(_finite(s.low, self._low)):.1f}" for s in reversed(shown)]
        return f'<path class="band s{line.series}" d="M{"L".join([*upper, *lower])}Z"/>'

    def line(self, line: Line) -> list[str]:
        shown = [spot for spot in line.spots if not math.isnan(spot.value)]
        found = []
        if len(shown) > 1:
            path = "L".join(f"{self.x(spot.x):.1f} {self.y(spot.value):.1f}" for spot in shown)
            dash = _DASHES[line.series % len(_DASHES)]
            dashes = f' stroke-dasharray="{dash}"' if dash else ""
            found.append(f'<path class="line s{line.series}"{dashes} d="M{path}"/>')
        if len(shown) <= 40:
            found += [
                f'<circle class="dot s{line.series}" cx="{self.x(s.x):.1f}" cy="{self.y(s.value):.1f}" r="3"/>'
                for s in shown
            ]
        if len(shown) == 1 and not math.isnan(shown[0].low):
            s = shown[0]
            high, low = self.y(_finite(s.high, self._high)), self.y(_finite(s.low, self._low))
            found.append(f'<path class="line s{line.series}" d="M{self.x(s.x):.1f} {low:.1f}V{high:.1f}"/>')
        return found

    def mark(self, mark: Mark) -> str:
        y, low, high = self.y(mark.y), self.x(mark.low), self.x(_finite(mark.high, self._to))
        x, name = self.x(mark.x), escape(mark.name)
        return (
            f'<path class="mark" d="M{low:.1f} {y:.1f}H{high:.1f}M{low:.1f} {y - 5:.1f}v10M{high:.1f} {y - 5:.1f}v10"/>'
            f'<circle class="ring" cx="{x:.1f}" cy="{y:.1f}" r="5"><title>{name}</title></circle>'
        )


def _finite(value: float, other: float) -> float:
    return value if math.isfinite(value) else other


def _ticks(low: float, high: float) -> list[float]:
    """Return round values from at most `low` to at least `high`."""
    span = max(high - low, 1e-12)
    raw = span / (_TICKS - 1)
    unit = 10 ** math.floor(math.log10(raw))
    step = next(unit * factor for factor in (1, 2, 2.5, 5, 10) if unit * factor >= raw * 0.999)
    first, last = math.floor(low / step), math.ceil(high / step - 1e-9)
    return [step * number for number in range(first, max(last, first + 1) + 1)]
