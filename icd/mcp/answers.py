"""What the tools answer, for one tenant each time. Knows nothing of the protocol."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Literal

from pydantic import BaseModel

from icd.chat.call import Feedback
from icd.chat.learning import take_feedback
from icd.errors import UnknownEpisodeError
from icd.serving.keys import Caller
from icd_memory.excerpts import Excerpt, Query
from icd_memory.redaction import Placeholders
from icd_memory.retrieval import Memory
from icd_memory.strategies import StrategyLibrary
from icd_memory.strategy import StrategyStatus

_FRESH_S = 5.0
"""Seconds after which what other processes stored is found."""
_WHY = {
    "policy": "the policy asks nobody else",
    "agreed": "the student's samples agree",
    "disagreed": "the student's samples do not agree",
    "invalid": "no sample of the student can be read, or the agreed one does not fit",
    "stuck": "the same answer to the same observation was given before",
    "unsupported": "nothing similar enough was demonstrated",
    "incapable": "the student has no tools, or the conversation does not fit its window",
    "budget": "the samples are in doubt, and the teacher could not be paid",
    "teacher_failed": "the samples are in doubt, and the teacher failed",
}


class ShownStep(BaseModel):
    """A step of a demonstration."""

    observation: str
    reasoning: str
    action: str
    actor: str


class Demonstration(BaseModel):
    """A demonstration, or the part of it that fits."""

    trajectory_id: str
    similarity: float
    goal: str
    category: str
    plan: str
    source: str
    focus: int
    """Which of the steps fits best."""
    steps: list[ShownStep]


class Demonstrations(BaseModel):
    """What was found, best first."""

    demonstrations: list[Demonstration]
    environments: list[str]
    """Those that the tenant has demonstrations of."""


class Explanation(BaseModel):
    """A decision: who acted and why, and its whole receipt."""

    decision: str
    episode: str
    step: int
    at: datetime
    acted_by: str
    reason: str
    why: str
    """The reason in words."""
    receipt: dict[str, Any]
    """The samples, the excerpts and strategies that were shown, and what each call cost."""


class Recorded(BaseModel):
    """What came of an outcome."""

    id: str
    episode: str
    new: bool
    status: Literal["recorded", "demonstration", "quarantine", "rejected"]
    reason: str


class ListedStrategy(BaseModel):
    """A strategy as it stands."""

    id: str
    environment: str
    status: StrategyStatus
    version: int
    category: str
    scenario: str
    guidance: str


class Strategies(BaseModel):
    """A tenant's strategies."""

    strategies: list[ListedStrategy]
    more: bool
    """There are more than were asked for."""


class Answers:
    """Answers callers over one memory. Safe for threads."""

    def __init__(
        self,
        memory: Memory,
        library: StrategyLibrary,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._memory = memory
        self._library = library
        self._now = now
        self._read_at = time.monotonic()

    def demonstrations(
        self, caller: Caller, *, goal: str, state: str, category: str, environment: str, k: int
    ) -> Demonstrations:
        """Return the demonstrations that fit a goal, or a state on the way to it."""
        if time.monotonic() - self._read_at >= _FRESH_S:
            self._memory.refresh()
            self._read_at = time.monotonic()
        query = Query(
            goal=goal, category=category, plan="", state=state, environment=environment, tenant=caller.tenant
        )
        finder = self._memory.retriever
        found = finder.for_step(query, k) if state else finder.for_plan(query, k)
        families = self._memory.store.families()
        return Demonstrations(
            demonstrations=[_shown(excerpt) for excerpt in found],
            environments=[name for tenant, name in families if tenant == caller.tenant],
        )

    def explanation(self, caller: Caller, decision: str) -> Explanation:
        """Return why a decision was taken. Raises UnknownEpisodeError: the tenant has no such one."""
        row = self._memory.store.decision(decision)
        if row is None or row.tenant != caller.tenant:
            raise UnknownEpisodeError(
                "there is no decision of this id here: it is in the reply's X-ICD-Receipt header, and in `icd receipts`"
            )
        reason = str(row.body.get("reason", ""))
        return Explanation(
            decision=row.id,
            episode=row.episode_id,
            step=row.step,
            at=row.created_at,
            acted_by=str(row.body.get("acted_by", "")),
            reason=reason,
            why=_WHY.get(reason, reason),
            receipt=row.body,
        )

    def recorded(
        self, caller: Caller, *, episode: str, success: bool | None, score: float | None, comment: str
    ) -> Recorded:
        """Record how an episode ended. Raises UnknownEpisodeError: the tenant has no such one."""
        if self._memory.redact:
            comment = Placeholders().redact(comment)
        said = (caller.account, episode, success, score, comment)
        id = f"said-{hashlib.sha256(repr(said).encode('utf-8', 'surrogatepass')).hexdigest()[:32]}"
        feedback = Feedback(id, episode, "", success, score, comment, caller.tenant, caller.account)
        found = take_feedback(self._memory, feedback, self._now(), self._library)
        return Recorded(
            id=found.id, episode=found.episode_id, new=found.new, status=found.status, reason=found.reason
        )

    def strategies(
        self, caller: Caller, *, environment: str | None, status: StrategyStatus | None, limit: int
    ) -> Strategies:
        """Return the tenant's strategies."""
        found = self._library.list(tenant=caller.tenant, environment=environment, status=status)
        return Strategies(
            strategies=[
                ListedStrategy(
                    id=one.id, environment=one.environment, status=one.status, version=one.version,
                    category=one.category, scenario=one.scenario, guidance=one.guidance,
                )
                for one in found[:limit]
            ],
            more=len(found) > limit,
        )  # fmt: skip


def _shown(excerpt: Excerpt) -> Demonstration:
    return Demonstration(
        trajectory_id=excerpt.trajectory_id, similarity=excerpt.similarity, goal=excerpt.goal,
        category=excerpt.category, plan=excerpt.plan, source=excerpt.source, focus=excerpt.focus,
        steps=[
            ShownStep(observation=s.observation, reasoning=s.reasoning, action=s.action, actor=s.actor)
            for s in excerpt.steps
        ],
    )  # fmt: skip
