"""What an environment is: tasks, one episode at a time, observations and admissible actions.

This module knows nothing about models or memory. An environment says what an agent sees and may do; `view` is the
agent's own knowledge so far (what it carries, what it searched), gathered from observations only, so that every method
that is compared reads the same state.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol


@dataclass(frozen=True, slots=True)
class Task:
    """One thing to do in one instance of an environment."""

    id: str
    """Stable and unique within the environment, e.g. ``valid_seen/<task>/<trial>``."""
    environment: str
    split: str
    goal: str
    """The task sentence as the agent reads it."""
    category: str
    """The kind of task; retrieval prefers the same kind."""
    instance: str
    """Key of the environment instance; excerpts of the same instance are never shown (the leak guard)."""
    restriction: str = ""
    """Why what is made from this task must not be published, for people; empty: it may be."""


@dataclass(frozen=True, slots=True)
class ActionSpace:
    """The actions open to the agent. ``admissible is None`` means free text."""

    admissible: tuple[str, ...] | None = None
    code: bool = False
    """An action is a block of Python, as source text without a fence."""


@dataclass(frozen=True, slots=True)
class StepResult:
    """What came back from `Environment.reset` or `Environment.step`."""

    observation: str
    actions: ActionSpace
    reward: float = 0.0
    done: bool = False
    """The episode is over: won, or the step cap is reached."""
    won: bool = False
    """The task is solved. Success is this, never `done`."""
    view: str = ""
    """The agent's knowledge so far in a few lines, from what it has observed; empty where an environment keeps none."""


class ExpertMove(NamedTuple):
    """What an environment's own expert would do now, and why, in words."""

    reasoning: str
    action: str
    code: bool = False
    """The action is a block of Python."""


class Expert(Protocol):
    """Plays well from what it has seen; never reads the hidden state."""

    def plan(self) -> str:
        """Return the plan for the task, written before the first step."""

    def move(self) -> ExpertMove:
        """Return the move for the current step. The episode's results so far are known to the expert."""


class Environment(Protocol):
    """One world in which episodes are played one after the other. Not thread-safe: one per worker."""

    name: str

    def reset(self, task: Task) -> StepResult:
        """Start an episode of `task`."""

    def step(self, action: str) -> StepResult:
        """Do `action`. An action that is not possible costs a step and changes nothing."""

    def expert(self) -> Expert | None:
        """Return the expert of the running episode, or None where the environment has none.

        The expert sees the same results as the agent, whoever acts, so that it can take over at any step.
        """

    def close(self) -> None:
        """Free what the environment holds."""


Stepping = Literal["loop", "thread", "process"]
"""Where the steps of a world are done: beside everything else (they take microseconds); in a thread (they take long);
or in a process for each world (its engine allows no other in the same process, or no threads)."""


class Suite(Protocol):
    """The tasks of an environment, by split, and how to make a world to play them in."""

    name: str
    splits: tuple[str, ...]
    test_splits: tuple[str, ...]
    """Splits whose episodes must never enter a memory."""
    max_steps: int
    """Step cap of an episode, where nobody sets another."""
    stepping: Stepping
    """How its worlds are to be played."""

    def tasks(self, split: str, limit: int | None = None, seed: int = 0) -> Sequence[Task]:
        """Return tasks of a split, in an order set by `seed`, varied over categories when limited."""

    def environment(self, max_steps: int = 50) -> Environment:
        """Make a world for these tasks with a step cap."""
