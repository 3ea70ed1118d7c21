"""Mixed traffic for `benchmarks/trust_soak.py`: what agents, their users and careless clients send, at a steady rate.

Clients hang up, repeat themselves, ask for what is another tenant's, and send what is no request. What they were told is
counted, and the receipts of whole answers are kept: they must be in the store at the end.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter, deque
from collections.abc import Coroutine
from dataclasses import dataclass, field
from random import Random
from typing import Any, NamedTuple

import aiohttp
from agents_load import Ask, Got, ask
from served import Key

_PATHS = ("/v1/chat/completions", "/v1/chat/completions", "/v1/responses", "/v1/messages")
_AT_ONCE = 12
"""Requests under way; more are not sent, so that a slow machine is not flooded."""
_TOPICS = (
    "the parcel",
    "an invoice",
    "the meeting room",
    "a refund",
    "the printer",
    "a password",
    "the menu",
)
_TEXTS = 5_000
"""Questions that differ: clients repeat themselves, and what was seen once is kept for a while."""


class Client(NamedTuple):
    """A tenant's software."""

    tenant: str
    keys: tuple[Key, ...]
    """The first has no budget."""


class Known(NamedTuple):
    """An answer that was given."""

    receipt: str
    tenant: str
    key: Key


@dataclass
class Load:
    """Sends requests, and keeps what came of them."""

    clients: tuple[Client, ...]
    random: Random
    told: Counter[str] = field(default_factory=Counter)
    """What came of the requests."""
    receipts: dict[str, str] = field(default_factory=dict)
    """Tenants of the answers that arrived whole, by receipt."""
    wrong: list[str] = field(default_factory=list)
    """What must not happen: rows of another tenant, receipts that are not found, replies in no known form."""
    _recent: deque[Known] = field(default_factory=lambda: deque(maxlen=500))
    _under_way: set[asyncio.Task[None]] = field(default_factory=set)
    _sent: int = 0

    def send(self, session: aiohttp.ClientSession, url: str, client: Client) -> None:
        """Start one request of a client, unless too many are under way."""
        if len(self._under_way) >= _AT_ONCE:
            self.told["not sent: too many under way"] += 1
            return
        self._sent += 1
        chance = self.random.random()
        if chance < 0.78:
            work = self._call(session, url, client)
        elif chance < 0.86:
            work = self._judge(session, url, client)
        elif chance < 0.96:
            work = self._look_up(session, url, client)
        else:
            work = self._nonsense(session, url, client)
        task = asyncio.create_task(self._sent_to_an_end(work))
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    async def _sent_to_an_end(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except aiohttp.ClientError:
            self.told["disconnected"] += 1
        except TimeoutError:
            self.told["no answer in time"] += 1

    async def settle(self) -> None:
        """Wait for all that is under way."""
        for result in await asyncio.gather(*self._under_way, return_exceptions=True):
            if isinstance(result, BaseException):
                self.wrong.append(f"the load failed: {result!r}")

    async def _call(self, session: aiohttp.ClientSession, url: str, client: Client) -> None:
        """Ask a question; one in ten clients hangs up before the end."""
        one = self._question(client)
        work = asyncio.create_task(ask(session, url, one))
        if self.random.random() < 0.1:
            await asyncio.wait([work], timeout=self.random.random() * 0.1)
            if not work.done():
                work.cancel()
                await asyncio.wait([work])
                self.told["hung up"] += 1
                return
        self._note(await work, one, client)

    def _note(self, got: Got, one: Ask, client: Client) -> None:
        self.told[got.outcome if got.outcome != "error" else f"error {got.code}"] += 1
        if got.outcome == "answer" and one.key is not None:
            self.receipts[got.receipt] = client.tenant
            self._recent.append(Known(got.receipt, client.tenant, one.key))
        elif got.outcome == "untyped":
            self.wrong.append(f"untyped reply: {got.status} {got.body[:200]!r}")

    def _question(self, client: Client) -> Ask:
        random, path = self.random, self.random.choice(_PATHS)
        number = self._sent % _TEXTS
        hard, topic = "hard" if number % 5 == 0 else "easy", _TOPICS[number % 7]
        text = f"{hard} question {number} about {topic}; write to a{number}@example.com"
        body: dict[str, Any] = {"model": "icd/cascade", "stream": random.random() < 0.5}
        if path == "/v1/responses":
            body["input"] = text
        else:
            body["messages"] = [{"role": "user", "content": text}]
        if path == "/v1/messages":
            body["max_tokens"] = 60
        elif random.random() < 0.3:
            body["user"] = f"visitor-{self._sent // 2000}"
        limited = random.random() < 0.15
        return Ask(path, body, random.choice(client.keys[1:]) if limited else client.keys[0])

    async def _judge(self, session: aiohttp.ClientSession, url: str, client: Client) -> None:
        """Say of a recent answer how it turned out: mostly without success, so that the memory stays small."""
        known = next((one for one in self._recent if one.tenant == client.tenant), None)
        if known is None:
            return
        self._recent.remove(known)
        body = {"decision": known.receipt, "success": self.random.random() < 0.1, "comment": "as asked"}
        async with session.post(f"{url}/v1/feedback", json=body, headers=known.key.headers) as reply:
            told = await reply.json()
            self.told[f"feedback {told.get('status', reply.status)}"] += 1

    async def _look_up(self, session: aiohttp.ClientSession, url: str, client: Client) -> None:
        """Read a receipt, with its tenant's key or with another's, who must not find it."""
        if not self._recent:
            return
        known = self.random.choice(self._recent)
        async with session.get(
            f"{url}/v1/decisions/{known.receipt}", headers=client.keys[0].headers
        ) as reply:
            own, status = known.tenant == client.tenant, reply.status
            self.told[f"look-up of {'its own' if own else 'another tenant'}: {status}"] += 1
            if status != (200 if own else 404):
                self.wrong.append(f"receipt {known.receipt} of {known.tenant} for {client.tenant}: {status}")

    async def _nonsense(self, session: aiohttp.ClientSession, url: str, client: Client) -> None:
        """Send what is no request."""
        bodies = (
            b"",
            b"{",
            b"[]",
            b"\xff\xfe",
            json.dumps({"model": 7}).encode(),
            b'{"messages":' + b"[" * 5000,
        )
        async with session.post(
            url + self.random.choice((*_PATHS, "/v1/feedback", "/v1/nothing")),
            data=self.random.choice(bodies),
            headers={**client.keys[0].headers, "Content-Type": "application/json"},
        ) as reply:
            self.told[f"nonsense: {reply.status}"] += 1
            if not 400 <= reply.status < 500:
                self.wrong.append(f"nonsense was answered with {reply.status}")
