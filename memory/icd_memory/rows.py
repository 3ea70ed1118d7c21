"""The rows of the store as plain values. What stands inside a JSON body is the business of who wrote it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

JsonObject = dict[str, Any]

Status = Literal["demonstration", "quarantine", "rejected", "disabled"]
"""`demonstration` may be shown; `quarantine` waits for a verdict; `rejected` is kept but never shown;
`disabled` was shown once and was taken back."""

EpisodeStatus = Literal["running", "done", "failed"]
"""`done` is final. An episode that is `running` or `failed` may be played again under the same id."""


@dataclass(frozen=True, slots=True)
class RunRow:
    """One run of many episodes, with the configuration that it resolved to."""

    id: str
    config: JsonObject
    created_at: datetime


@dataclass(frozen=True, slots=True)
class EpisodeRow:
    """One attempt at one task in a run."""

    id: str
    run_id: str
    task_id: str
    method: str
    seed: int
    status: EpisodeStatus
    created_at: datetime
    outcome: JsonObject | None = None


@dataclass(frozen=True, slots=True)
class DecisionRow:
    """The receipt of one decision. Messages in the body may be references into `Store.texts`."""

    id: str
    episode_id: str
    step: int
    body: JsonObject
    created_at: datetime


@dataclass(frozen=True, slots=True)
class LedgerRow:
    """One billed (or counterfactual) amount."""

    id: str
    run_id: str
    role: str
    """Who was asked: ``student``, ``teacher``, ``planner``, ``verifier``, ``embedding``, ..."""
    model: str
    input_tokens: int
    """Fresh input tokens, without the cached ones."""
    cached_tokens: int
    output_tokens: int
    cost: float
    """In dollars."""
    episode_id: str | None = None
    decision_id: str | None = None
    price: JsonObject = field(default_factory=dict)
    """The prices that the cost was computed from, with their source and date."""
    requests: int = 1
    estimated: bool = False
    """The token counts are estimates: the backend reported none."""
    counterfactual: bool = False
    """Not spent: what the teacher would have cost here."""


@dataclass(frozen=True, slots=True)
class AdmissionRow:
    """Where a stored trajectory stands."""

    trajectory_id: str
    status: Status
    reason: str
    content_hash: str


@dataclass(frozen=True, slots=True)
class StoreStats:
    """How much a store holds."""

    trajectories: dict[Status, int]
    runs: int
    episodes: int
    decisions: int
    ledger_rows: int
    texts: int
    vectors: dict[str, int]
    """Number of vectors by embedder id."""
    schema: str
    """The name of the last migration."""
    embedder: str | None
    """The embedder that the store's index is made with; None before the first use."""
