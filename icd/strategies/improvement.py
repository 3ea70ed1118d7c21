"""Strategies for improvement: guidance for one scenario, written from some of its situations and tested on others
(arXiv 2408.07238).

In each turn the student answers the situations, the teacher compares its answers with its own and writes guidance, or
edits the best so far, and the student answers again with it; until the judged gap is small or the turns are used up. Then
other situations of the scenario are answered without the guidance and with it: it is proposed to the library only if it
helps there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Literal

from icd.backends.base import ChatRequest
from icd.strategies.actors import Actors, Answered
from icd.strategies.judging import FULL, gap
from icd.strategies.paired_test import Effect, compare, could_help
from icd.strategies.pool import Half, Pool
from icd.strategies.prompts import Comparison, ask_guidance, ask_made_up, fitting, read_guidance, read_made_up
from icd.strategies.scenarios import Scenario, StillWeak, most_common_category
from icd.strategies.situations import Situation, made_up
from icd_memory.strategies import StrategyLibrary
from icd_memory.strategy import PairedTest, StrategyDraft, StrategyOrigin, StrategyText
from icd_memory.strategy_admission import problems, told

Verdict = Literal[
    "kept", "no gap", "not better", "held back", "too few samples", "too little to gain", "not shown to help", "hurts"
]  # fmt: skip
"""What became of a scenario: its strategy was proposed; the student needs none; no guidance narrowed the gap; it looks
harmful; there are too few other situations to test on; too few of these go wrong without it; it made no difference that
could be shown; it made the answers worse."""


@dataclass(frozen=True, slots=True)
class LearningSettings:
    """How much is tried."""

    rounds: int = 2
    """Of scenario generation."""
    scenarios: int = 4
    """Of a round, at most."""
    turns: int = 3
    """Guidance that is written for a scenario, at most."""
    written_from: int = 6
    """Situations that guidance is written from."""
    tested_on: int = 24
    """Other situations that it is tested on, at most."""
    small_gap: float = 0.1
    """From which on the student needs no guidance: share of the teacher's points that it lacks."""
    relevance: float = 0.4
    """Least similarity of a recorded situation to its scenario."""


@dataclass(frozen=True, slots=True)
class ScenarioResult:
    """What became of a scenario."""

    scenario: Scenario
    verdict: Verdict
    before: float
    """The judged gap without guidance, on the situations that it was written from."""
    after: float
    """With the best guidance."""
    turns: int = 0
    guidance: str = ""
    effect: Effect | None = None
    strategy: str = ""
    """Id in the library; empty: nothing was stored."""
    why: str = ""
    """It was held back."""
    cost: float = 0.0
    """US dollars."""


@dataclass(frozen=True, slots=True)
class _Draft:
    """Guidance as far as it got."""

    text: StrategyText
    answered: Sequence[Answered]
    turn: int = 0

    @property
    def gap(self) -> float:
        return gap([one.points for one in self.answered if one.points is not None])

    @property
    def differing(self) -> list[Comparison]:
        """Where the student was not as good as the teacher, the worst first."""
        short = [(one.points, one.comparison) for one in self.answered if one.points not in (None, FULL)]
        return [comparison for _, comparison in sorted(short, key=lambda pair: pair[0] or 0)]


