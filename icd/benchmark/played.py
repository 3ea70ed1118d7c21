"""Finished episodes as records: who played which task how, and what it cost."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from icd_memory.rows import EpisodeRow, JsonObject, LedgerRow

__all__ = ["Result", "Tokens", "by_task", "results_by_method", "uncached_cost"]


@dataclass(frozen=True, slots=True)
class Tokens:
    """Tokens of one episode, or their mean over episodes."""

    fresh: float = 0.0
    """Input that was not read from a cache."""
    cached: float = 0.0
    output: float = 0.0


@dataclass(frozen=True, slots=True)
class Result:
    """A finished episode."""

    method: str
    task_id: str
    seed: int
    category: str
    won: bool
    steps: int
    teacher_steps: int
    cost: float
    tokens: Tokens
    estimated: bool
    scenario: str = ""
    """Of a task of a code world; empty elsewhere."""
    uncached_cost: float = 0.0
    """Dollars if every cached token had been billed as a fresh one."""
    score: float = 0.0
    """The environment's, which may say more than whether the task was solved."""


def results_by_method(
    rows: Sequence[EpisodeRow], ledger: Sequence[LedgerRow], conditions: JsonObject
) -> dict[str, list[Result]]:
    """Return the finished episodes by method, in the order of their tasks."""
    bills: dict[str, list[LedgerRow]] = defaultdict(list)
    for entry in ledger:
        if entry.episode_id is not None and not entry.counterfactual:
            bills[entry.episode_id].append(entry)
    found: dict[str, list[Result]] = defaultdict(list)
    for row in rows:
        if row.status == "done" and row.outcome is not None:
            found[row.method].append(_result(row, row.outcome, bills[row.id], conditions))
    return {name: sorted(group, key=lambda r: (r.task_id, r.seed)) for name, group in found.items()}


def _result(
    row: EpisodeRow, outcome: JsonObject, bill: Sequence[LedgerRow], conditions: JsonObject
) -> Result:
    return Result(
        method=row.method,
        task_id=row.task_id,
        seed=row.seed,
        category=outcome["category"],
        won=outcome["won"],
        steps=outcome["steps"],
        teacher_steps=outcome["steps_by"].get("teacher", 0),
        cost=sum(entry.cost for entry in bill),
        tokens=Tokens(
            sum(entry.input_tokens for entry in bill),
            sum(entry.cached_tokens for entry in bill),
            sum(entry.output_tokens for entry in bill),
        ),
        estimated=any(entry.estimated for entry in bill),
        scenario=outcome["instance"] if outcome.get("code") else "",
        uncached_cost=sum(uncached_cost(entry, conditions) for entry in bill),
        score=outcome["score"],
    )


def uncached_cost(entry: LedgerRow, conditions: JsonObject) -> float:
    """Return what a call would have cost without its provider's cache: all input at the fresh price.

    The price is the one that the run's conditions state for the model asked; of a model that they do not name, the cost
    as it was.
    """
    price = _price(entry, conditions)
    discount = float(price.get("input", 0.0)) - float(price.get("cached_input", 0.0))
    return entry.cost + entry.cached_tokens * discount / 1_000_000


def _price(entry: LedgerRow, conditions: JsonObject) -> Mapping[str, Any]:
    """Return the price of the seat that was asked: by its role, a planner's or another's by the model's name."""
    if entry.price:
        return entry.price
    own = conditions.get(entry.role)
    others = [conditions.get(name) for name in ("student", "teacher", "verifier")]
    for seat in (own, *others):
        if seat and seat["model"] == entry.model:
            price: Mapping[str, Any] = seat["price"]
            return price
    return {}


def by_task(results: Sequence[Result]) -> list[list[Result]]:
    """Return episodes in groups of one task each."""
    groups: dict[str, list[Result]] = defaultdict(list)
    for result in results:
        groups[result.task_id].append(result)
    return list(groups.values())
