"""A strategy and what is known of it: plain values, without storage, search or rendering.

A strategy says how to act in one kind of situation (arXiv 2408.07238): its scenario tells when it applies, its guidance
what to do, what to avoid, and why.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, NamedTuple

StrategyStatus = Literal["proposed", "held", "approved", "rejected", "retired"]
"""`proposed` waits for a reviewer; `held` too, since its text looks harmful; only what is `approved` is shown;
`rejected` never was, `retired` was once, or was merged into another."""

ChangeKind = Literal["propose", "hold", "approve", "reject", "retire", "edit", "merge"]

Verdict = Literal["helpful", "harmful"]


@dataclass(frozen=True, slots=True)
class StrategyOrigin:
    """Where a version of a strategy comes from."""

    model: str = ""
    """Who wrote it; empty: a person."""
    run: str = ""
    episodes: tuple[str, ...] = ()
    """That it was learned from."""
    decisions: tuple[str, ...] = ()
    created_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class StrategyText:
    """What a version says."""

    scenario: str
    guidance: str
    category: str = ""


@dataclass(frozen=True, slots=True)
class StrategyDraft:
    """A strategy as it is proposed."""

    scenario: str
    guidance: str
    environment: str
    category: str = ""
    tenant: str = "default"
    origin: StrategyOrigin = field(default_factory=StrategyOrigin)
    id: str = ""
    """Empty: made of the contents, so that the same draft twice is one strategy."""

    @property
    def text(self) -> StrategyText:
        """What it says."""
        return StrategyText(self.scenario, self.guidance, self.category)

    @property
    def identity(self) -> str:
        """The id it is stored under."""
        return self.id or content_id(self.environment, self.text)


@dataclass(frozen=True, slots=True)
class Strategy:
    """A strategy as it stands: its newest version."""

    id: str
    tenant: str
    environment: str
    scenario: str
    guidance: str
    category: str
    origin: StrategyOrigin
    status: StrategyStatus
    version: int
    """Of its text, from 1."""
    revision: int
    """Number of its changes so far: who changes it by what they saw is refused when it has changed since."""
    reason: str
    """Why it stands where it stands."""
    created_at: datetime
    merged_into: str | None = None

    @property
    def text(self) -> StrategyText:
        """What it says."""
        return StrategyText(self.scenario, self.guidance, self.category)


@dataclass(frozen=True, slots=True)
class StrategyVersion:
    """What one version said. Never changes."""

    version: int
    text: StrategyText
    origin: StrategyOrigin


@dataclass(frozen=True, slots=True)
class StrategyChange:
    """One entry of a strategy's history."""

    strategy_id: str
    number: int
    """The strategy's revision after it."""
    action: ChangeKind
    status: StrategyStatus
    """After it."""
    version: int
    """After it."""
    by: str
    why: str
    at: datetime


@dataclass(frozen=True, slots=True)
class PairedTest:
    """A test of one version: the same samples with it and without it."""

    id: str
    version: int
    difference: float
    """Mean of with minus without."""
    low: float
    high: float
    pairs: int
    confidence: float = 0.95
    """Of the interval from `low` to `high`."""
    measure: str = "success"
    model: str = ""
    """The student."""
    run: str = ""
    at: datetime | None = None

    @property
    def passed(self) -> bool:
        """Whether it helped: the whole interval lies above 0."""
        return self.pairs > 0 and self.low > 0


@dataclass(frozen=True, slots=True)
class StrategyUse:
    """One episode in which a strategy applied."""

    strategy_id: str
    version: int
    episode_id: str
    shown: bool
    """False: it applied, and was not shown; the episode counts as one without it."""
    at: datetime
    success: bool | None = None
    score: float | None = None
    verdict: Verdict | None = None
    """Whether it helped there, by who compared."""
    similarity: float | None = None
    tenant: str = "default"


class Outcomes(NamedTuple):
    """How episodes ended, of those of which it is known."""

    episodes: int = 0
    successes: int = 0
    score: float | None = None
    """Mean; None: no episode has one."""


class MeasuredUse(NamedTuple):
    """What became of showing a strategy, over all its versions and those merged into it."""

    shown: int = 0
    shown_outcomes: Outcomes = Outcomes()
    other_outcomes: Outcomes = Outcomes()
    """Of episodes in which it applied and was not shown."""
    helpful: int = 0
    harmful: int = 0


class Match(NamedTuple):
    """A strategy that applies."""

    strategy: Strategy
    similarity: float | None
    """Cosine of its scenario and the situation; None: not compared."""


class Merge(NamedTuple):
    """Two strategies that became one."""

    kept: str
    gone: str
    similarity: float


def content_id(environment: str, text: StrategyText) -> str:
    """Return the id of a strategy that was given none: by what it says, and where."""
    body = json.dumps([environment, text.scenario, text.guidance, text.category])
    return f"s{hashlib.sha256(body.encode()).hexdigest()[:15]}"
