"""From receipts, bills and verdicts to the figures of an episode; and taking in what is new in a store, bit by bit."""

from __future__ import annotations

import logging
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator
from datetime import UTC, datetime

from icd.errors import IcdMemoryError
from icd.receipts import LIVE
from icd_memory.fact_sources import Receipt, Sources
from icd_memory.facts import DemonstrationUse, EpisodeFacts, EpisodeKey
from icd_memory.rows import JsonObject
from icd_memory.store import Store

__all__ = ["LIVE_RUN", "FactKeeper", "episode_facts", "recount"]

_log = logging.getLogger(__name__)

LIVE_RUN = LIVE
"""The run under which the episodes of people's own agents are kept."""
_PORTION = 400
"""Rows of each table that are taken in at once."""
_GOAL = 400
"""Characters that are kept of a goal."""


def episode_facts(key: EpisodeKey, sources: Sources) -> EpisodeFacts | None:
    """Return the figures of an episode; None: there is nothing of it."""
    receipts = [one for one in sources.receipts if "shadow_of" not in one.body]
    steps = [one for one in receipts if one.step >= 0]
    played, verdict = sources.played, sources.verdict
    if not receipts and played is None:
        return None
    told: JsonObject = next((one.body for one in steps if "goal" in one.body), {})
    outcome: JsonObject = played.outcome if played else {}
    success, score = (verdict.success, verdict.score) if verdict else (None, None)
    if played is not None and played.status == "done":
        success, score = bool(outcome.get("won")), outcome.get("score")
    actors = [one.body.get("acted_by") for one in steps]
    return EpisodeFacts(
        *key,
        run_id=played.run_id if played else LIVE_RUN,
        method=played.method if played else _method(steps),
        category=str(outcome.get("category", told.get("category", ""))),
        goal=str(outcome.get("goal", told.get("goal", "")))[:_GOAL],
        status=played.status if played else LIVE_RUN,
        success=success,
        score=score,
        steps=len(steps),
        student_steps=sum(actor in ("student", "copy") for actor in actors),
        teacher_steps=actors.count("teacher"),
        cost=sources.cost,
        teacher_calls=sources.teacher_calls,
        teacher_cost=sources.teacher_cost,
        seconds=sum(float(one.body.get("seconds") or 0.0) for one in receipts),
        began=_utc(min([one.at for one in receipts] or [played.at])) if played else _utc(receipts[0].at),
        uses=tuple(_uses(steps)),
    )


def _method(steps: Collection[Receipt]) -> str:
    """Return how live calls were answered: the mode, or the policy of mode cascade."""
    body: JsonObject = next((one.body for one in steps if "policy" in one.body), {})
    mode = body.get("mode", "cascade")
    return str(body.get("policy", "")) if mode == "cascade" else str(mode)


def _utc(moment: datetime) -> datetime:
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)


def _uses(steps: Iterable[Receipt]) -> Iterator[DemonstrationUse]:
    shown: dict[str, list[tuple[bool, float]]] = defaultdict(list)
    for one in steps:
        followed = one.body.get("acted_by") in ("student", "copy")
        nearest: dict[str, float] = {}
        for id, similarity in excerpts_of(one.body):
            nearest[id] = max(similarity, nearest.get(id, similarity))
        for id, similarity in nearest.items():
            shown[id].append((followed, similarity))
    for id, found in shown.items():
        yield DemonstrationUse(id, len(found), sum(f for f, _ in found), max(s for _, s in found))


def excerpts_of(body: JsonObject) -> Iterator[tuple[str, float]]:
    """Yield trajectory and similarity of a receipt's excerpts: lists in chat receipts, objects in others."""
    for use in body.get("excerpts") or ():
        if isinstance(use, dict):
            yield str(use["trajectory_id"]), float(use["similarity"])
        else:
            yield str(use[0]), float(use[2])


def recount(store: Store, keys: Collection[EpisodeKey]) -> None:
    """Compute the figures of these episodes anew, such as after an erasure."""
    store.facts.replace(None, None, _computed(store, keys))


def _agents(tenant: str) -> str:
    """Return how the ids begin of the trajectories that `icd.agent_episode` records."""
    return f"{LIVE}-{tenant}-"


def _episode_of(tenant: str, trajectory_id: str) -> str:
    return trajectory_id.removeprefix(_agents(tenant))


def _computed(store: Store, keys: Collection[EpisodeKey]) -> list[EpisodeFacts]:
    found = store.fact_sources.of(keys, lambda key: f"{_agents(key[0])}{key[1]}")
    computed = (episode_facts(key, sources) for key, sources in found.items())
    return [one for one in computed if one is not None]


class FactKeeper:
    """Takes in what is new in a store, for one process; several may do so for one store. Safe for threads."""

    def __init__(self, store: Store, clock: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._clock = clock
        self._turn = threading.Lock()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def step(self) -> bool:
        """Take in a portion; return whether there may be more."""
        tables = self._store.facts
        before = tables.marks()
        changed = tables.changed(before, _PORTION, _episode_of)
        if changed.marks == before and not changed.episodes:
            return False
        computed = _computed(self._store, changed.episodes)
        demonstrations = self._store.fact_sources.demonstrations(changed.trajectories)
        tables.replace(before, changed.marks, computed, demonstrations)
        return changed.marks != before

    def catch_up(self, seconds: float | None = None) -> bool:
        """Take in all that is new, for so long at most; return whether that is done. Another thread's work counts."""
        if not self._turn.acquire(blocking=seconds is None):
            return False
        try:
            end = None if seconds is None else self._clock() + seconds
            while not self._stopping.is_set():
                if not self.step():
                    return True
                if end is not None and self._clock() >= end:
                    return False
            return False
        finally:
            self._turn.release()

    def in_background(self) -> None:
        """Take in all that is new in a thread of its own, unless one is at it."""
        if self._thread is None or not self._thread.is_alive():
            self._thread = threading.Thread(target=self._all, name="icd-facts", daemon=True)
            self._thread.start()

    def _all(self) -> None:
        try:
            self.catch_up()
        except IcdMemoryError as error:
            _log.warning("figures of episodes are not up to date: %s", error)

    def share(self) -> float:
        """Return how much of the decisions has been taken in, from 0 to 1."""
        done, there = self._store.facts.marks().decisions, self._store.facts.ends().decisions
        return 1.0 if there <= 0 else min(max(done, 0) / there, 1.0)

    def close(self) -> None:
        """Stop, and wait for the thread."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join()
