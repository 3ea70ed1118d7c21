"""The values that go in and out of one decision. No logic, no I/O."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from icd.backends.base import Usage
from icd_memory.strategy import Match
from icd_memory.trajectory import Step

ActedBy = Literal["student", "teacher", "copy"]
Recording = Literal["decisions", "full"]
"""What is recorded of a step: what its decision took, or all samples and the teacher's answer, for calibration."""
StrategyCount = int | Literal["global"]
"""How many strategies are shown at most; `global`: all of them, in every situation."""
CallRole = Literal["student", "teacher", "planner", "verifier", "strategies"]
Reason = Literal[
    "agreed",
    "copied",
    "disagreed",
    "invalid",
    "stuck",
    "unsupported",
    "incapable",
    "policy",
    "budget",
    "teacher_failed",
]
"""Why somebody acts; `incapable`: the student cannot take this step at all (no tools, or its window is too small)."""


class ChosenStrategies(NamedTuple):
    """The strategies that apply, best first."""

    shown: tuple[Match, ...] = ()
    others: tuple[Match, ...] = ()
    """For which there is no room."""


@dataclass(frozen=True, slots=True)
class DecisionContext:
    """What the runtime knows when it decides one step."""

    goal: str
    category: str
    observation: str
    plan: str = ""
    view: str = ""
    """The agent's knowledge so far, if the environment keeps it."""
    history: tuple[Step, ...] = ()
    admissible: tuple[str, ...] | None = None
    """None: any text is an action."""
    code: bool = False
    """An action is a block of Python."""
    environment: str = ""
    instance: str = ""
    """Never an excerpt of this instance (leak guard)."""
    tenant: str = "default"
    episode_id: str = ""
    step: int = 0
    seed: int = 0
    strategies: ChosenStrategies | None = None
    """Those of the episode; None: the runtime chooses for this step."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """One sample of a model, read: what it thought and what it would do."""

    action: str
    """As written; empty if unparseable."""
    key: str | None
    """Canonical form for comparison; None if unparseable."""
    reasoning: str = ""
    text: str = ""
    admissible: bool = True
    problem: str = ""
    """Why it is not admissible, in words."""


@dataclass(frozen=True, slots=True)
class ExcerptUse:
    """Which excerpt was shown, for the receipt."""

    trajectory_id: str
    step: int
    similarity: float


@dataclass(frozen=True, slots=True)
class StrategyShown:
    """Which strategy applied, for the receipt."""

    id: str
    version: int
    similarity: float | None
    """None: not compared."""
    shown: bool = True
    """False: it applied, and there was no room for it."""


@dataclass(frozen=True, slots=True)
class Charge:
    """One paid call."""

    role: CallRole
    model: str
    usage: Usage
    cost: float
    """US dollars."""
    counterfactual: bool = False
    """Paid for the record only: no part of what the decision cost."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """A call that did not come through at once, or not at all."""

    role: CallRole
    model: str
    retried: tuple[str, ...] = ()
    """Codes of the errors after which it was tried again."""
    error: str = ""
    """Code of the error that it ended with; empty: it came through."""
    circuit: str = ""
    """How the endpoint's circuit stands then: closed, open or probing; empty: it has none."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What a decision was taken from besides samples and support: for replaying it under another policy."""

    tried: tuple[str, ...] = ()
    """Canonical forms of the sampled actions that lead nowhere from here."""
    coin: float = 1.0
    """Uniform in [0, 1), for `random`."""
    teacher_affordable: bool = True
    copied: Candidate | None = None
    """The nearest demonstrated action with the present names; None if it is not possible or not new here, or if it did
    not matter."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What the runtime returns for a step."""

    receipt_id: str
    action: str
    reasoning: str
    acted_by: ActedBy
    reason: Reason
    """Why this actor: the student's samples agreed, or what made the teacher take the step."""
    samples: tuple[Candidate, ...] = ()
    agreement: float | None = None
    """Share of the largest group of equal samples; None if the student was not asked."""
    support: float | None = None
    """Similarity of the nearest excerpt; None if none was found."""
    excerpts: tuple[ExcerptUse, ...] = ()
    strategies: tuple[StrategyShown, ...] = ()
    charges: tuple[Charge, ...] = ()
    trouble: tuple[Trouble, ...] = ()
    """Retries, open circuits and failures on the way; who acted in the end says `reason`."""
    seconds: float = 0.0
    cut: tuple[str, ...] = field(default=())
    """What the composer cut to fit the window."""
    shadow: Candidate | None = None
    """The teacher's answer where it was asked for the record only."""
    facts: Facts = field(default=Facts())

    @property
    def escalated(self) -> bool:
        """Whether the teacher took the step in the student's place."""
        return self.acted_by == "teacher" and self.reason != "policy"

    @property
    def cost(self) -> float:
        """US dollars over all calls of the decision, without what was asked for the record only."""
        return sum(charge.cost for charge in self.charges if not charge.counterfactual)
