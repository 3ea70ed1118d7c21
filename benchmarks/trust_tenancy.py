"""Random tenants and operations over one store: how many rows one tenant gets of another."""

from __future__ import annotations

import random
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime

from icd_memory.embedding import HashingEmbedder
from icd_memory.errors import StrategyNotFoundError
from icd_memory.recall import approve_source, recall_source
from icd_memory.retrieval import Memory, Query
from icd_memory.rows import Batch, DecisionRow, FeedbackRow, LedgerRow
from icd_memory.store import Store
from icd_memory.strategies import StrategyLibrary
from icd_memory.strategy import StrategyDraft
from icd_memory.tenant_rows import TenantRows
from icd_memory.trajectory import Outcome, Provenance, Step, Trajectory

NOW = datetime(2026, 1, 1, tzinfo=UTC)
TENANTS = ("a", "b", "a b", "default")
ENVIRONMENTS = ("chat", "b chat")
SOURCES = ("live", "user-1")


def tenancy_figures(rounds: int, operations: int = 60) -> dict[str, float | int]:
    """Return how many rows crossed, over rounds of random operations."""
    crossed = sum(cross_tenant_rows(seed, operations) for seed in range(rounds))
    return {"cross_tenant_rows": crossed, "tenancy_operations": rounds * operations}


def cross_tenant_rows(seed: int, operations: int) -> int:
    """Return how many rows of others the tenants were given in so many random operations."""
    rng = random.Random(seed)
    with Store.open(":memory:") as store, Memory.open(store, HashingEmbedder()) as memory:
        world = _World(rng, store, memory)
        doing = (
            world.remember, world.decide, world.judge, world.trust, world.take_back, world.teach, world.forget
        )  # fmt: skip
        for number in range(operations):
            world.made = number
            rng.choice(doing)(number, rng.choice(TENANTS))
            world.look(rng.choice(TENANTS))
        for tenant in TENANTS:
            world.look(tenant)
        return world.crossed


class _World:
    """One store; every row says in its own text whose it is."""

    def __init__(self, rng: random.Random, store: Store, memory: Memory) -> None:
        self.rng, self.store, self.memory = rng, store, memory
        self.library = StrategyLibrary(store)
        self.crossed = self.made = 0

    def remember(self, number: int, tenant: str) -> None:
        goal = f"order {self.rng.randrange(3)}"
        t = Trajectory(
            f"{tenant}/t{number}", self.rng.choice(ENVIRONMENTS), "task", f"i{number}", "live", goal, "c", "",
            (Step(f"seen {number}", f"do {number}"),), Outcome(True, 1.0, "feedback"),
            Provenance(self.rng.choice(SOURCES), "m", NOW), tenant=tenant,
        )  # fmt: skip
        self.memory.add(t, stranger=self.rng.random() < 0.5)
        other = self.rng.choice(TENANTS)
        # The same contents at another tenant's are no duplicate there.
        before = {row.trajectory_id for row in self.store.with_content(t.content_hash(), tenant=other)}
        self.crossed += sum(not id.startswith(f"{other}/") for id in before)

    def decide(self, number: int, tenant: str) -> None:
        body = {"excerpts": [[f"{t}/t{self.rng.randrange(60)}", 0, 1.0] for t in TENANTS]}
        row = DecisionRow(f"{tenant}/d{number}", "e", number, body, NOW, tenant, "thread")
        bill = LedgerRow(
            f"{tenant}/l{number}", "live", "student", "m", 1, 0, 1, 0.5, "e", row.id, tenant=tenant
        )
        self.store.add_batch(Batch(decisions=[row], ledger=[bill]))

    def teach(self, number: int, tenant: str) -> None:
        id, other = f"{tenant}/s{number}", self.rng.choice(TENANTS)
        self.library.propose(StrategyDraft("When?", f"Now {id}.", "chat", tenant=tenant, id=id), by="a")
        with suppress(StrategyNotFoundError):
            self.library.approve(id, by="b", why="good", tenant=other)
            self.crossed += other != tenant

    def forget(self, number: int, tenant: str) -> None:
        before = {other: self.store.feedback(other, "e") for other in TENANTS if other != tenant}
        if self.rng.random() < 0.2:
            self.store.of(tenant).erase_feedback("e")
        self.crossed += sum(self.store.feedback(other, "e") != rows for other, rows in before.items())

    def judge(self, number: int, tenant: str) -> None:
        row = FeedbackRow(f"f{number % 5}", tenant, "e", None, True, None, tenant, "", NOW)
        self.store.add_feedback(row)
        self.store.add_feedback(replace(row, success=False))

    def trust(self, number: int, tenant: str) -> None:
        before = {other: self.store.trust.levels(other) for other in TENANTS if other != tenant}
        shown = approve_source(self.memory, self.rng.choice(SOURCES), tenant=tenant)
        self._count(shown, tenant)
        self.crossed += sum(self.store.trust.levels(other) != levels for other, levels in before.items())

    def take_back(self, number: int, tenant: str) -> None:
        if self.rng.random() < 0.2:
            found = recall_source(self.memory, self.rng.choice(SOURCES), tenant=tenant)
            self._count([*found.disabled, *found.decisions], tenant)

    def look(self, tenant: str) -> None:
        """Read everything that a tenant can ask for."""
        store = self.store
        self._count([t.id for t in store.trajectories(tenant=tenant)], tenant)
        self._count([t.id for t in store.listing(tenant=tenant)], tenant)
        self._look_at_all(store.of(tenant))
        self._count([one.id for one in self.library.list(tenant=tenant)], tenant)
        self.crossed += sum(row.comment not in (tenant, "") for row in store.feedback(tenant, "e"))
        own = sum(row.tenant == tenant for row in store.decisions("e"))
        self.crossed += abs(len(store.decisions_in_thread(tenant, "thread")) - own)
        for environment in ENVIRONMENTS:
            query = Query("order 1", environment, "c", state="seen 3", tenant=tenant)
            finder = self.memory.retriever
            shown = [*finder.for_step(query, 5), *finder.for_plan(query, 5)]
            self._count([excerpt.trajectory_id for excerpt in shown], tenant)

    def _look_at_all(self, own: TenantRows) -> None:
        """Ask for rows by their ids, one's own and others'."""
        numbers = [self.rng.randrange(self.made + 1) for _ in range(4)]
        decisions = [own.decision(f"{other}/d{number}") for other in TENANTS for number in numbers]
        self._count([row.id for row in [*own.decisions("e"), *filter(None, decisions)]], own.tenant)
        self._count([row.id for row in [*own.ledger(), *own.ledger("e")]], own.tenant)
        self.crossed += sum(row.comment not in (own.tenant, "") for row in own.feedback("e"))
        ids = [f"{other}/t{number}" for other in TENANTS for number in numbers]
        self._count(list(own.trajectories(ids)), own.tenant)
        self._count([row.trajectory_id for id in ids if (row := own.admission(id))], own.tenant)

    def _count(self, ids: list[str], tenant: str) -> None:
        self.crossed += sum(not id.startswith(f"{tenant}/") for id in ids)
