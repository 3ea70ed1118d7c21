"""Drift in chat calls. An episode's first answer tells its similarity, agreement and share of the teacher: calls of one
episode depend on each other, and nobody says when it ends. Its success is what the first feedback says."""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from functools import partial

from icd.cascade import Policy
from icd.chat.call import Feedback, FeedbackResult
from icd.chat.situation import CHAT
from icd.drift_watch import DriftWatch, Place, under_of, values_of
from icd_memory.rows import DecisionRow
from icd_memory.store import Store

_log = logging.getLogger(__name__)
_KEPT = 10_000
"""Episodes of which it is remembered that they were noted: their first call may be repeated."""


class ChatDrift:
    """Tells a watch of episodes, beside the calls; without one it does nothing."""

    def __init__(self, watch: DriftWatch | None, store: Store | None) -> None:
        self._watch, self._store = watch, store
        self._under_way: set[asyncio.Task[None]] = set()
        self._noted: OrderedDict[str, None] = OrderedDict()

    def policy(self, tenant: str, category: str, policy: Policy) -> tuple[Policy, tuple[str, ...]]:
        """Return the policy that decides, and by which measures its category got worse."""
        if self._watch is None:
            return policy, ()
        place = Place(tenant, CHAT, category)
        return self._watch.policy(place, policy), self._watch.open(place)

    def note(self, row: DecisionRow) -> None:
        """Take a receipt in, if it is an episode's first; returns at once."""
        if self._watch is None or row.step != 0 or not row.body["samples"] or row.episode_id in self._noted:
            return
        self._noted[row.episode_id] = None
        if len(self._noted) > _KEPT:
            self._noted.popitem(last=False)
        self._aside(row, None)

    async def judged(self, feedback: Feedback, result: FeedbackResult) -> FeedbackResult:
        """Take in what the first feedback on an episode says of its success, and return the result."""
        if self._watch is None or self._store is None or feedback.success is None or feedback.decision_id:
            return result
        said = await asyncio.to_thread(self._store.feedback, feedback.tenant, result.episode_id)
        if result.new and sum(one.success is not None and one.decision_id is None for one in said) == 1:
            own = self._store.of(feedback.tenant)
            rows = await asyncio.to_thread(own.decisions, result.episode_id)
            asked = [row for row in rows if row.body.get("samples")]
            if asked:
                self._aside(asked[0], feedback.success)
        return result

    async def close(self) -> None:
        """Wait for what is under way."""
        await asyncio.gather(*self._under_way, return_exceptions=True)

    def _aside(self, row: DecisionRow, success: bool | None) -> None:
        task = asyncio.create_task(self._observe(row, success))
        self._under_way.add(task)
        task.add_done_callback(self._ended)

    async def _observe(self, row: DecisionRow, success: bool | None) -> None:
        assert self._watch is not None
        place = Place(row.tenant, CHAT, row.body["category"])
        values = values_of([row.body], success)
        if success is not None:  # The first answer told the others.
            values = {"success": values["success"]}
        await asyncio.to_thread(
            partial(self._watch.observe, place, under_of([row.body]), values, row.created_at)
        )

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._under_way.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.warning("an episode was not watched for drift: %s", error)
