"""One soak: two servers, their faulty upstreams, the load on them, and the looks at what they hold."""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
import sys
import time
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import NamedTuple

import aiohttp
from agents_load import student, teacher
from faulty_upstream import sometimes, upstream
from served import STORE, Server, add_key, config, serving
from soak_load import Client, Load
from soak_upkeep import Upkeep
from soak_watch import Held, children, growth, held

from icd_memory.embedding import HashingEmbedder
from icd_memory.store import Store
from icd_memory.strategies import StrategyLibrary
from icd_memory.strategy import StrategyDraft

_FAULTS = 0.12
_RATE, _WARM_UP_RATE = 5.0, 12.0
"""Requests a second."""
_LOOK_EVERY = 5.0
_KEY_BUDGET = 0.01
"""US dollars: used up within minutes."""
_SETTINGS = "max_tokens = 60\ntimeout = 20.0\ndrain = 5.0\nepisode_budget = 0.01\nkey_day_budget = 5.0"
_SEAT = "deadline = 2.0\nretries = 2"
_STRATEGIES = "[strategies]\nk = 2\nmin_similarity = 0.2\n"
_SIGNALS = (signal.SIGKILL, signal.SIGINT, signal.SIGTERM)


class End(NamedTuple):
    """How a server was ended."""

    minute: float
    signal: str
    code: int
    orphans: int
    """Children of it that were left."""

    @property
    def clean(self) -> bool:
        """Whether it ended as that signal asks."""
        wanted = {"SIGKILL": -signal.SIGKILL, "SIGINT": 130, "SIGTERM": 0}[self.signal]
        return self.orphans == 0 and self.code in (wanted, 0)


@dataclass
class SoakRun:
    """What was seen."""

    minutes: float
    warm_up: float
    load: Load
    upkeep: Upkeep
    samples: list[Held] = field(default_factory=list)
    """Of the watched server."""
    quiet: list[Held] = field(default_factory=list)
    """Those when nothing was under way, after the warm-up."""
    ends: list[End] = field(default_factory=list)
    faults: dict[str, Counter[str]] = field(default_factory=dict)
    missing: int = 0
    receipts: int = 0
    over_cents: float = 0.0
    used_up: int = 0
    processes_left: int = 0
    cpu_seconds: float = 0.0
    """Of all: servers, commands, load and upstreams."""

    def problems(self) -> list[str]:
        """Return what must not be, in words."""
        grown = growth(self.quiet) if self.quiet else {}
        found = [*self.load.wrong, *self.upkeep.failed]
        found += [f"unclean end: {end}" for end in self.ends if not end.clean]
        found += [f"{name} grew by {by:g}" for name, by in grown.items() if by > _ALLOWED.get(name, 0)]
        if self.missing or self.over_cents or self.processes_left:
            found.append(
                f"{self.missing} receipts missing, {self.over_cents} cents over, {self.processes_left} left"
            )
        return found


_ALLOWED = {"descriptors": 8, "threads": 4}
"""Connections that are kept open, and a pool of threads that grows to its size."""


