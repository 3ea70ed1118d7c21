"""Methods that differ in nothing but one setting, whatever they are called."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from icd.benchmark.statistics import Interval

__all__ = ["Ablation", "AblationPoint", "Arm", "ablations"]


class Arm(NamedTuple):
    """A method as an ablation sees it."""

    settings: Mapping[str, str]
    """All that it decides by."""
    success: Interval
    cost: Interval
    """Dollars an episode."""


@dataclass(frozen=True, slots=True)
class AblationPoint:
    """One value of the setting."""

    method: str
    value: str
    success: Interval
    cost: Interval
    unchanged: bool
    """The value is the run's own."""


@dataclass(frozen=True, slots=True)
class Ablation:
    """Methods that differ in nothing but one setting, in the order of its values."""

    base: str
    """The one with the run's own value, else the first."""
    setting: str
    points: tuple[AblationPoint, ...]

    @property
    def numeric(self) -> bool:
        """Whether every value is a number."""
        return all(_number(point.value) is not None for point in self.points)


def ablations(
    arms: Mapping[str, Arm], run: Mapping[str, str], standard: Collection[str]
) -> tuple[Ablation, ...]:
    """Return every setting of which there are several values, all else equal.

    Args:
        arms: the methods by name, all with the same names of settings.
        run: the settings as the run has them.
        standard: methods that are compared anyhow: they alone make no ablation.
    """
    families: dict[tuple[str, frozenset[tuple[str, str]]], list[str]] = defaultdict(list)
    for name, arm in arms.items():
        for setting in run:
            others = frozenset(item for item in arm.settings.items() if item[0] != setting)
            families[setting, others].append(name)
    return tuple(
        _ablation(setting, {name: arms[name] for name in members}, run[setting])
        for (setting, _), members in families.items()
        if len(members) > 1 and not all(name in standard for name in members)
    )


def _ablation(setting: str, arms: Mapping[str, Arm], unchanged: str) -> Ablation:
    order = sorted(arms, key=lambda name: _place(arms[name].settings[setting]))
    points = [
        AblationPoint(
            name,
            arms[name].settings[setting],
            arms[name].success,
            arms[name].cost,
            arms[name].settings[setting] == unchanged,
        )
        for name in order
    ]
    base = next((point.method for point in points if point.unchanged), points[0].method)
    return Ablation(base, setting, tuple(points))


def _place(value: str) -> tuple[bool, float, str]:
    number = _number(value)
    return (number is None, number or 0.0, value)


def _number(value: str) -> float | None:
    try:
        return float(value)
    except ValueError:
        return None
