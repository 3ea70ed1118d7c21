"""What of a store may be learned from: verified episodes, with their receipts, and why the others are left out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache

from icd.chat.episodes import steps_taken
from icd.chat.situation import CHAT
from icd.decision import DecisionContext
from icd.errors import ConfigurationError
from icd.exchange import restriction_of
from icd.receipts import LIVE
from icd.runtime import PLAN_STEP
from icd_envs.table import SUITES, suite
from icd_memory.rows import DecisionRow
from icd_memory.store import Store
from icd_memory.trajectory import Step, Trajectory

__all__ = ["Selection", "Trace", "contexts_of", "traces"]

_CODE_WORLDS = frozenset({"workspace", "appworld"})
"""Where actions are blocks of code; receipts say so themselves."""


@dataclass(frozen=True)
class Selection:
    """Which episodes are wanted."""

    tenant: str = "default"
    environments: frozenset[str] = frozenset()
    """Empty: all."""
    include_unpublishable: bool = False
    """Also those from which nothing may be published."""


@dataclass(frozen=True)
class Trace:
    """A verified episode."""

    trajectory: Trajectory
    episode: str
    won: bool
    code: bool
    receipts: tuple[DecisionRow, ...]
    """Of its steps, in order; empty where the store has none."""
    beside: tuple[DecisionRow, ...] = ()
    """Of what a student would have done beside the teacher (shadow mode)."""
    decisions: tuple[str, ...] = field(default=())
    """By step of the trajectory, the receipt's id; empty where there is none."""

    @property
    def chat(self) -> bool:
        """Its steps are calls of somebody's agent."""
        return self.trajectory.environment == CHAT

    @property
    def group(self) -> str:
        """What the parts of a data set must not share."""
        trajectory = self.trajectory
        return f"{trajectory.environment}:{trajectory.instance or trajectory.task_id}"


def traces(store: Store, selection: Selection, left_out: Counter[str]) -> Iterator[Trace]:
    """Yield the verified episodes in the order they came; `left_out` counts the others by reason.

    Episodes of a test split never come out, whatever is asked for. A student's runs wait in quarantine so that they are
    not shown; they may be learned from, since the environment said how they ended.
    """
    runs = {row.id for row in store.runs()}
    status = {
        stored.id: kind
        for kind in ("demonstration", "quarantine", "rejected", "disabled")
        for stored in store.listing(tenant=selection.tenant, status=kind)
    }
    seen: set[str] = set()
    for trajectory in store.trajectories(tenant=selection.tenant):
        if selection.environments and trajectory.environment not in selection.environments:
            continue
        why = _why_not(trajectory, status[trajectory.id], runs, seen, selection)
        if why:
            left_out[why] += 1
            continue
        trace = _trace(store, trajectory)
        if trace is None:
            left_out["with erased receipts"] += 1
            continue
        seen.add(trajectory.content_hash())
        yield trace


@cache
def kept_out(environment: str) -> tuple[str, ...]:
    """Return the splits of an environment that nothing is ever learned from."""
    return tuple(suite(environment).test_splits) if environment in SUITES else ()


def _why_not(
    trajectory: Trajectory, status: str, runs: Collection[str], seen: Collection[str], selection: Selection
) -> str:
    """Return why an episode is left out; empty: it is not."""
    outcome = trajectory.outcome
    if trajectory.split in kept_out(trajectory.environment):
        return "of a test split"
    if status == "disabled":
        return "taken back"
    if not trajectory.steps:
        return "without a step"
    if outcome is None or outcome.verified_by is None:
        return "outcome not verified"
    if status == "quarantine" and trajectory.provenance.source not in runs:
        return "source not trusted yet"
    if restriction_of(trajectory) and not selection.include_unpublishable:
        return "not to be published"
    if trajectory.content_hash() in seen:
        return "the same as another one"
    return ""


def _trace(store: Store, trajectory: Trajectory) -> Trace | None:
    """Return an episode with its receipts; None: somebody wanted some of their content forgotten."""
    outcome = trajectory.outcome
    if outcome is None:
        raise ConfigurationError(f"{trajectory.id} has no outcome")
    episode = trajectory.task_id if trajectory.split == LIVE else trajectory.id
    rows = store.of(trajectory.tenant).decisions(episode)
    if any("erased" in row.body for row in rows):
        return None
    beside = tuple(row for row in rows if "shadow_of" in row.body)
    if trajectory.environment == CHAT:
        receipts = tuple(steps_taken(rows))
    else:
        receipts = tuple(row for row in rows if row.step != PLAN_STEP and "shadow_of" not in row.body)
    code = any(row.body.get("code") for row in receipts) or trajectory.environment in _CODE_WORLDS
    matched = _matched(trajectory.steps, receipts)
    if trajectory.environment == CHAT:  # It may have gone on after somebody said how it ended.
        receipts = tuple(row for row in receipts if row.id in matched)
    return Trace(trajectory, episode, outcome.success, code, receipts, beside, matched)


def _matched(steps: Sequence[Step], receipts: Sequence[DecisionRow]) -> tuple[str, ...]:
    """Return each step's receipt: both are in order, but steps that did nothing may be gone from a trajectory."""
    found, start = [], 0
    for step in steps:
        place = next(
            (
                number
                for number in range(start, len(receipts))
                if (receipts[number].body["action"], receipts[number].body["reasoning"])
                == (step.action, step.reasoning)
            ),
            None,
        )
        found.append("" if place is None else receipts[place].id)
        start = start if place is None else place + 1
    return tuple(found)


def contexts_of(
    trajectory: Trajectory, steps: Sequence[Step], episode: str, *, code: bool
) -> list[DecisionContext]:
    """Return what the runtime knew at each of an episode's steps, but for the possible actions, which nobody kept."""
    return [
        DecisionContext(
            goal=trajectory.goal,
            category=trajectory.category,
            observation=step.observation,
            plan=trajectory.plan,
            view=step.view,
            history=tuple(steps[:number]),
            code=code,
            environment=trajectory.environment,
            instance=trajectory.instance,
            tenant=trajectory.tenant,
            episode_id=episode,
            step=number,
        )
        for number, step in enumerate(steps)
    ]
