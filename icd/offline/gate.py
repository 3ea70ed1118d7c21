"""From a registered student to the one in use: the gate, the canary, and the way back. Each decision is recorded.

registered -> gate (`icd.offline.promotion`) -> canary (`icd.offline.canary`) -> active
                 `-> kept                         `-> rolled back
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, NamedTuple

from icd.benchmark.conditions import method_defaults
from icd.benchmark.methods import recorded_method
from icd.benchmark.played_run import PlayedRun
from icd.benchmark.wire import differences
from icd.chat.situation import CHAT
from icd.errors import ConfigurationError
from icd.offline.active import Canary, Pointer, in_canary, read_pointer, write_pointer
from icd.offline.canary import CanaryRules, Outcome, Watched, watch
from icd.offline.promotion import Comparison, GateRules, Unit, compare, units_of
from icd.offline.registry import Student, damaged
from icd.receipts import LIVE, new_id
from icd_memory.rows import ArtifactRow
from icd_memory.store import Store

__all__ = [
    "Event",
    "Played",
    "Rules",
    "end_trial",
    "history",
    "live_outcomes",
    "offer",
    "played_units",
    "roll_back",
    "watch_canary",
]

_STUDENTS = (
    "student.",
    # It counts the tokens of an expert, which has no tokenizer of its own.
    "teacher.settings.tokenizer",
    "runtime.student_prompt.history_steps",
    "runtime.student_prompt.show_actions",
    "runtime.temperature",
    "runtime.max_tokens",
    "runtime.max_code_tokens",
)
"""Conditions that the settings of a student make: they may differ, since they come and go with it."""
Decision = Literal["kept", "canary", "promoted", "rolled back"]


@dataclass(frozen=True, slots=True)
class Rules:
    """What a candidate has to go through."""

    gate: GateRules = field(default_factory=GateRules)
    canary: CanaryRules = field(default_factory=CanaryRules)
    share: float = 0.1
    """Of live episodes that try a candidate; 0: none, what passes the gate is active at once."""


class Event(NamedTuple):
    """Something that was decided."""

    student: str
    decision: Decision
    words: tuple[str, ...]
    at: datetime


class Played(NamedTuple):
    """Episodes of one student: a run, and the method in it."""

    run: str
    method: str


def offer(
    store: Store, student: Student, units: Sequence[Unit], rules: Rules, now: Callable[[], datetime]
) -> tuple[Event, Comparison]:
    """Put a candidate before the gate, and on trial if it passes; the current student stays until that has ended.

    Raises:
        ConfigurationError: its files are damaged, it is the active one, or another one is on trial.
    """
    pointer = read_pointer(store)
    if broken := damaged(student):
        raise ConfigurationError(
            f"{student.id}: {', '.join(broken)} of {student.folder} is gone or was changed"
        )
    if student.id == pointer.active:
        raise ConfigurationError(f"{student.id} is the active student already")
    if pointer.canary is not None:
        raise ConfigurationError(
            f"{pointer.canary.student} is on trial: `icd offline watch` says how far, `icd offline rollback` ends it"
        )
    found = compare(units, rules.gate)
    words = tuple(found.words())
    if not found.passed:
        return _decided(store, Event(student.id, "kept", words, now())), found
    with store.transaction():
        if not rules.share:
            write_pointer(store, _promoted(pointer, student.id))
            return _decided(store, Event(student.id, "promoted", words, now())), found
        trial = rules.canary
        canary = Canary(
            student=student.id,
            share=rules.share,
            since=now(),
            margin=trial.margin,
            alpha=trial.alpha,
            most=trial.most,
        )
        write_pointer(store, pointer.model_copy(update={"canary": canary}))
        return _decided(store, Event(student.id, "canary", words, now())), found


def watch_canary(store: Store, now: Callable[[], datetime]) -> tuple[Watched, Event | None] | None:
    """Look at the candidate on trial, and promote it or send it back if that is decided; None: none is on trial."""
    pointer = read_pointer(store)
    canary = pointer.canary
    if canary is None:
        return None
    found = watch(live_outcomes(store, canary), CanaryRules(canary.margin, canary.alpha, canary.most))
    if found.decision == "continue":
        return found, None
    words = (
        f"{found.reason}: {found.canary_won} of {found.canary} live episodes won, "
        f"{found.current_won} of {found.current} by the current student",
    )
    decision: Decision = "promoted" if found.decision == "promote" else "rolled back"
    after = _promoted(pointer, canary.student) if decision == "promoted" else _without_canary(pointer)
    with store.transaction():
        write_pointer(store, after)
        return found, _decided(store, Event(canary.student, decision, words, now()))


def roll_back(store: Store, why: str, now: Callable[[], datetime]) -> Event:
    """End a trial; without one, go back to the student before the active one.

    Raises:
        ConfigurationError: there is nothing to go back to.
    """
    pointer = read_pointer(store)
    if pointer.canary is not None:
        gone, after = pointer.canary.student, _without_canary(pointer)
    elif pointer.previous:
        gone = str(pointer.active)
        after = Pointer(active=pointer.previous[-1], previous=pointer.previous[:-1])
    else:
        raise ConfigurationError("there is no student to go back to: the one of the settings is active")
    with store.transaction():
        write_pointer(store, after)
        return _decided(store, Event(gone, "rolled back", (why,), now()))


def end_trial(store: Store, student: str, why: str, now: Callable[[], datetime]) -> Event | None:
    """Send a candidate back; None: its trial has ended already."""
    with store.transaction():
        pointer = read_pointer(store)
        if pointer.canary is None or pointer.canary.student != student:
            return None
        write_pointer(store, _without_canary(pointer))
        return _decided(store, Event(student, "rolled back", (why,), now()))


def live_outcomes(store: Store, canary: Canary) -> list[Outcome]:
    """Return how live episodes ended that began after a trial did, in order: of all tenants, by their last verdicts.

    Only those of agents behind the server: no other runtime gives episodes to a candidate.
    """
    found: dict[tuple[str, str], tuple[datetime, bool]] = {}
    for tenant in sorted({tenant for tenant, _ in store.families()}):
        for trajectory in store.trajectories(tenant=tenant, split=LIVE):
            outcome, at = trajectory.outcome, trajectory.provenance.created_at
            if trajectory.environment != CHAT or at < canary.since:
                continue
            if outcome is None or outcome.verified_by is None:
                continue
            receipts = store.decisions(trajectory.task_id)
            if all(row.created_at >= canary.since for row in receipts):
                found[tenant, trajectory.task_id] = at, outcome.success
    ordered = sorted((at, episode, won) for (_, episode), (at, won) in found.items())
    return [
        Outcome("canary" if in_canary(canary.student, canary.share, episode) else "current", won)
        for _, episode, won in ordered
    ]


def history(store: Store) -> list[Event]:
    """Return what was decided, in order."""
    return [
        Event(row.body["student"], row.body["decision"], tuple(row.body["words"]), row.created_at)
        for row in store.artifacts.find("promotion")
    ]


def played_units(
    store: Store,
    candidate: Played,
    current: Played,
    student: Student,
    active: Student | None = None,
    trained: Collection[str] = (),
) -> list[Unit]:
    """Return what both played under the same conditions.

    Args:
        store: where the runs are.
        candidate: the candidate's episodes.
        current: those of the current student.
        student: the candidate.
        active: the current student; None: that of the settings.
        trained: tasks that the candidate was trained on.

    Raises:
        ConfigurationError: there is no such run or method, the conditions differ in more than the student, a run is of
            another student, or the candidate was trained on the tasks.
    """
    mine, others = _run(store, candidate), _run(store, current)
    unlike = [
        text for text in differences(others.conditions, mine.conditions) if not text.startswith(_STUDENTS)
    ]
    if unlike or _decides(mine, candidate) != _decides(others, current):
        raise ConfigurationError(
            f"{candidate.run} and {current.run} differ in more than the student: {'; '.join(unlike) or 'their methods'}"
        )
    _check_player(mine, student)
    if active is not None:
        _check_player(others, active)
    if known := {result.task_id for result in mine.results[candidate.method]} & set(trained):
        raise ConfigurationError(
            f"{student.id} was trained on {len(known)} tasks of {candidate.run}, such as {min(known)}: play held-out ones"
        )
    return units_of(mine.results[candidate.method], others.results[current.method])


def _check_player(run: PlayedRun, student: Student) -> None:
    played_by, named = run.conditions["student"]["model"], student.backend.get("model")
    if named is not None and played_by != named:
        raise ConfigurationError(f"{run.run_id} was played by {played_by}, and {student.id} is {named}")


def _run(store: Store, played: Played) -> PlayedRun:
    row = store.run(played.run)
    if row is None:
        raise ConfigurationError(
            f"no run {played.run!r} in {store.place}: `icd report --list` names those there are"
        )
    run = PlayedRun(store, played.run, row.config["conditions"])
    if played.method not in run.results:
        there = ", ".join(run.results) or "none"
        raise ConfigurationError(
            f"{played.run} has no finished episode of {played.method!r}; there are: {there}"
        )
    return run


def _decides(run: PlayedRun, played: Played) -> Any:
    """Return how a method decides, whatever it is called."""
    method = recorded_method(played.method, method_defaults(run.conditions))
    return method.policy, method.k, method.guards


def _promoted(pointer: Pointer, student: str) -> Pointer:
    return Pointer(active=student, previous=(*pointer.previous, pointer.active))


def _without_canary(pointer: Pointer) -> Pointer:
    return pointer.model_copy(update={"canary": None})


def _decided(store: Store, event: Event) -> Event:
    body = {"student": event.student, "decision": event.decision, "words": list(event.words)}
    store.artifacts.add(ArtifactRow(new_id(), "promotion", body, event.at))
    return event