class Soak:
    """Runs once."""

    def __init__(self, folder: Path, minutes: float, seed: int) -> None:
        """Prepare a store in a folder: keys of two tenants, and strategies."""
        self._folder = folder
        self._random = Random(seed)
        self._seed = seed
        first, second = (_client(tenant, folder) for tenant in ("t0", "t1"))
        self._operators = {tenant: add_key("operator", tenant, folder=folder) for tenant in ("t0", "t1")}
        self.result = SoakRun(
            minutes, minutes / 2, Load((first, second), self._random), Upkeep(folder, first.tenant)
        )
        with Store.open(folder / STORE) as store:
            _teach(store, first.tenant)
        self._other: Server | None = None
        self._servers = ExitStack()
        self._paused = False
        self._began = 0.0

    async def run(self) -> SoakRun:
        """Let it all happen."""
        before = sum(os.times()[:4])
        result, folder = self.result, self._folder
        with (
            upstream(student, sometimes(_FAULTS, self._seed + 1)) as small,
            upstream(teacher, sometimes(_FAULTS, self._seed + 2)) as large,
            self._servers,
        ):
            self._text = config(small.base_url, large.base_url, _STRATEGIES, seat=_SEAT, serve=_SETTINGS)
            main = await self._start()
            self._other = await self._start()
            self._began = time.monotonic()
            connector = aiohttp.TCPConnector(limit=0, force_close=True)
            async with aiohttp.ClientSession(connector=connector) as session:
                work = (self._send(session, main), self._look(session, main), self._operate(session))
                for ended in await asyncio.gather(*work, return_exceptions=True):
                    if ended is not None:
                        result.load.wrong.append(f"the soak failed: {ended!r}")
                await self._be_quiet(session, main)
            for server in (main, self._other):
                if server is not None:
                    await self._end(server, signal.SIGTERM)
            result.faults = {"student": small.happened, "teacher": large.happened}
        await result.upkeep.run(("store", "verify"), ("receipts", "verify"))
        self._check(folder)
        result.processes_left = len(children(os.getpid()))
        result.cpu_seconds = sum(os.times()[:4]) - before
        return result

    @property
    def _minute(self) -> float:
        return (time.monotonic() - self._began) / 60

    async def _start(self) -> Server:
        return await asyncio.to_thread(
            lambda: self._servers.enter_context(serving(self._text, folder=self._folder))
        )

    async def _end(self, server: Server, sign: signal.Signals) -> None:
        left = children(server.process.pid)
        server.signal(sign)
        code = await asyncio.to_thread(server.process.wait, 60)
        orphans = sum(Path(f"/proc/{pid}").exists() for pid in left)
        self.result.ends.append(End(round(self._minute, 2), sign.name, code, orphans))
        if any("Traceback" in line for line in server.said):
            self.result.load.wrong.append("".join(server.said)[-1000:])

    async def _send(self, session: aiohttp.ClientSession, main: Server) -> None:
        load, result = self.result.load, self.result
        while self._minute < result.minutes:
            rate = _WARM_UP_RATE if self._minute < result.warm_up else _RATE
            await asyncio.sleep(self._random.expovariate(rate))
            if self._paused:
                continue
            server = main if self._random.random() < 0.85 else self._other
            if server is not None:
                load.send(session, server.url, self._random.choice(load.clients))

    async def _look(self, session: aiohttp.ClientSession, main: Server) -> None:
        """Sample the watched server; eight times after the warm-up with nothing under way."""
        result, quiet_at = self.result, self.result.warm_up
        while self._minute < result.minutes:
            result.samples.append(await self._held(session, main))
            print(f"{self._minute:6.1f} min: {result.samples[-1]}", file=sys.stderr)
            if self._minute >= quiet_at:
                quiet_at += (result.minutes - result.warm_up) / 8
                await self._be_quiet(session, main)
            await asyncio.sleep(min(_LOOK_EVERY, max(0.0, result.minutes - self._minute) * 60))

    async def _held(self, session: aiohttp.ClientSession, server: Server) -> Held:
        return await held(server.process.pid, self._minute, session, server.url, self._operators["t0"])

    async def _be_quiet(self, session: aiohttp.ClientSession, main: Server) -> None:
        self._paused = True
        await self.result.load.settle()
        quiet = self.result.quiet
        for _ in range(300):  # Calls of clients who hung up go on to their end.
            now = await self._held(session, main)
            still = now.tasks <= quiet[0].tasks if quiet else True
            if now.in_flight <= 1 and not now.reserved_dollars and still:
                break
            await asyncio.sleep(0.2)
        quiet.append(now)
        self._paused = False

    async def _operate(self, session: aiohttp.ClientSession) -> None:
        """Run commands; every eighth time end the other server and start it again, and change how it answers."""
        result = self.result
        every = min(60.0, result.minutes * 60 / 30)
        signs = itertools.cycle(_SIGNALS)
        for number in itertools.count(1):
            await asyncio.sleep(every)
            if self._minute >= result.minutes - every / 60:
                return
            if number % 8 != 2:
                await result.upkeep.next()
                continue
            assert self._other is not None
            ended, self._other = self._other, None
            await self._end(ended, next(signs))
            self._other = await self._start()
            await self._change_mode(session, self._other, "shadow" if number % 16 == 2 else "cascade")

    async def _change_mode(self, session: aiohttp.ClientSession, server: Server, mode: str) -> None:
        headers = self._operators["t1"].headers
        async with session.put(f"{server.url}/v1/tenant", json={"mode": mode}, headers=headers) as reply:
            self.result.upkeep.done[f"mode {mode}: {reply.status}"] += 1

    def _check(self, folder: Path) -> None:
        """Compare what clients were told with what the store holds."""
        result = self.result
        with Store.open(folder / STORE) as store:
            for id, tenant in result.load.receipts.items():
                row = store.decision(id)
                result.missing += row is None
                if row is not None and row.tenant != tenant:
                    result.load.wrong.append(f"receipt {id} of {tenant} is {row.tenant}'s")
            result.receipts = store.stats().decisions
            for key in store.accounts.keys(tenant=None):
                if key.budget is not None:
                    spent = store.accounts.spent(key.id)
                    result.over_cents = max(result.over_cents, round((spent - key.budget) * 100, 9))
                    result.used_up += spent > 0.9 * key.budget


def _client(tenant: str, folder: Path) -> Client:
    budgets = (None, _KEY_BUDGET, 5 * _KEY_BUDGET, 20 * _KEY_BUDGET)
    return Client(tenant, tuple(add_key("agent", tenant, budget=one, folder=folder) for one in budgets))


def _teach(store: Store, tenant: str) -> None:
    library = StrategyLibrary(store, HashingEmbedder())
    for topic in ("a parcel", "an invoice", "a refund"):
        draft = StrategyDraft(
            f"A question about {topic}", f"Say what is known of {topic}.", "chat", tenant=tenant
        )
        library.approve(library.propose(draft, by="soak").id, by="soak", why="to be shown", tenant=tenant)
