"""How good the student's answer is beside the teacher's, in whole points: pure functions.

Actions that have a canonical form are compared as `icd.agreement` and `icd.code_agreement` say: all points or none. Free
text has none, so there the teacher judges, from 1 to 10 (`icd.strategies.prompts.read_score`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from icd.agreement import text_key
from icd.chat.situation import CHAT
from icd.code_agreement import action_key
from icd.strategies.prompts import HIGHEST_SCORE
from icd.strategies.situations import Situation

Judging = Literal["actions", "teacher"]
"""Whether answers are compared as actions, or the teacher scores them."""

FULL = HIGHEST_SCORE - 1
"""Points of an answer that is as good as the teacher's."""


def judging_of(situation: Situation) -> Judging:
    """Return how answers to a situation are judged: of what the teacher made up, and in chats, there is only text."""
    return "teacher" if situation.kind == "made" or situation.context.environment == CHAT else "actions"


def agreement_points(situation: Situation, student: str, teacher: str) -> int:
    """Return the points of an action: `FULL` if it is the teacher's, else 0; an unreadable one is never."""
    key = action_key if situation.context.code else text_key
    mine = key(student)
    return FULL if mine is not None and mine == key(teacher) else 0


def score_points(score: int) -> int:
    """Return the points of a score from 1 to 10."""
    return score - 1


def gap(points: Sequence[int]) -> float:
    """Return how far answers are from the teacher's, on average: 0 (as good) to 1; of none it is 1."""
    return 1 - sum(points) / (FULL * len(points)) if points else 1.0
