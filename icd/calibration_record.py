"""The calibration that a store keeps: which policy was chosen, what is promised for it, and under which conditions."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from icd.cascade import Policy, parse_policy
from icd.drift_watch import alarm_of, told
from icd.errors import ConfigurationError
from icd_memory.rows import JsonObject
from icd_memory.store import Store

Promise = Literal["episodes", "steps"]
"""Success of episodes beside the teacher's, or disagreement with the teacher at steps."""

_NOTE = "calibration "
"""How the names of a store's notes on calibrations begin."""
_OTHERWISE = ("split", "seed", "sources", "version")
"""Conditions of a run that its promise does not depend on."""


class TrialRecord(BaseModel):
    """A candidate that was tested."""

    model_config = ConfigDict(frozen=True)

    policy: str
    p_value: float
    episodes: int
    losses: int = 0
    gains: int = 0
    mean_loss: float
    """Teacher's success minus the policy's, or the share of steps."""
    cost: float | None
    """Dollars an episode; None: it was not played."""


class Calibration(BaseModel):
    """What `icd calibrate` found."""

    model_config = ConfigDict(frozen=True)

    promise: Promise
    epsilon: float
    delta: float
    policy: str
    """Chosen; `teacher` where none is accepted."""
    trials: tuple[TrialRecord, ...]
    episodes: int
    split: str
    run: str
    teacher_cost: float | None = None
    """Dollars an episode."""
    by_support: float | None = None
    """The bound holds for episodes whose first support is below this and for the others, each by themselves."""
    in_expectation: str | None = None
    """The policy that conformal risk control allows (promise of steps)."""
    conditions: dict[str, Any]
    made: str
    """When, as ISO time."""

    @property
    def chosen(self) -> TrialRecord | None:
        """The trial of the chosen policy; None: the teacher."""
        return next((trial for trial in self.trials if trial.policy == self.policy), None)


def promised_conditions(conditions: JsonObject) -> JsonObject:
    """Return those conditions of a run that its promise depends on: not the split, the order of tasks or prices."""
    kept = {name: value for name, value in conditions.items() if name not in _OTHERWISE}
    for name in ("student", "teacher", "verifier"):
        kept[name] = kept[name] and {key: value for key, value in kept[name].items() if key != "price"}
    for name, own in (("runtime", ("record",)), ("defaults", ("cascade",))):
        kept[name] = {key: value for key, value in kept[name].items() if key not in own}
    return kept


def keep_calibration(store: Store, found: Calibration) -> None:
    """Store a calibration; an earlier one for the same environment, epsilon and delta is replaced."""
    store.set_note(
        _note(found.conditions["environment"], found.epsilon, found.delta), found.model_dump_json()
    )


def read_calibration(store: Store, environment: str, epsilon: float, delta: float) -> Calibration | None:
    """Return the stored calibration; None if there is none.

    Raises:
        ConfigurationError: it cannot be read.
    """
    text = store.note(_note(environment, epsilon, delta))
    try:
        return None if text is None else Calibration.model_validate_json(text)
    except ValidationError as error:
        raise ConfigurationError(
            f"the calibration in {store.place} cannot be read: run `icd calibrate` again"
        ) from error


def _note(environment: str, epsilon: float, delta: float) -> str:
    return f"{_NOTE}{environment} {epsilon!r} {delta!r}"


def calibrated_policy(store: Store, conditions: JsonObject, policy: Policy) -> Policy:
    """Return the policy that a ``calibrated`` one stands for under a run's conditions.

    Raises:
        ConfigurationError: there is no calibration, or it was made under other conditions: its promise does not hold.
    """
    environment = conditions["environment"]
    found = read_calibration(store, environment, policy.epsilon, policy.delta)
    command = f"icd calibrate {environment} --epsilon {policy.epsilon:g} --delta {policy.delta:g}"
    if found is None:
        raise ConfigurationError(
            f"policy {policy} has no calibration in {store.place} yet: run `{command}` first"
        )
    differing = _differences(found.conditions, promised_conditions(conditions))
    if differing:
        raise ConfigurationError(
            f"policy {policy} was calibrated under other conditions, so its promise does not hold here: "
            f"{', '.join(differing)} changed; run `{command}` again"
        )
    if noticed := stale_by(store, found):
        raise ConfigurationError(
            f"policy {policy} is stale, its promise is open again: {noticed}; run `{command}` again, or, if that was "
            "looked into, `icd drift clear`"
        )
    return parse_policy(found.policy)


def stale_by(store: Store, found: Calibration) -> str:
    """Return the first change that was noticed in a calibration's environment since it was made; empty: none."""
    for row in store.watched.alarms(environment=found.conditions["environment"]):
        alarm = alarm_of(row)
        if alarm is not None and alarm.at > datetime.fromisoformat(found.made):
            return told(row)
    return ""


def calibrations(store: Store) -> list[Calibration]:
    """Return the calibrations of a store that can be read."""
    found = []
    for name in store.notes(_NOTE):
        with suppress(ValidationError):
            found.append(Calibration.model_validate_json(store.note(name) or ""))
    return found


def _differences(before: Mapping[str, Any], now: Mapping[str, Any], path: str = "") -> list[str]:
    names = []
    for key in sorted({*before, *now}):
        old, new = before.get(key), now.get(key)
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            names += _differences(old, new, f"{path}{key}.")
        elif old != new:
            names.append(f"{path}{key}")
    return names
