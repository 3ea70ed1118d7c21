"""Student and teacher at one situation: what they answer, and how good that is. Every call goes through the journal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from inspect import isawaitable

from icd.asking import read_answer, sample_reader, student_request, teacher_request
from icd.calls import Bill, PricedModel
from icd.cascade import Policy
from icd.decision import ChosenStrategies, DecisionContext
from icd.evidence import tried_here
from icd.runtime_settings import RuntimeSettings
from icd.strategies.journal import Journal
from icd.strategies.judging import agreement_points, judging_of, score_points
from icd.strategies.prompts import Comparison, ask_score, read_score
from icd.strategies.situations import Situation
from icd.strategy_use import NO_STRATEGIES
from icd_memory.strategy import Match, Strategy, StrategyOrigin, StrategyText

_NEVER = datetime.fromtimestamp(0, UTC)
_ATTEMPTS = 2
"""Times that a judge is asked whose answer cannot be read."""


@dataclass(frozen=True, slots=True)
class Answered:
    """The student's answer to a situation beside the teacher's."""

    comparison: Comparison
    points: int | None
    """None: the judge gave no score that can be read."""


class Actors:
    """Student and teacher of a learning run."""

    def __init__(
        self, journal: Journal, student: PricedModel, teacher: PricedModel, settings: RuntimeSettings
    ) -> None:
        """`settings` say how steps are asked for; neither is shown demonstrations here."""
        self.journal, self.student, self.teacher = journal, student, teacher
        self._settings = replace(settings, policy=Policy("student"), k=0)

    async def compare(
        self, situations: Sequence[Situation], part: str, strategy: StrategyText | None = None
    ) -> list[Answered]:
        """Let the student answer situations, without a strategy or with one, and judge it by the teacher."""
        return [await self._compare(situation, part, strategy) for situation in situations]

    async def _compare(self, situation: Situation, part: str, strategy: StrategyText | None) -> Answered:
        teacher = situation.reference or await self._teachers(situation, part)
        student = await self._students(situation, part, strategy)
        comparison = Comparison(situation, student, teacher)
        return Answered(comparison, await self._points(comparison, part))

    async def _students(self, situation: Situation, part: str, strategy: StrategyText | None) -> str:
        context = _advised(situation.context, strategy)
        request, prompt = student_request(self.student, context, (), tried_here(context), self._settings)
        answer = await self.journal.ask(self.student, request, part)
        found = sample_reader(context, prompt.cue, None, Bill())([answer])
        [candidate] = await found if isawaitable(found) else found
        return candidate.action

    async def _teachers(self, situation: Situation, part: str) -> str:
        request = teacher_request(self.teacher, situation.context, self._settings)
        answer = await self.journal.ask(self.teacher, request, part)
        return read_answer(answer, situation.context).action

    async def _points(self, compared: Comparison, part: str) -> int | None:
        if judging_of(compared.situation) == "actions":
            return agreement_points(compared.situation, compared.student, compared.teacher)
        if not compared.student.strip():
            return 0
        for attempt in range(_ATTEMPTS):
            said = await self.journal.ask(self.teacher, ask_score(compared, attempt), part)
            if (score := read_score(said.text)) is not None:
                return score_points(score)
        return None


def _advised(context: DecisionContext, text: StrategyText | None) -> DecisionContext:
    """Return a situation in which this strategy is shown, as the runtime shows it; or none."""
    if text is None:
        return replace(context, strategies=NO_STRATEGIES)
    tried_out = Strategy(
        "tried-out", context.tenant, context.environment, text.scenario, text.guidance, text.category,
        StrategyOrigin(), "proposed", 1, 1, "", _NEVER,
    )  # fmt: skip
    return replace(context, strategies=ChosenStrategies((Match(tried_out, None),)))
