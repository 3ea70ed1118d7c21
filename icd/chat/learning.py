"""From what people say about an episode to a demonstration: its receipts become a trajectory, and admission judges it."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import datetime

from icd.backends.base import JsonObject
from icd.chat.action import called_tools
from icd.chat.call import Feedback, FeedbackResult
from icd.chat.episodes import steps_taken
from icd.chat.situation import CHAT
from icd.errors import UnknownEpisodeError
from icd.receipts import LIVE
from icd.strategy_use import note_episode
from icd_memory.retrieval import Memory
from icd_memory.rows import DecisionRow, FeedbackRow
from icd_memory.strategies import StrategyLibrary
from icd_memory.trajectory import Outcome, Provenance, Step, Trajectory


def take_feedback(
    memory: Memory, feedback: Feedback, now: datetime, library: StrategyLibrary
) -> FeedbackResult:
    """Record feedback. What it says about a whole episode's success decides whether that is shown to the student, and
    counts for the strategies that were shown in it.

    Raises:
        UnknownEpisodeError: the tenant has no such episode or decision.
        IcdMemoryError: the store or the embedder failed.
    """
    store = memory.store
    rows = _receipts(memory, feedback)
    episode_id = rows[0].episode_id
    new = store.add_feedback(
        FeedbackRow(
            f"{feedback.tenant}:{feedback.id}", feedback.tenant, episode_id, feedback.decision_id or None,
            feedback.success, feedback.score, feedback.comment, feedback.account, now,
        )
    )  # fmt: skip
    said = [row for row in store.of(feedback.tenant).feedback(episode_id) if _about_all(row)]
    steps = steps_taken(rows) if said and not feedback.decision_id else []
    if not steps:
        return FeedbackResult(feedback.id, episode_id, new, "recorded", "kept with the episode's receipts")
    for row in said[:-1]:
        _take_back(memory, row)
    trajectory = trajectory_of(steps, said[-1], now)
    note_episode(
        library, [row.body for row in rows], tenant=feedback.tenant, episode_id=episode_id, at=now,
        outcome=trajectory.outcome,
    )  # fmt: skip
    admission = memory.add(trajectory, stranger=_user(steps) != "", possible=_offered(memory, steps))
    return FeedbackResult(feedback.id, episode_id, new, admission.status, admission.reason)


def trajectory_of(rows: Sequence[DecisionRow], verdict: FeedbackRow, now: datetime) -> Trajectory:
    """Return the receipts of an episode's steps, in order, as a trajectory with this outcome."""
    first, success = rows[0].body, bool(verdict.success)
    score = verdict.score if verdict.score is not None else float(success)
    steps = tuple(
        Step(row.body["observation"], row.body["action"], row.body["reasoning"], "", row.body["acted_by"])
        for row in rows
    )
    return Trajectory(
        id=_id(verdict),
        environment=CHAT,
        task_id=verdict.episode_id,
        instance=first["instance"],
        split=LIVE,
        goal=first["goal"],
        category=first["category"],
        plan="",
        steps=steps,
        outcome=Outcome(success, score, "feedback"),
        provenance=Provenance(
            _source(rows, verdict.tenant), "+".join(sorted({row.body["model"] for row in rows})), now
        ),
        tenant=verdict.tenant,
    )


def _receipts(memory: Memory, feedback: Feedback) -> list[DecisionRow]:
    own = memory.store.of(feedback.tenant)
    if feedback.decision_id:
        row = own.decision(feedback.decision_id)
        found = [] if row is None else [row]
    else:
        found = own.decisions(feedback.episode_id)
    mine = [row for row in found if "erased" not in row.body]
    if not mine:
        what = (
            f"decision {feedback.decision_id!r}"
            if feedback.decision_id
            else f"episode {feedback.episode_id!r}"
        )
        raise UnknownEpisodeError(
            f"there is no {what} here: its id is in the reply's X-ICD-Receipt and X-ICD-Episode headers"
        )
    return mine


def _source(rows: Sequence[DecisionRow], tenant: str) -> str:
    """Return the source of a live episode: the tenant's own software, or the end user that it names."""
    user = _user(rows)
    return f"{LIVE}:{tenant}:user-{user}" if user else f"{LIVE}:{tenant}"


def _user(rows: Sequence[DecisionRow]) -> str:
    return next((row.body["user"] for row in rows if row.body.get("user")), "")


def _offered(memory: Memory, rows: Sequence[DecisionRow]) -> Callable[[str], bool]:
    """Return a test for actions: they call only tools that the episode's calls offered."""
    texts = memory.store.texts({row.body["tools"] for row in rows if row.body.get("tools")})
    names = {_tool_name(tool) for text in texts.values() for tool in json.loads(text)}
    return lambda action: all(name in names for name, _ in called_tools(action))


def _tool_name(tool: JsonObject) -> str:
    return str(tool.get("function", tool).get("name", ""))


def _about_all(row: FeedbackRow) -> bool:
    return row.decision_id is None and row.success is not None


def _id(verdict: FeedbackRow) -> str:
    """Return the id of the trajectory that a verdict makes of its episode."""
    return f"{LIVE}-{verdict.id}"


def _take_back(memory: Memory, verdict: FeedbackRow) -> None:
    """Stop showing what an earlier verdict made of the episode: fewer of its steps, or another outcome."""
    admission = memory.store.of(verdict.tenant).admission(_id(verdict))
    if admission is not None and admission.status == "demonstration":
        memory.set_status(admission.trajectory_id, "disabled", "replaced by later feedback")
