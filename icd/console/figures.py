"""How figures are written: dollars, shares, intervals."""

from __future__ import annotations

import math

from icd.benchmark.statistics import Interval

__all__ = ["dollars", "interval_text", "share"]


def dollars(value: float | None) -> str:
    """Return an amount with as many digits as it needs."""
    if value is None or math.isnan(value):
        return ""
    if math.isinf(value):
        return "∞"
    if value == 0:
        return "$0"
    digits = 2 if abs(value) >= 1 else 4 if abs(value) >= 0.001 else 6
    return f"{'−' if value < 0 else ''}${abs(value):,.{digits}f}"


def share(value: float | None) -> str:
    """Return a share in percent."""
    return "" if value is None or math.isnan(value) else f"{value:.0%}"


def interval_text(interval: Interval | None, kind: str = "share") -> str:
    """Return the ends of an interval."""
    if interval is None or math.isnan(interval.value) or math.isnan(interval.low):
        return ""
    write = dollars if kind == "dollars" else share if kind == "share" else _count
    return f"{write(interval.low)} to {write(interval.high)}"


def _count(value: float) -> str:
    return "never" if math.isinf(value) else f"{value:,.0f}"
