"""Methods that differ in one setting: what they are called, and which of them belong together."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from icd.benchmark.statistics import Interval

__all__ = ["Ablation", "AblationPoint", "Figures", "Written", "ablations", "written"]


class Written(NamedTuple):
    """A method's name taken apart: ``cascade[k=1;temperature=0.7]``."""

    base: str
    changes: Mapping[str, str]
    """Changed settings by name; none: the method as it is."""


class Figures(NamedTuple):
    """What an ablation shows of a method."""

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
    """The method as the run's settings have it."""


@dataclass(frozen=True, slots=True)
class Ablation:
    """Methods that differ in nothing but one setting, in the order of its values."""

    base: str
    """With the other changes that all of them share."""
    setting: str
    points: tuple[AblationPoint, ...]

    @property
    def numeric(self) -> bool:
        """Whether every value is a number."""
        return all(_number(point.value) is not None for point in self.points)


def written(name: str) -> Written:
    """Take a method's name apart."""
    match = re.fullmatch(r"(.+)\[(.*)\]", name)
    if match is None:
        return Written(name, {})
    pairs = (part.partition("=") for part in match[2].split(";"))
    return Written(match[1], {key.strip(): value.strip() for key, _, value in pairs})


def ablations(
    methods: Mapping[str, Figures], unchanged: Mapping[str, Mapping[str, str]]
) -> tuple[Ablation, ...]:
    """Return every setting of which a run has at least two values, all else equal.

    Args:
        methods: the figures by name.
        unchanged: what a method's settings are without brackets, by method, as far as that is known.
    """
    families: dict[tuple[str, str], dict[str, str]] = defaultdict(dict)
    for name in methods:
        base, changes = written(name)
        for setting, value in changes.items():
            shared = {key: v for key, v in changes.items() if key != setting}
            families[_written(base, shared), setting][name] = value
    found = []
    for (base, setting), members in families.items():
        if base in methods:
            members[base] = unchanged.get(written(base).base, {}).get(setting, "as set")
        if len(members) > 1:
            found.append(Ablation(base, setting, _points(members, methods, base)))
    return tuple(found)


def _points(
    members: Mapping[str, str], methods: Mapping[str, Figures], base: str
) -> tuple[AblationPoint, ...]:
    order = sorted(members, key=lambda name: _place(members[name]))
    return tuple(AblationPoint(name, members[name], *methods[name], name == base) for name in order)


def _written(base: str, changes: Mapping[str, str]) -> str:
    if not changes:
        return base
    return f"{base}[{';'.join(f'{key}={value}' for key, value in changes.items())}]"


def _place(value: str) -> tuple[bool, float, str]:
    number = _number(value)
    return (number is None, number or 0.0, value)


def _number(value: str) -> float | None:
    try:
        return float(value)
    except ValueError:
        return None


def numbers(ablation: Ablation) -> Sequence[float]:
    """Return the values of a numeric ablation."""
    return [float(point.value) for point in ablation.points]
