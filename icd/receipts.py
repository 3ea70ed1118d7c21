"""What a decision leaves in the store: its receipt, and a ledger row for each paid call."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from icd.decision import Charge, Decision, DecisionContext
from icd.runtime_settings import RuntimeSettings
from icd_memory.rows import JsonObject, LedgerRow

LIVE = "live"
"""The split of trajectories of people's own agents, and how their ids and sources begin."""
_WRITTEN = frozenset(
    {"action", "key", "observation", "plan", "problem", "reasoning", "text", "tried", "view"}
)
"""The entries of a receipt's body, at any depth, in which people or models wrote."""
_random = random.Random(os.urandom(32))
os.register_at_fork(after_in_child=lambda: _random.seed(os.urandom(32)))


def new_id() -> str:
    """Return a new id, in hex: the milliseconds since 1970 in 48 bits, and 80 random bits.

    Ids that grow stand together in a database's indexes: fewer pages to write. Not a secret. Asking the system for each
    would let another thread take over for a while.
    """
    return f"{time.time_ns() // 1_000_000:012x}{_random.getrandbits(80):020x}"


def receipt(context: DecisionContext, decision: Decision, settings: RuntimeSettings) -> JsonObject:
    """Return the body of a decision's receipt: the decision, what it was about, and by which rules it was taken."""
    return {
        **asdict(decision),
        "plan": context.plan,
        "code": context.code,
        "observation": context.observation,
        "view": context.view,
        "policy": str(settings.policy),
        "guards": settings.guards._asdict(),
        "agreement_kind": settings.agreement,
        "copy_above": settings.copy_above,
        "record": settings.record,
        "drift": settings.drift,
    }


def without_secrets(value: Any, hide: Callable[[str], str], name: str = "") -> Any:
    """Return a receipt's body with `hide` applied to all that people or models wrote."""
    if isinstance(value, str):
        return hide(value) if name in _WRITTEN else value
    if isinstance(value, Mapping):
        return {key: without_secrets(inner, hide, key) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [without_secrets(inner, hide, name) for inner in value]
    return value


def ledger_rows(
    charges: Sequence[Charge],
    *,
    run_id: str,
    episode_id: str,
    prefix: str,
    decision_id: str | None,
    tenant: str = "default",
    account: str = "",
) -> list[LedgerRow]:
    """Return the ledger rows of a decision's charges; their ids begin with `prefix`, so that they are stored once.

    `decision_id` is None for calls that were paid although no decision came of them.
    """
    return [
        LedgerRow(
            f"{prefix}:{number}", run_id, charge.role, charge.model,
            charge.usage.input_tokens - charge.usage.cached_tokens, charge.usage.cached_tokens,
            charge.usage.output_tokens, charge.cost, episode_id, decision_id,
            requests=charge.usage.requests, estimated=charge.usage.estimated, counterfactual=charge.counterfactual,
            tenant=tenant, account=account,
        )
        for number, charge in enumerate(charges)
    ]  # fmt: skip
