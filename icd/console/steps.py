"""One decision as an operator reads it: what was seen and done, by whom, and why. Pure functions of receipts.

Receipts of runs and of live calls differ a little, and old ones lack entries: what is missing is left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from icd_memory.rows import DecisionRow, JsonObject

__all__ = ["Answers", "Paid", "ShownExcerpt", "ShownStep", "ShownStrategy", "excerpt_ids", "shown_step"]

_WHY: Mapping[tuple[str, str], str] = {
    ("student", "agreed"): "the student's samples agreed, and no guard objected",
    ("student", "policy"): "the policy leaves every step to the student",
    ("student", "budget"): "the teacher could not be paid any more, so the student's best sample was taken",
    ("student", "teacher_failed"): "the teacher did not answer, so the student's best sample was taken",
    ("copy", "copied"): "the action of the nearest demonstration was possible here and was taken as it is",
    ("copy", "policy"): "the policy copies the nearest demonstration",
    ("teacher", "disagreed"): "the student's samples did not agree enough for the policy",
    ("teacher", "invalid"): "what the student wanted to do is not possible here",
    ("teacher", "stuck"): "what the student wanted to do was tried here before, and led nowhere",
    ("teacher", "unsupported"): "no demonstration was near enough to trust the student",
    ("teacher", "incapable"): "the student cannot take such a step at all",
    ("teacher", "policy"): "the policy gives this step to the teacher",
}


class Answers(NamedTuple):
    """Equal samples of the student."""

    action: str
    times: int
    problem: str
    """Why it is not possible; empty: it is."""
    reasoning: str
    """Of the first."""
    chosen: bool


class ShownExcerpt(NamedTuple):
    """An excerpt that was in the prompt."""

    trajectory_id: str
    step: int
    similarity: float
    goal: str
    """Of its demonstration; empty: not known."""


class ShownStrategy(NamedTuple):
    """A strategy that applied."""

    id: str
    version: int
    similarity: float | None
    shown: bool
    """False: there was no room for it."""


class Paid(NamedTuple):
    """A call."""

    role: str
    model: str
    tokens: str
    cost: float
    counterfactual: bool
    """Asked for the record only."""


@dataclass(frozen=True, slots=True)
class ShownStep:
    """A decision."""

    receipt_id: str
    number: int
    """-1: the plan."""
    at: datetime
    erased: str
    """When its content was erased; empty: it was not."""
    observation: str
    view: str
    reasoning: str
    action: str
    acted_by: str
    reason: str
    why: str
    policy: str
    answers: tuple[Answers, ...]
    samples: int
    agreement: float | None
    support: float | None
    excerpts: tuple[ShownExcerpt, ...]
    strategies: tuple[ShownStrategy, ...]
    paid: tuple[Paid, ...]
    cost: float
    seconds: float
    cut: tuple[str, ...]
    shadow: str
    """The teacher's answer where it was asked for the record only."""
    aside: bool
    """The student was asked beside the teacher's answer: nobody acted by it."""


def shown_step(row: DecisionRow, goals: Mapping[str, str]) -> ShownStep:
    """Return a receipt as it is shown; `goals` by trajectory id."""
    body = row.body
    actor, reason = str(body.get("acted_by", "")), str(body.get("reason", ""))
    samples: Sequence[JsonObject] = body.get("samples") or ()
    paid = tuple(_paid(body.get("charges") or ()))
    shadow = body.get("shadow") or {}
    return ShownStep(
        row.id, row.step, row.created_at, str(body.get("erased", "")),
        observation=str(body.get("observation") or ""),
        view=str(body.get("view") or ""),
        reasoning=str(body.get("reasoning") or ""),
        action=str(body.get("action") or body.get("plan") or ""),
        acted_by=actor,
        reason=reason,
        why=_WHY.get((actor, reason), reason),
        policy=str(body.get("policy") or ""),
        answers=tuple(_answers(samples, str(body.get("action") or ""))),
        samples=len(samples),
        agreement=body.get("agreement"),
        support=body.get("support"),
        excerpts=tuple(_excerpts(body.get("excerpts") or (), goals)),
        strategies=tuple(
            ShownStrategy(s["id"], s["version"], s["similarity"], s.get("shown", True))
            for s in body.get("strategies") or ()
        ),
        paid=paid,
        cost=sum(one.cost for one in paid if not one.counterfactual),
        seconds=float(body.get("seconds") or 0.0),
        cut=tuple(map(str, body.get("cut") or ())),
        shadow=str(shadow.get("action", "")) if isinstance(shadow, dict) else "",
        aside="shadow_of" in body,
    )  # fmt: skip


def excerpt_ids(rows: Sequence[DecisionRow]) -> set[str]:
    """Return the trajectories of the excerpts that receipts name."""
    return {id for row in rows for id, _, _ in _uses(row.body.get("excerpts") or ())}


def _uses(excerpts: Sequence[object]) -> Iterator[tuple[str, int, float]]:
    for use in excerpts:
        if isinstance(use, dict):
            yield str(use["trajectory_id"]), int(use["step"]), float(use["similarity"])
        elif isinstance(use, list):
            yield str(use[0]), int(use[1]), float(use[2])


def _excerpts(excerpts: Sequence[object], goals: Mapping[str, str]) -> Iterator[ShownExcerpt]:
    for id, step, similarity in _uses(excerpts):
        yield ShownExcerpt(id, step, similarity, goals.get(id, ""))


def _answers(samples: Sequence[JsonObject], action: str) -> Iterator[Answers]:
    """Yield the samples that are equal together, the most frequent first."""
    groups: dict[str, list[JsonObject]] = {}
    for number, sample in enumerate(samples):
        key = sample.get("key")
        groups.setdefault(f"unread {number}" if key is None else f"key {key}", []).append(sample)
    for group in sorted(groups.values(), key=len, reverse=True):
        first = group[0]
        written = str(first.get("action") or first.get("text") or "")
        problem = str(first.get("problem") or "")
        if first.get("key") is None and not problem:
            problem = "cannot be read as an action"
        chosen = bool(written) and any(sample.get("action") == action for sample in group)
        yield Answers(written, len(group), problem, str(first.get("reasoning") or ""), chosen)


def _paid(charges: Sequence[JsonObject]) -> Iterator[Paid]:
    for charge in charges:
        usage = charge.get("usage", charge)
        cached = usage.get("cached_tokens") or 0
        read = f"{usage.get('input_tokens', 0):,} in"
        if cached:
            read += f" ({cached:,} cached)"
        tokens = f"{read}, {usage.get('output_tokens', 0):,} out"
        if usage.get("estimated"):
            tokens += ", estimated"
        yield Paid(
            str(charge.get("role", "")), str(charge.get("model", "")), tokens, float(charge.get("cost") or 0.0),
            bool(charge.get("counterfactual")),
        )  # fmt: skip
