"""The memory behind the chat runtime: what is shown at a step, and what is learned from feedback. Slow work is done in a
thread of its own, so that other calls go on meanwhile."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from functools import partial
from typing import TypeVar

from icd.chat.call import ChatCall, Feedback, FeedbackResult
from icd.chat.learning import take_feedback
from icd.chat.prompting import suitable
from icd.chat.reading import Embed
from icd.chat.situation import CHAT, Situation, query_of
from icd.chat.tool_set import tool_set
from icd.decision import ChosenStrategies
from icd.prompting import Placement
from icd.strategy_use import NO_STRATEGIES, StrategySettings, choose, fitting
from icd_memory.retrieval import Excerpt, Family, Memory, Query
from icd_memory.strategies import StrategyLibrary

_T = TypeVar("_T")

_KEPT_FIRST = 10_000
"""Episodes whose first excerpts are kept, for sticky placement, and whose strategies."""


class ChatMemory:
    """Searches a memory for chat calls, and adds to it."""

    def __init__(self, memory: Memory, *, k: int, placement: Placement, strategies: StrategySettings) -> None:
        """Wire the parts; `k` excerpts are shown at a step, those of the first one if `placement` is sticky."""
        self._library = StrategyLibrary(memory.store, memory.embedder)
        self._strategies = strategies
        self._chosen: OrderedDict[str, ChosenStrategies] = OrderedDict()
        self._memory = memory
        self._k = k
        self._sticky = placement == "sticky"
        self._first: OrderedDict[str, list[Excerpt]] = OrderedDict()
        self._thread = ThreadPoolExecutor(1, "icd-search")

    @property
    def embed(self) -> Embed:
        """Embeds texts that are compared once and not kept."""
        return partial(self._memory.embedder.embed, keep=False)

    @property
    def embedder_id(self) -> str:
        """Name what compares texts here."""
        return self._memory.embedder.id

    async def excerpts(self, call: ChatCall, situation: Situation, episode_id: str) -> list[Excerpt]:
        """Return the excerpts that fit this step and call only tools of this call, best first.

        Raises:
            IcdMemoryError: the store, the index or the embedder failed.
        """
        memory = self._memory
        if not self._k or not len(memory.index(Family(call.tenant, CHAT))):
            return []
        if (first := self._first.get(episode_id)) is not None:
            return suitable(first, call.tools, self._k)
        query, finder = query_of(call, situation, episode_id), memory.retriever
        quick = finder.is_quick(query)
        found, shown = list[Excerpt](), list[Excerpt]()
        # Some may call tools that are not there, now or, where the first ones are kept, at a later step.
        for wanted in (2 * self._k,) if self._sticky else (self._k, 2 * self._k):
            search = partial(finder.for_step, query, wanted)
            found = search() if quick else await self._aside(search)
            shown = suitable(found, call.tools, self._k)
            if len(shown) == self._k or len(found) < wanted:
                break
        if self._sticky:
            _keep(self._first, episode_id, found)
        return shown

    async def strategies(
        self, call: ChatCall, situation: Situation, episode_id: str, count_tokens: Callable[[str], int]
    ) -> ChosenStrategies:
        """Return the strategies of an episode, without those that name other tools than this call's.

        Raises:
            IcdMemoryError: the store or the embedder failed.
        """
        if not self._strategies.k:
            return NO_STRATEGIES
        chosen = self._chosen.get(episode_id)
        if chosen is None or self._strategies.per == "step":
            query = Query(situation.goal, CHAT, state=situation.observation, tenant=call.tenant)
            chosen = await self._aside(partial(choose, self._library, query, self._strategies, count_tokens))
            _keep(self._chosen, episode_id, chosen)
        return fitting(chosen, tool_set(call.tools).names)

    async def learn(self, feedback: Feedback, now: datetime) -> FeedbackResult:
        """Take feedback in; see `icd.chat.learning.take_feedback`."""
        return await self._aside(partial(take_feedback, self._memory, feedback, now, self._library))

    def close(self) -> None:
        """Wait for what is under way. The memory stays open: it belongs to the caller."""
        self._thread.shutdown()

    async def _aside(self, work: Callable[[], _T]) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)


def _keep(kept: OrderedDict[str, _T], episode_id: str, found: _T) -> None:
    kept[episode_id] = found
    if len(kept) > _KEPT_FIRST:
        kept.popitem(last=False)
