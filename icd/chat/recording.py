"""What a chat call leaves in the store, written together with those of other calls.

A receipt refers to messages and tools by their hash: an agent sends its whole history again at every step, and it is
stored once.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from datetime import datetime
from types import MappingProxyType
from typing import Any, NamedTuple

from icd.backends.base import JsonObject
from icd.chat.call import ChatCall
from icd.chat.episodes import Place
from icd.chat.situation import Situation
from icd.chat.tool_set import tool_set
from icd.decision import Candidate, Charge, Decision
from icd.receipts import ledger_rows
from icd_memory.group_commit import GroupCommit
from icd_memory.redaction import Placeholders
from icd_memory.rows import Batch, DecisionRow, LedgerRow
from icd_memory.store import Store, text_hash

RUN = "live"
"""The run that the ledger rows of live traffic belong to."""
NO_TEXTS: Mapping[str, str] = MappingProxyType({})
_FREE_TEXTS = ("action", "reasoning", "goal", "category", "observation", "instance", "teacher_key")
"""The entries of a receipt's body in which people or models wrote, in the order in which they get placeholders."""
_USERS = ("safety_identifier", "user")
"""By which a request names the end user of an application."""
_KNOWN = 20_000
"""Texts whose being stored is remembered."""


class Recorder:
    """Writes receipts and ledger rows; what `record` has returned from is durable."""

    def __init__(self, store: Store, commit: GroupCommit) -> None:
        self.store = store
        self._commit = commit
        self._stored: OrderedDict[str, None] = OrderedDict()

    async def record(
        self,
        row: DecisionRow,
        ledger: Sequence[LedgerRow],
        texts: Mapping[str, str] = NO_TEXTS,
        *,
        held: Sequence[str] = (),
    ) -> None:
        """Store a receipt, its bill, and the texts that it refers to, by hash; let go what was `held` for the bill.

        Raises:
            MemoryStoreError: they cannot be written.
        """
        new = {key: text for key, text in texts.items() if key not in self._stored}

        def write(batch: Batch) -> None:
            batch.texts.update(new)
            batch.decisions.append(row)
            batch.ledger.extend(ledger)
            batch.released.extend(held)

        await asyncio.wrap_future(self._commit.submit(write))
        self._remember(new)

    def bill(self, ledger: Sequence[LedgerRow], held: Sequence[str]) -> None:
        """Store what was paid although nothing came of it, and let go what was `held`; returns before it is durable."""

        def write(batch: Batch) -> None:
            batch.ledger.extend(ledger)
            batch.released.extend(held)

        if ledger or held:
            self._commit.submit(write)

    def _remember(self, hashes: Iterable[str]) -> None:
        for key in hashes:
            self._stored[key] = None
        while len(self._stored) > _KNOWN:
            self._stored.popitem(last=False)


def bill_of(charges: Sequence[Charge], call: ChatCall, place: Place, receipt_id: str) -> list[LedgerRow]:
    """Return the ledger rows of a call's charges."""
    return ledger_rows(
        charges,
        run_id=RUN,
        episode_id=place.episode_id,
        prefix=receipt_id,
        decision_id=receipt_id,
        tenant=call.tenant,
        account=call.account,
    )


class Texts(NamedTuple):
    """The texts that a receipt refers to."""

    by_hash: Mapping[str, str]
    messages: tuple[str, ...]
    """Hashes, in order."""
    tools: str | None
    """Hash; None without tools."""


def texts_of(call: ChatCall, situation: Situation) -> Texts:
    """Return the texts that a receipt refers to: each message, and the tools."""
    hashes = tuple(message.hash for message in situation.messages)
    by_hash = {message.hash: message.text for message in situation.messages}
    if not call.tools:
        return Texts(by_hash, hashes, None)
    key, text = tool_set(call.tools).written
    by_hash[key] = text
    return Texts(by_hash, hashes, key)


def end_user(call: ChatCall) -> str:
    """Return a fingerprint of the person behind a call, as the client names them; empty: nobody is named."""
    named = next((value for name in _USERS if (value := call.options.get(name))), "")
    return text_hash(f"{call.tenant} {named}")[:16] if named else ""


def receipt(
    decision: Decision,
    call: ChatCall,
    situation: Situation,
    place: Place,
    texts: Texts,
    thread: str,
    now: datetime,
    **facts: Any,
) -> DecisionRow:
    """Return the receipt of a call; `facts` are further entries of its body."""
    body = {
        "receipt_id": decision.receipt_id,
        "action": decision.action,
        "reasoning": decision.reasoning,
        "acted_by": decision.acted_by,
        "reason": decision.reason,
        "agreement": decision.agreement,
        "support": decision.support,
        "samples": [_sample(candidate) for candidate in decision.samples],
        "excerpts": [[use.trajectory_id, use.step, use.similarity] for use in decision.excerpts],
        "strategies": [
            {"id": use.id, "version": use.version, "similarity": use.similarity, "shown": use.shown}
            for use in decision.strategies
        ],
        "charges": [charge_facts(charge) for charge in decision.charges],
        "cost": decision.cost,
        "trouble": [asdict(trouble) for trouble in decision.trouble],
        "seconds": decision.seconds,
        "cut": list(decision.cut),
        "goal": situation.goal,
        "category": situation.category,
        "observation": situation.observation,
        "instance": call.instance or place.episode_id,
        "after": situation.after,
        "messages": texts.messages,
        "tools": texts.tools,
        "account": call.account,
        "user": end_user(call),
        **facts,
    }
    return DecisionRow(decision.receipt_id, place.episode_id, place.step, body, now, call.tenant, thread)


def without_secrets(row: DecisionRow, texts: Texts, names: Placeholders) -> tuple[DecisionRow, Texts]:
    """Return a receipt and its texts with placeholders for secrets and personal data.

    An agent sends its whole history with every call, so placeholders are given out in the same order each time.
    """
    hide = names.redact
    changed = {key: text for key, old in texts.by_hash.items() if (text := hide(old)) is not old}
    hidden = _replaced(texts, changed) if changed else texts
    free = {name: hide(value) for name in _FREE_TEXTS if isinstance(value := row.body.get(name), str)}
    samples = [
        {name: hide(value) if isinstance(value, str) else value for name, value in sample.items()}
        for sample in row.body["samples"]
    ]
    body = {**row.body, **free, "samples": samples, "messages": hidden.messages, "tools": hidden.tools}
    return replace(row, body=body), hidden


def _replaced(texts: Texts, changed: Mapping[str, str]) -> Texts:
    """Return texts with others in the places of some, by hash."""
    hashes = {key: text_hash(changed[key]) if key in changed else key for key in texts.by_hash}
    return Texts(
        {hashes[key]: changed.get(key, text) for key, text in texts.by_hash.items()},
        tuple(hashes[key] for key in texts.messages),
        None if texts.tools is None else hashes[texts.tools],
    )


def charge_facts(charge: Charge) -> JsonObject:
    """Return a charge as JSON data."""
    usage = charge.usage
    return {
        "role": charge.role,
        "model": charge.model,
        "cost": charge.cost,
        "input_tokens": usage.input_tokens,
        "cached_tokens": usage.cached_tokens,
        "output_tokens": usage.output_tokens,
        "requests": usage.requests,
        "estimated": usage.estimated,
    }


def _sample(candidate: Candidate) -> JsonObject:
    return {
        "action": candidate.action,
        "reasoning": candidate.reasoning,
        "key": candidate.key,
        "problem": candidate.problem,
    }