class Improver:
    """Writes, tests and proposes the strategy of a scenario."""

    def __init__(
        self,
        actors: Actors,
        pool: Pool,
        library: StrategyLibrary,
        settings: LearningSettings,
        *,
        environment: str,
        prepare: Callable[[Situation], Situation] = lambda situation: situation,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """Wire the parts.

        Args:
            actors: student and teacher.
            pool: the recorded situations.
            library: where what helps is proposed.
            settings: how much is tried.
            environment: whose strategies are learned.
            prepare: adds to a situation what its record does not tell.
            now: tells the time.
        """
        self._actors, self._journal = actors, actors.journal
        self._pool, self._library = pool, library
        self._settings, self._environment = settings, environment
        self._prepare, self._now = prepare, now

    async def improve(
        self, scenario: Scenario, on_turn: Callable[[int, float], None] = lambda number, gap: None
    ) -> tuple[ScenarioResult, StillWeak]:
        """Return what became of a scenario, and where the student is still weak in it; tell the gap after each turn, of
        which turn 0 is without guidance.

        Raises:
            BudgetError: a call cannot be paid.
            BackendError: a model could not answer.
        """
        writing = await self._samples(scenario, "writing", self._settings.written_from)
        first, best, held = await self._turns(scenario, writing, on_turn)
        result = ScenarioResult(scenario, "not better", first.gap, best.gap, best.turn, best.text.guidance)
        if held is not None:
            why = told(problems(held))
            result = replace(result, guidance=held.guidance)
            result = self._proposed(result, held, writing, why)
        elif first.gap <= self._settings.small_gap:
            result = replace(result, verdict="no gap")
        elif best.turn:
            result = await self._tested(result, best.text, writing)
        still = StillWeak(scenario, best.text.guidance, best.differing)
        return replace(result, cost=self._journal.cost_of(scenario.id)), still

    async def _turns(
        self, scenario: Scenario, writing: Sequence[Situation], on_turn: Callable[[int, float], None]
    ) -> tuple[_Draft, _Draft, StrategyText | None]:
        """Return the answers without guidance, the best draft, and a text that was held back, which ends it."""
        text = StrategyText(scenario.text, "", most_common_category(writing))
        best = first = _Draft(text, await self._actors.compare(writing, scenario.id))
        on_turn(0, first.gap)
        for number in range(1, self._settings.turns + 1):
            if not writing or best.gap <= self._settings.small_gap:
                break
            request = self._asking_for_guidance(best, number)
            said = await self._journal.ask(self._actors.teacher, request, scenario.id)
            guidance = read_guidance(said.text)
            if guidance is None:
                continue
            text = replace(text, guidance=guidance)
            if problems(text):
                return first, best, text
            draft = _Draft(text, await self._actors.compare(writing, scenario.id, text), number)
            on_turn(number, draft.gap)
            best = draft if draft.gap < best.gap else best
        return first, best, None

    def _asking_for_guidance(self, best: _Draft, turn: int) -> ChatRequest:
        scenario, guidance = best.text.scenario, best.text.guidance
        return fitting(
            best.differing,
            lambda shown: ask_guidance(scenario, guidance, shown, turn),
            self._actors.teacher.backend,
        )

    async def _tested(
        self, result: ScenarioResult, text: StrategyText, writing: Sequence[Situation]
    ) -> ScenarioResult:
        """Answer other situations without the strategy and with it; propose it if it helps."""
        scenario = result.scenario
        others = await self._samples(scenario, "testing", self._settings.tested_on)
        without = await self._actors.compare(others, scenario.id)
        if not could_help([FULL - 1] * len(others)):
            return replace(result, verdict="too few samples")
        if not could_help([one.points for one in without if one.points is not None]):
            return replace(result, verdict="too little to gain")
        with_it = await self._actors.compare(others, scenario.id, text)
        pairs = [
            (one.points, other.points)
            for one, other in zip(without, with_it, strict=True)
            if one.points is not None and other.points is not None
        ]
        if not pairs:
            return replace(result, verdict="too few samples")
        effect = compare([before for before, _ in pairs], [after for _, after in pairs])
        result = replace(result, effect=effect)
        if not effect.helps:
            return replace(result, verdict="hurts" if effect.hurts else "not shown to help")
        return self._proposed(result, text, writing, in_words(effect))

    def _proposed(
        self, result: ScenarioResult, text: StrategyText, writing: Sequence[Situation], why: str
    ) -> ScenarioResult:
        """Propose a strategy with its test, if it was tested. Doing so again changes nothing."""
        run, now = self._journal.run_id, self._now()
        origin = StrategyOrigin(
            self._actors.teacher.backend.model, run,
            tuple(dict.fromkeys(s.context.episode_id for s in writing if s.context.episode_id)), (), now,
        )  # fmt: skip
        draft = StrategyDraft(text.scenario, text.guidance, self._environment, text.category, origin=origin)
        with self._library.store.transaction():
            made = self._library.propose(draft, by=f"icd strategies learn ({run})", why=why)
            if result.effect is not None:
                self._library.add_test(made.id, self._paired_test(made.id, result.effect, now))
        if made.status == "held":
            return replace(result, verdict="held back", strategy=made.id, why=made.reason)
        return replace(result, verdict="kept", strategy=made.id)

    def _paired_test(self, strategy: str, effect: Effect, now: datetime) -> PairedTest:
        found = effect.difference
        return PairedTest(
            f"{self._journal.run_id}/{strategy}", 1, found.value, found.low, found.high, effect.pairs,
            measure=effect.measure, model=self._actors.student.backend.model, run=self._journal.run_id, at=now,
        )  # fmt: skip

    async def _samples(self, scenario: Scenario, half: Half, most: int) -> list[Situation]:
        """Return situations of a scenario; where nothing was recorded yet, such as the teacher makes up."""
        if self._pool.situations:
            nearest = self._pool.nearest(scenario.text, half, most, self._settings.relevance)
            return [self._prepare(situation) for situation in nearest]
        first = self._settings.written_from
        wanted = first + self._settings.tested_on
        said = await self._journal.ask(
            self._actors.teacher, ask_made_up(scenario.text, wanted, 0), scenario.id
        )
        found = [made_up(text, self._environment) for text in read_made_up(said.text, wanted)]
        return found[:first] if half == "writing" else found[first:]


def in_words(effect: Effect) -> str:
    """Return what a test found, for people."""
    found = effect.difference
    return (
        f"{effect.measure} with the teacher on {effect.pairs} other situations: {effect.without:.0%} without, "
        f"{effect.with_it:.0%} with it, {found.value:+.0%} [{found.low:+.0%}, {found.high:+.0%}], "
        f"p = {effect.p_value:.3f}"
    )
