"""Budgets under load: concurrent calls, whole and streamed, some of them cancelled, in a runtime that is torn down and
opened again in the middle. What was spent is compared with every limit.

Models bill answers that are whole; nothing for one that was cancelled before its first piece.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from random import Random

from icd.backends.base import Capabilities, ChatRequest, ChatResponse, Completion, Delta, Message, Usage
from icd.backends.tokens import count_prompt, estimate_tokens
from icd.calls import PricedModel
from icd.chat.budgets import BudgetLimits
from icd.chat.call import ChatCall
from icd.chat.runtime import ChatRuntime, ChatSettings
from icd.errors import BackendReplyError, BudgetError
from icd.ledger import Budget, cost
from icd.prices import Price
from icd_memory.embedding import HashingEmbedder
from icd_memory.retrieval import Memory
from icd_memory.rows import KeyRow
from icd_memory.store import Store

NOW = datetime(2026, 11, 22, tzinfo=UTC)
PRICES = {"small": Price(0.4, 0.4, 1.6, "made up"), "large": Price(3.0, 3.0, 15.0, "made up")}
KEY_LIMIT = 0.03
LIMITS = BudgetLimits(key_day=0.025, tenant=0.07, tenant_day=0.06, episode=0.002)


@dataclass
class RandomModel:
    """Answers after some turns of the event loop, or fails; knows what it billed."""

    model: str
    random: Random
    billed: float = 0.0
    capabilities: Capabilities = field(default_factory=lambda: Capabilities(shared_prompt=True, tools=True))

    async def complete(self, request: ChatRequest) -> ChatResponse:
        for _ in range(self.random.randrange(20)):
            await asyncio.sleep(0)
        words = self.random.randrange(request.max_tokens)
        if self.random.random() < 0.2:
            raise BackendReplyError("planned fault")
        texts = tuple(Completion("a " * words, "stop") for _ in range(request.n))
        usage = Usage(count_prompt(request), 0, words * request.n)
        self.billed += cost(usage, PRICES[self.model])
        return ChatResponse(texts, usage, self.model, 0.0)

    async def stream(self, request: ChatRequest) -> AsyncGenerator[Delta | ChatResponse, None]:
        response = await self.complete(request)
        for index, completion in enumerate(response.completions):
            yield Delta(completion.text, index=index)
            await asyncio.sleep(0)
        yield response

    def count_tokens(self, text: str) -> int:
        return estimate_tokens(text)

    async def close(self) -> None:
        pass


@dataclass(frozen=True)
class BudgetRun:
    """What came of it; amounts in US dollars."""

    calls: int
    answered: int
    refused: int
    cancelled: int
    failed: int
    over: float
    """By which the worst budget was passed; 0: none."""
    leaked: float
    """Still set aside when nothing was under way."""
    unrecorded: float
    """That the models billed and the ledger does not know: of streams that were cut off, what was not shown."""


async def run(
    place: str | Path, calls: int = 1000, *, at_once: int = 100, crashes: int = 4, seed: int = 0
) -> BudgetRun:
    """Make the calls and compare what was spent with the limits."""
    random = Random(seed)
    models = {name: RandomModel(name, random) for name in PRICES}
    outcomes = {"answered": 0, "refused": 0, "cancelled": 0, "failed": 0}
    leaked = 0.0
    with Store.open(place) as store, Memory.open(store, HashingEmbedder()) as memory:
        add_keys(store)
        for part in range(crashes + 1):
            runtime = make_runtime(memory, models)
            share = calls * (part + 1) // (crashes + 1) - calls * part // (crashes + 1)
            await load(runtime, share, at_once, random, outcomes, crash=part < crashes)
            await runtime.close()
            assert runtime.budgets is not None
            leaked += sum(budget.reserved for budget in runtime.budgets.all()) + store.reservations.held()
        passed = over(store)
        recorded = sum(row.cost for row in store.ledger())
    billed = sum(model.billed for model in models.values())
    return BudgetRun(
        sum(outcomes.values()), **outcomes, over=passed, leaked=leaked, unrecorded=billed - recorded
    )


def add_keys(store: Store) -> None:
    """Add the keys of two tenants."""
    for number in range(4):
        key = KeyRow(f"k{number}", f"t{number % 2}", "agent", "", b"", b"", NOW, None, KEY_LIMIT)
        store.accounts.add_key(key)


def make_runtime(memory: Memory, models: dict[str, RandomModel]) -> ChatRuntime:
    """Return a runtime whose calls key, tenant, episode and day pay."""
    small, large = (PricedModel(models[name], PRICES[name], Budget()) for name in ("small", "large"))
    return ChatRuntime(
        student=small, teacher=large, memory=memory, settings=ChatSettings(k=0, budgets=LIMITS)
    )


async def load(
    runtime: ChatRuntime, calls: int, at_once: int, random: Random, outcomes: dict[str, int], *, crash: bool
) -> None:
    """Make calls, some of which are cancelled; in a crash all that are under way end at once."""
    left = calls
    while left:
        tasks = [asyncio.create_task(_call(runtime, random)) for _ in range(min(at_once, left))]
        left -= len(tasks)
        cancelling = []
        for task in tasks:
            if random.random() < 0.3:
                cancelling.append(asyncio.create_task(_cancel(task, random.randrange(60))))
        if crash and not left:
            await asyncio.wait(tasks, timeout=0.02)
            for task in tasks:
                task.cancel()
        for result in await asyncio.gather(*tasks, return_exceptions=True):
            outcomes[_name(result)] += 1
        await asyncio.gather(*cancelling)


async def _cancel(task: asyncio.Task[None], turns: int) -> None:
    """Cancel a call after some turns of the event loop."""
    for _ in range(turns):
        await asyncio.sleep(0)
    task.cancel()


def _name(result: object) -> str:
    match result:
        case None:
            return "answered"
        case BudgetError():
            return "refused"
        case asyncio.CancelledError():
            return "cancelled"
        case BackendReplyError():
            return "failed"
    assert isinstance(result, BaseException)
    raise result


async def _call(runtime: ChatRuntime, random: Random) -> None:
    key = random.randrange(4)
    call = ChatCall(
        messages=(Message("user", f"question {random.random()} " * random.randrange(1, 60)),),
        max_tokens=random.randrange(10, 60), tenant=f"t{key % 2}", account=f"k{key}",
        episode_id=f"e{random.randrange(40)}",
    )  # fmt: skip
    if random.random() < 0.5:
        await runtime.answer(call)
        return
    stop = random.randrange(1, 20)
    async with aclosing(runtime.stream(call)) as items:
        async for _ in items:
            stop -= 1
            if not stop:
                return


def over(store: Store) -> float:
    """Return by how much the worst budget was passed."""
    spent: Counter[tuple[str, ...]] = Counter()
    for row in store.ledger():
        for payer in (
            ("key", row.account),
            ("tenant", row.tenant),
            ("episode", row.tenant, row.episode_id or ""),
        ):
            spent[payer] += row.cost
    limits = {
        "key": min(KEY_LIMIT, LIMITS.key_day or KEY_LIMIT),
        "tenant": min(LIMITS.tenant or 0.0, LIMITS.tenant_day or 0.0),
        "episode": LIMITS.episode or 0.0,
    }
    worst = max(dollars - limits[payer[0]] for payer, dollars in spent.items())
    return worst if worst > 1e-9 else 0.0


def figures(folder: Path) -> dict[str, float | int]:
    """Return the figures of `benchmarks/trust.py`."""
    done = asyncio.run(run(folder / "budgets.db", 1000))
    return {
        "budget_calls": done.calls,
        "budget_cancelled": done.cancelled,
        "over_budget_cents": done.over * 100,
        "leaked_reservation_cents": done.leaked * 100,
    }
