"""Watching a store's episodes for drift, by category; and what is done, and said, where one was noticed.

An episode gives one value a measure: steps of one episode depend on each other, episodes of one category are taken to be
exchangeable. The streams stand in the store, so that all processes watch together. What was noticed stays until a person
clears it (`icd drift clear`).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from statistics import mean
from typing import Literal, NamedTuple

from pydantic import BaseModel, ConfigDict

from icd.cascade import Policy
from icd.chance import uniform
from icd.drift import MEASURES, WORSE_BY, Measure, Stream, observed, turn_of
from icd_memory.recall import Unindexed
from icd_memory.retrieval import Memory
from icd_memory.rows import JsonObject
from icd_memory.store import Store
from icd_memory.watched import StreamKey, StreamRow

__all__ = ["Alarm", "DriftRule", "DriftWatch", "Place", "alarm_of", "clear", "told", "under_of", "values_of"]

_log = logging.getLogger(__name__)
_FRESH = 1.0
"""Seconds after which an alarm of another process is seen."""
_BY_DRIFT = "drift: "
"""How the reason begins for which demonstrations were turned off."""
_COMPARING = ("unanimity", "majority", "sequential")


@dataclass(frozen=True, slots=True)
class DriftRule:
    """When a change is noticed, and what is done about one for the worse."""

    alpha: float = 0.01
    """Probability that a category in which nothing changes is ever reported."""
    raise_n: int | None = None
    """Student's samples in such a category from then on; None: as before."""
    turn_off: bool = False
    """Stop showing the category's demonstrations."""


class Place(NamedTuple):
    """What is watched together."""

    tenant: str
    environment: str
    category: str


class Alarm(BaseModel):
    """A change that was noticed."""

    model_config = ConfigDict(frozen=True)

    at: datetime
    episodes: int
    """After so many."""
    before: float
    recent: float
    """Means of the measure."""
    direction: Literal["better", "worse"]
    done: tuple[str, ...] = ()
    """What was done about it, in words."""


def values_of(receipts: Sequence[JsonObject], success: bool | None = None) -> dict[Measure, float]:
    """Return an episode's measures, as far as its receipts have them. Steps for which the student was not asked say
    nothing of it."""
    asked = [body for body in receipts if body.get("samples")]
    supports = [body["support"] for body in asked if body.get("support") is not None]
    agreements = [body["agreement"] for body in asked if body.get("agreement") is not None]
    values: dict[Measure, float] = {}
    if supports:
        values["support"] = mean(supports)
    if agreements:
        values["agreement"] = mean(agreements)
    if asked:
        values["escalated"] = mean(float(body.get("acted_by") == "teacher") for body in asked)
    if success is not None:
        values["success"] = float(success)
    return values


def under_of(receipts: Sequence[JsonObject]) -> str:
    """Return by which policy and student an episode was decided; empty: the student was not asked."""
    for body in receipts:
        if body.get("samples"):
            models = (charge["model"] for charge in body["charges"] if charge["role"] == "student")
            return f"{body['policy']} of {next(models, 'no student')}"
    return ""


def alarm_of(row: StreamRow) -> Alarm | None:
    """Return what was noticed in a stream; None: nothing."""
    return None if row.alarm is None else Alarm.model_validate(row.alarm)


def told(row: StreamRow) -> str:
    """Say what was noticed in a stream."""
    alarm = alarm_of(row)
    if alarm is None:
        return ""
    done = f"; {', '.join(alarm.done)}" if alarm.done else ""
    return (
        f"{row.measure} of {row.category or 'episodes without a category'} went from {alarm.before:.2f} to "
        f"{alarm.recent:.2f} ({alarm.direction}), noticed after {alarm.episodes} episodes on "
        f"{alarm.at:%Y-%m-%d}{done}"
    )


