"""The recorded episode and its parts: plain values, without storage or search.

A `Trajectory` is what one attempt at one task left behind. Which of them may be shown to a student is decided
in `icd_memory.admission`, not here.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

Actor = Literal["student", "teacher", "copy", "random"]
Verifier = Literal["environment", "feedback"]


@dataclass(frozen=True, slots=True)
class Step:
    """One decision: what was seen, what was thought, what was done."""

    observation: str
    action: str
    reasoning: str = ""
    view: str = ""
    """The agent's knowledge when it decided (see `icd_envs.base.StepResult.view`)."""
    actor: Actor = "teacher"
    reward: float = 0.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """How the episode ended, and who says so."""

    success: bool
    score: float
    verified_by: Verifier | None = None
    """None: nobody checked, so the trajectory can never become a demonstration."""


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where a trajectory comes from."""

    source: str
    """The run, log or user that produced it; a whole source can be recalled."""
    producer: str
    """The model or expert that acted."""
    created_at: datetime
    restriction: str = ""
    """Why it must not be published, for people; empty: it may be. It stays with the trajectory wherever it goes."""


@dataclass(frozen=True, slots=True)
class Trajectory:
    """A recorded episode."""

    id: str
    environment: str
    task_id: str
    instance: str
    split: str
    goal: str
    category: str
    plan: str
    steps: tuple[Step, ...]
    outcome: Outcome | None
    provenance: Provenance
    tenant: str = "default"
    notes: dict[str, str] = field(default_factory=dict)

    def content_hash(self) -> str:
        """Return the sha256 over what was done, not over ids, times or notes."""
        steps = [[s.observation, s.action, s.reasoning, s.view, s.actor, s.reward] for s in self.steps]
        body = [self.environment, self.task_id, self.goal, self.category, self.plan, steps]
        text = json.dumps(body, ensure_ascii=False)
        return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
