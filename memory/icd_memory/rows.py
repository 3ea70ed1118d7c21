"""The rows of the store as plain values. What stands inside a JSON body is the business of who wrote it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, NamedTuple

JsonObject = dict[str, Any]

Status = Literal["demonstration", "quarantine", "rejected", "disabled"]
"""`demonstration` may be shown; `quarantine` waits for a verdict; `rejected` is kept but never shown;
`disabled` was shown once and was taken back."""

EpisodeStatus = Literal["running", "done", "failed"]
"""`done` is final. An episode that is `running` or `failed` may be played again under the same id."""


KeyRole = Literal["agent", "operator"]
"""An `agent` may ask for answers and give feedback; an `operator` may also see and change what is not its own."""

TenantMode = Literal["observe", "shadow", "cascade"]
"""How a tenant's calls are answered: by the teacher and recorded; by the teacher with the student scored beside
it; by the policy."""


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
    tenant: str = "default"
    thread: str = ""
    """Hash of the conversation up to and including this answer; empty outside of conversations."""


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
    """No part of what the decisions cost: asked for the record only, or what the teacher would have cost here."""
    tenant: str = "default"
    account: str = ""
    """The id of the key that pays; empty: nobody in particular."""


@dataclass(frozen=True, slots=True)
class KeyRow:
    """A key to the server: its secret is kept only as a salted digest."""

    id: str
    tenant: str
    role: KeyRole
    name: str
    salt: bytes
    digest: bytes
    created_at: datetime
    requests_per_minute: int | None = None
    """None: not limited."""
    budget: float | None = None
    """US dollars that the key may spend in all; None: not limited."""
    revoked_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class TenantRow:
    """How a tenant's calls are answered."""

    id: str
    mode: TenantMode
    policy: str | None
    """In the notation of policies; None: the configured one."""
    changed_at: datetime


@dataclass(frozen=True, slots=True)
class FeedbackRow:
    """What somebody said about an episode or one decision of it. The id is unique within its tenant."""

    id: str
    tenant: str
    episode_id: str
    decision_id: str | None
    success: bool | None
    score: float | None
    comment: str
    account: str
    """The id of the key that said so."""
    created_at: datetime


ArtifactKind = Literal["dataset", "student", "promotion"]
"""A data set; a version of the student; what was decided about one."""


@dataclass(frozen=True, slots=True)
class ArtifactRow:
    """Something that was made from the store's episodes."""

    id: str
    kind: ArtifactKind
    body: JsonObject
    created_at: datetime


PayerKind = Literal["key", "tenant"]


@dataclass(frozen=True, slots=True)
class Payer:
    """Who pays for a call: a key, or a tenant, in all, for an episode, or from a moment on."""

    name: str
    """By which processes agree whose money it is."""
    kind: PayerKind
    owner: str
    """The key's id, or the tenant's."""
    limit: float
    """US dollars."""
    episode_id: str | None = None
    since: datetime | None = None


@dataclass(slots=True)
class Hold:
    """Money to be set aside for a call, and what came of it."""

    id: str
    dollars: float
    payers: tuple[Payer, ...]
    refused: Payer | None = None
    """Who has not enough; None: granted."""
    spent: list[float] = field(default_factory=list)
    """US dollars that were spent, by payer, up to the one that refused."""


@dataclass(slots=True)
class Batch:
    """Rows that are stored together, gathered from several writers."""

    texts: dict[str, str] = field(default_factory=dict)
    """By `text_hash`."""
    decisions: list[DecisionRow] = field(default_factory=list)
    ledger: list[LedgerRow] = field(default_factory=list)
    holds: list[Hold] = field(default_factory=list)
    released: list[str] = field(default_factory=list)
    """Ids of holds that are let go."""


class ThreadStep(NamedTuple):
    """Where a decision stands: its episode and step."""

    episode_id: str
    step: int


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
