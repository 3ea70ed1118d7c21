"""How much of a data set each kind of task gets: more of those in which the student falls behind.

After DDK (arXiv 2407.16154), which mixes domains by how far the student's loss is behind the teacher's. Both are black
boxes here, so the gap of success takes that place, or the share of steps that the teacher had to take: shares are
alpha * exp(gap_i) / sum_j exp(gap_j) + (1 - alpha) / N, with alpha .5. Rates have one success and one failure added to
them (ours), so that few episodes say little.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

from pydantic import BaseModel, ConfigDict

from icd.offline.examples import Example
from icd.offline.traces import Trace

__all__ = ["Balance", "Evidence", "balanced", "evidence_of", "measure", "shares"]

Balance = Literal["auto", "gap", "escalation", "none"]
"""By the gap of success; by the share of steps that the teacher took in student's episodes; as the rows are; `auto`: the
first of these for which there are episodes."""
ALPHA = 0.5
MOST_REPEATS = 4
"""Times that a row is written at most: a category with few rows does not become one row."""


class Evidence(BaseModel):
    """What the store knows of a category: episodes that one of the two played alone, and steps of those that both did."""

    model_config = ConfigDict(frozen=True)

    student_episodes: int = 0
    student_won: int = 0
    teacher_episodes: int = 0
    teacher_won: int = 0
    steps: int = 0
    """Of episodes in which the student took part and could hand over."""
    escalated: int = 0
    """Of these, taken by the teacher."""

    @property
    def gap(self) -> float | None:
        """The teacher's success minus the student's; None: one of them played none."""
        if not (self.student_episodes and self.teacher_episodes):
            return None
        return _rate(self.teacher_won, self.teacher_episodes) - _rate(self.student_won, self.student_episodes)

    @property
    def escalation(self) -> float | None:
        """The share of steps that the teacher took; None: there were none."""
        return _rate(self.escalated, self.steps) if self.steps else None


def evidence_of(traces: Iterable[Trace]) -> dict[str, Evidence]:
    """Count what episodes say about each category."""
    counts: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for trace in traces:
        actors = [step.actor for step in trace.trajectory.steps]
        found = counts[trace.trajectory.category]
        if set(actors) == {"teacher"}:
            found["teacher_episodes"] += 1
            found["teacher_won"] += trace.won
        elif set(actors) == {"student"}:
            found["student_episodes"] += 1
            found["student_won"] += trace.won
        if "student" in actors:
            found["steps"] += len(actors)
            found["escalated"] += actors.count("teacher")
    return {category: Evidence(**found) for category, found in sorted(counts.items())}


def measure(evidence: Mapping[str, Evidence], wanted: Balance) -> Balance:
    """Return what is balanced by: what is wanted, or what there are episodes for."""
    if wanted != "auto":
        return wanted
    if any(found.gap is not None for found in evidence.values()):
        return "gap"
    return "escalation" if any(found.escalated for found in evidence.values()) else "none"


def shares(
    categories: Sequence[str], evidence: Mapping[str, Evidence], by: Literal["gap", "escalation"]
) -> dict[str, float]:
    """Return each category's share, their sum being 1. One that nothing is known of counts as the mean of the others."""
    known = {name: getattr(evidence[name], by) for name in categories if name in evidence}
    values = [value for value in known.values() if value is not None]
    usual = sum(values) / len(values) if values else 0.0
    raw = {name: math.exp(usual if known.get(name) is None else known[name]) for name in categories}
    total = sum(raw.values())
    return {name: ALPHA * value / total + (1 - ALPHA) / len(raw) for name, value in raw.items()}


def balanced(rows: Sequence[Example], wanted: Mapping[str, float]) -> list[Example]:
    """Return about as many rows, in these shares: some are left out, some written several times.

    Which ones depends on their ids alone, so that the same rows come out of the same rows.
    """
    by_category: dict[str, list[Example]] = defaultdict(list)
    for row in sorted(rows, key=lambda row: row.id):
        by_category[row.category].append(row)
    found: list[Example] = []
    for category, group in sorted(by_category.items()):
        count = max(1, min(round(wanted[category] * len(rows)), MOST_REPEATS * len(group)))
        found += [group[number % len(group)] for number in range(count)]
    return found


def _rate(part: int, whole: int) -> float:
    return (part + 1) / (whole + 2)
