"""Lessons from escalations: where the teacher had to take a step and the episode then succeeded, it is asked what is to
be learned from it (as Inter-Cascade does, arXiv 2509.22984); batched, and proposed without a test."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from icd.calls import PricedModel
from icd.errors import BudgetError
from icd.strategies.journal import Journal
from icd.strategies.prompts import ask_lessons, fitting, read_lessons
from icd.strategies.scenarios import most_common_category
from icd.strategies.situations import Situation
from icd.strategies.weak_spots import groups
from icd_memory.embedding import Embedder
from icd_memory.strategies import StrategyLibrary
from icd_memory.strategy import Strategy, StrategyDraft, StrategyOrigin

IN_A_BATCH = 5
"""Escalated steps that the teacher is asked about at once: such that are alike."""
_PART = "lessons"


@dataclass(frozen=True, slots=True)
class Lessons:
    """What the teacher was asked, and what came of it."""

    asked: int
    """Escalated steps."""
    proposed: tuple[Strategy, ...]
    stopped: str = ""
    """Why not all batches were asked about; empty: they were."""


def batches(situations: Sequence[Situation], embedder: Embedder) -> list[list[Situation]]:
    """Return the escalated steps of won episodes in groups of such that are alike, the largest group first; of a group at
    most `IN_A_BATCH`."""
    taken = [situation for situation in situations if situation.kind == "escalation" and situation.won]
    found = groups([situation.key for situation in taken], embedder)
    grouped = {at for group in found for at in group}
    alone = [[at] for at in range(len(taken)) if at not in grouped]
    return [[taken[at] for at in group[:IN_A_BATCH]] for group in (*found, *alone)]


async def learn_lessons(
    found: Sequence[Sequence[Situation]],
    journal: Journal,
    teacher: PricedModel,
    library: StrategyLibrary,
    *,
    environment: str,
    now: datetime,
) -> Lessons:
    """Ask for the lessons of batches of escalated steps, and propose them; doing so again pays for nothing twice.

    Raises:
        BackendError: the teacher could not answer; the same run goes on from there.
    """
    proposed: dict[str, Strategy] = {}
    known: list[str] = []
    asked = 0
    for batch in found:
        request = fitting(batch, lambda shown: ask_lessons(shown, tuple(known), 0), teacher.backend)
        try:
            said = await journal.ask(teacher, request, _PART)
        except BudgetError as error:
            return Lessons(asked, tuple(proposed.values()), str(error))
        asked += len(batch)
        origin = StrategyOrigin(
            teacher.backend.model, journal.run_id,
            tuple(dict.fromkeys(one.context.episode_id for one in batch)),
            tuple(one.decision for one in batch if one.decision), now,
        )  # fmt: skip
        for lesson in read_lessons(said.text):
            known.append(lesson.scenario)
            category = most_common_category(batch)
            draft = StrategyDraft(lesson.scenario, lesson.guidance, environment, category, origin=origin)
            made = library.propose(
                draft,
                by=f"icd strategies learn ({journal.run_id})",
                why=f"lesson of {len(batch)} escalated steps",
            )
            proposed[made.id] = made
    return Lessons(asked, tuple(proposed.values()))
