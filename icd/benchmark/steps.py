"""The steps of finished episodes, as far as statistics ask for them: who acted, why, and how alike the samples were."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from icd.agreement import text_key, vote
from icd.benchmark.statistics import Interval, clustered_share
from icd.cascade import parse_policy
from icd.code_agreement import action_key
from icd.runtime import PLAN_STEP
from icd_memory.rows import DecisionRow, EpisodeRow, JsonObject
from icd_memory.store import Store

__all__ = ["PlayedStep", "decile", "escalations", "played_steps"]


@dataclass(frozen=True, slots=True)
class PlayedStep:
    """A decision of a finished episode."""

    task_id: str
    seed: int
    category: str
    won: bool
    """The episode was."""
    step: int
    """From 0."""
    steps: int
    """Of its episode."""
    actor: str
    reason: str
    wanted: int
    """Samples that the policy draws at most."""
    drawn: int
    agreement: float | None = None
    """Share of the largest group among the samples drawn; None if there are none."""
    matches: bool | None = None
    """The student's choice is the teacher's own; None where the teacher was not asked."""


def played_steps(store: Store, run_id: str, method: str) -> list[PlayedStep]:
    """Return the steps of a method's finished episodes, episode by episode, in order."""
    rows = [row for row in store.episodes(run_id) if row.method == method and row.status == "done"]
    return [step for row in sorted(rows, key=lambda r: (r.task_id, r.seed)) for step in _steps(store, row)]


def _steps(store: Store, row: EpisodeRow) -> Iterator[PlayedStep]:
    decisions = [found for found in store.decisions(row.id) if found.step != PLAN_STEP]
    for decision in sorted(decisions, key=lambda d: d.step):
        yield _step(row, row.outcome or {}, decision, len(decisions))


def _step(row: EpisodeRow, outcome: JsonObject, decision: DecisionRow, steps: int) -> PlayedStep:
    body = decision.body
    keys = [sample["key"] for sample in body["samples"]]
    return PlayedStep(
        task_id=row.task_id,
        seed=row.seed,
        category=outcome["category"],
        won=outcome["won"],
        step=decision.step,
        steps=steps,
        actor=body["acted_by"],
        reason=body["reason"],
        wanted=parse_policy(body["policy"]).n,
        drawn=len(keys),
        agreement=vote(keys).share if keys else None,
        matches=_matches(body, vote(keys).key, code=bool(outcome.get("code"))),
    )


def _matches(body: JsonObject, choice: str | None, *, code: bool) -> bool | None:
    """Return whether the action that the student would do is the one of the teacher; None where it was not asked."""
    key_of = action_key if code else text_key
    shadow = body.get("shadow")
    if (shadow is None and body["acted_by"] != "teacher") or not body["samples"]:
        return None
    teachers = key_of((shadow or body)["action"])
    # The first sample of a group is what is done; under agreement by intent its key may be another one's.
    mine = next((sample["action"] for sample in body["samples"] if sample["key"] == choice), None)
    return choice is not None and mine is not None and key_of(mine) == teachers


def decile(step: PlayedStep) -> int:
    """Return in which tenth of its episode a step lies, 0 to 9."""
    return 10 * step.step // step.steps


def escalations(
    steps: Iterable[PlayedStep], by: Callable[[PlayedStep], Hashable]
) -> dict[Hashable, tuple[Interval, int]]:
    """Return the share of steps that the teacher took, and the number of steps, for each value of `by`.

    Steps of one task are not independent: the interval counts tasks (`clustered_share`). `by` may be a category, a
    `decile`, the step's number, or a pair of them for a map.
    """
    groups: dict[Hashable, list[PlayedStep]] = {}
    for step in steps:
        groups.setdefault(by(step), []).append(step)
    return {name: (clustered_share(_by_task(group)), len(group)) for name, group in groups.items()}


def _by_task(steps: Sequence[PlayedStep]) -> list[list[float]]:
    ordered = sorted(steps, key=lambda step: step.task_id)
    return [
        [float(step.actor == "teacher") for step in group]
        for _, group in groupby(ordered, key=lambda step: step.task_id)
    ]
