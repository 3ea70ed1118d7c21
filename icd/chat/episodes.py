"""Which episode a chat call belongs to, and what an episode's receipts tell of it.

A call that names no episode goes on with the conversation whose thread it begins with; a new conversation is a new
episode. Threads are found in memory, and after a restart in the store. Conversations that are alike word by word are
told apart only by their tools' call ids, or by the order of their calls: a client that runs the same prompt many times
at once should name its episodes.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import NamedTuple

from icd.chat.call import ChatCall
from icd.chat.situation import Situation, head_of
from icd_memory.rows import DecisionRow
from icd_memory.store import Store

_KEPT = 10_000
"""Places of conversations kept in memory."""
_ALIKE = 1_000
"""Of conversations that are alike word by word."""


class Place(NamedTuple):
    """Where a call stands."""

    episode_id: str
    step: int


class Episodes:
    """The conversations under way."""

    def __init__(self, store: Store | None, new_id: Callable[[], str]) -> None:
        self._store = store
        self._new_id = new_id
        # Lists, since nearly all have one place: an empty deque takes more than all the rest.
        self._threads: OrderedDict[tuple[str, str], list[Place]] = OrderedDict()
        self._kept = 0

    def place(self, call: ChatCall, situation: Situation) -> Place:
        """Return the episode of a call, and which of its steps it is."""
        before = self._find(call.tenant, situation.after, call.episode_id) if situation.after else None
        if before is not None:
            return Place(call.episode_id or before.episode_id, before.step + 1)
        step = len(situation.history)
        if call.episode_id:
            return Place(call.episode_id, step)
        if not step:
            return Place(self._new_id(), 0)
        head = f"{call.tenant} {call.account} {head_of(call.messages)}"
        return Place(hashlib.sha256(head.encode()).hexdigest()[:32], step)

    def note(self, tenant: str, thread: str, place: Place) -> None:
        """Remember that a conversation has come to here: the call that goes on with `thread` is the next step."""
        places = self._threads.setdefault((tenant, thread), [])
        places.append(place)
        self._kept += 1
        if len(places) > _ALIKE:
            self._kept -= 1
            del places[0]
        self._threads.move_to_end((tenant, thread))
        self._forget()

    def _forget(self) -> None:
        """Drop the conversations that were not gone on with for longest; the store still knows where they stand."""
        while self._kept > _KEPT or len(self._threads) > _KEPT:
            _, places = self._threads.popitem(last=False)
            self._kept -= len(places)

    def _find(self, tenant: str, thread: str, episode_id: str) -> Place | None:
        places = self._threads.get((tenant, thread))
        if places is None:
            if self._store is None:
                return None
            stored = self._store.decisions_in_thread(tenant, thread)
            places = self._threads[tenant, thread] = [Place(*found) for found in stored[-_ALIKE:]]
            self._kept += len(places)
            self._forget()
        if episode_id:
            return next((place for place in places if place.episode_id == episode_id), None)
        # Equal conversations take turns; the last one stays, since a client may repeat its call.
        if len(places) > 1:
            self._kept -= 1
            return places.pop(0)
        return places[0] if places else None


def steps_taken(rows: Sequence[DecisionRow]) -> list[DecisionRow]:
    """Return the receipts that led to the episode's end, in order: without calls that were repeated, or branches that
    nobody went on with.

    Read backwards from the last receipt, by the thread that each goes on with. Where a client leaves earlier turns out
    and a thread breaks off, the receipts of the earlier steps are taken as they came.
    """
    answers = {row.thread: row for row in rows if row.thread}
    if not answers:
        return []
    row = max(answers.values(), key=lambda row: (row.step, row.created_at))
    taken = [row]
    while True:
        before = answers.get(row.body["after"] or "")
        if before is None or before.step >= row.step:
            earlier = {other.step: other for other in answers.values() if other.step < row.step}
            before = earlier[max(earlier)] if earlier and row.body["after"] else None
        if before is None:
            return taken[::-1]
        taken.append(before)
        row = before