class DriftWatch:
    """Watches what is decided by one policy and pair of models."""

    def __init__(
        self,
        store: Store,
        rule: DriftRule,
        *,
        memory: Memory | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Wire the parts; without a memory no demonstration is turned off."""
        self.rule = rule
        self._store, self._memory = store, memory
        self._clock = clock
        self._read, self._open = -_FRESH, dict[Place, tuple[str, ...]]()

    def observe(
        self, place: Place, under: str, values: Mapping[Measure, float], at: datetime
    ) -> list[StreamRow]:
        """Take an episode's measures in; return the streams in which a change was noticed by it, after acting on it."""
        changed = []
        with self._store.transaction():
            for measure in sorted(values):
                after = partial(self._after, value=values[measure], at=at)
                changed.append(self._store.watched.change(StreamKey(*place, measure, under), at, after))
        noticed = [self._acted(row) for row in changed if row is not None and row.alarm is not None]
        if noticed:
            self._read = -_FRESH
        return noticed

    def open(self, place: Place) -> tuple[str, ...]:
        """Return the measures by which a category got worse, and nobody cleared it."""
        now = self._clock()
        if now - self._read >= _FRESH:
            found: dict[Place, tuple[str, ...]] = {}
            for row in self._store.watched.alarms():
                alarm = alarm_of(row)
                if alarm is not None and alarm.direction == "worse":
                    here = Place(row.tenant, row.environment, row.category)
                    found[here] = tuple(sorted({*found.get(here, ()), row.measure}))
            self._read, self._open = now, found
        return self._open.get(place, ())

    def policy(self, place: Place, policy: Policy) -> Policy:
        """Return the policy that decides in a category: with more samples where it got worse, if the rule says so."""
        wanted = self.rule.raise_n
        if wanted is None or policy.name not in _COMPARING or policy.n >= wanted or not self.open(place):
            return policy
        return replace(policy, n=wanted)

    def _after(self, row: StreamRow, value: float, at: datetime) -> StreamRow | None:
        """Return a stream after one more value; None: it has its alarm."""
        if row.alarm is not None:
            return None
        before = Stream.model_validate(row.state)
        stream = observed(before, value, _chance(row, before.count))
        alarm = None
        # Each of the measures has its share, so that alpha is that of the category.
        if stream.evidence >= len(MEASURES) / self.rule.alpha:
            alarm = self._alarm(row, stream, at).model_dump(mode="json")
        return replace(row, state=stream.model_dump(mode="json"), alarm=alarm, changed_at=at)

    def _alarm(self, row: StreamRow, stream: Stream, at: datetime) -> Alarm:
        before, recent = turn_of(stream)
        sign = next(sign for measure, sign in WORSE_BY.items() if measure == row.measure)
        worse = (recent - before) * sign > 0
        done = [f"{self.rule.raise_n} samples from now on"] if worse and self.rule.raise_n else []
        return Alarm(
            at=at, episodes=stream.count, before=before, recent=recent, direction="worse" if worse else "better",
            done=tuple(done),
        )  # fmt: skip

    def _acted(self, row: StreamRow) -> StreamRow:
        """Do what the rule says about an alarm that was just raised, and say so."""
        alarm = alarm_of(row)
        assert alarm is not None
        if alarm.direction == "worse" and self.rule.turn_off and self._memory is not None:
            off = _turn_off(self._memory, row)
            alarm = alarm.model_copy(update={"done": (*alarm.done, f"{off} demonstrations turned off")})
            row = replace(row, alarm=alarm.model_dump(mode="json"))
            key = StreamKey(row.tenant, row.environment, row.category, row.measure, row.under)
            self._store.watched.change(key, row.changed_at, lambda _: row)
        _log.warning("drift: %s", told(row))
        return row


def clear(
    memory: Memory | Unindexed, tenant: str, environment: str | None = None, category: str | None = None
) -> tuple[int, list[str]]:
    """Watch anew, and show again what an alarm turned off; return how many streams there were, and what is shown."""
    rows = memory.store.watched.find(tenant=tenant, environment=environment, category=category)
    shown = []
    for place in {(row.environment, row.category) for row in rows}:
        for trajectory in memory.store.trajectories(tenant=tenant, environment=place[0], status="disabled"):
            reason = memory.store.admission(trajectory.id).reason
            if trajectory.category == place[1] and reason.startswith(_BY_DRIFT):
                memory.set_status(trajectory.id, "demonstration", "shown again: drift cleared by hand")
                shown.append(trajectory.id)
    return memory.store.watched.forget(tenant=tenant, environment=environment, category=category), shown


def _turn_off(memory: Memory, row: StreamRow) -> int:
    found = memory.store.trajectories(tenant=row.tenant, environment=row.environment, status="demonstration")
    ids = [trajectory.id for trajectory in found if trajectory.category == row.category]
    for id in ids:
        memory.set_status(id, "disabled", f"{_BY_DRIFT}{row.measure} got worse")
    return len(ids)


def _chance(row: StreamRow, number: int) -> float:
    """Break ties by chance that depends on nothing that was observed, and that every process agrees on."""
    return uniform(row.tenant, row.environment, row.category, row.measure, row.under, number)
