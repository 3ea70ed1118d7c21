"""The map of a method's escalations: which steps the teacher takes, by kind of task and place in the episode; and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from icd.benchmark.statistics import Interval
from icd.benchmark.steps import PlayedStep, escalations

__all__ = ["POSITIONS", "Cell", "EscalationMap", "Span", "escalation_map"]


class Span(NamedTuple):
    """Steps of an episode, counted from 1."""

    first: int
    last: int | None
    """Included; None: all that follow."""

    def __str__(self) -> str:
        return f"{self.first}+" if self.last is None else f"{self.first} to {self.last}"

    def has(self, step: int) -> bool:
        """Say whether a step, counted from 1, lies in it."""
        return step >= self.first and (self.last is None or step <= self.last)


POSITIONS = (Span(1, 2), Span(3, 5), Span(6, 10), Span(11, 20), Span(21, None))


class Cell(NamedTuple):
    """The teacher's share of some steps."""

    share: Interval
    """Its interval is over tasks."""
    steps: int


@dataclass(frozen=True, slots=True)
class EscalationMap:
    """The teacher's share of a method's steps."""

    method: str
    positions: tuple[str, ...]
    categories: Mapping[str, tuple[Cell | None, ...]]
    """By kind of task: one for each position, None where there are no steps."""
    total: tuple[Cell | None, ...]
    """Over all kinds."""
    reasons: Mapping[str, int]
    """Steps by ``actor: reason``, most first."""


def escalation_map(method: str, steps: Sequence[PlayedStep]) -> EscalationMap:
    """Return where the teacher took a method's steps."""
    longest = 1 + max((step.step for step in steps), default=0)
    positions = [span for span in POSITIONS if span.first <= longest]
    cells = escalations(steps, lambda step: (step.category, _span(step)))
    totals = escalations(steps, _span)
    reasons = Counter(f"{step.actor}: {step.reason}" for step in steps)
    return EscalationMap(
        method,
        tuple(map(str, positions)),
        {
            category: tuple(_cell(cells.get((category, span))) for span in positions)
            for category in sorted({step.category for step in steps})
        },
        tuple(_cell(totals.get(span)) for span in positions),
        dict(sorted(reasons.items(), key=lambda item: (-item[1], item[0]))),
    )


def _span(step: PlayedStep) -> Span:
    return next(span for span in POSITIONS if span.has(step.step + 1))


def _cell(found: tuple[Interval, int] | None) -> Cell | None:
    return Cell(*found) if found else None
