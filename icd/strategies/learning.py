"""The learning loop: scenario generation and strategies for improvement, in turn (arXiv 2408.07238).

Everything that costs goes through the journal, and everything else is a function of it: a run that was killed is gone on
with by running it again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from icd.errors import BudgetError
from icd.strategies.improvement import Improver, LearningSettings, ScenarioResult
from icd.strategies.journal import Journal
from icd.strategies.scenarios import Scenario, ScenarioSource, StillWeak


@dataclass(frozen=True, slots=True)
class Learned:
    """What came of a run."""

    run_id: str
    results: tuple[ScenarioResult, ...]
    cost: float
    """US dollars, in all processes."""
    stopped: str = ""
    """Why it ended early; empty: it did not."""


@dataclass(frozen=True, slots=True)
class RoundBegun:
    """A round knows its scenarios."""

    number: int
    scenarios: tuple[Scenario, ...]


@dataclass(frozen=True, slots=True)
class TurnTaken:
    """The student answered the situations that guidance is written from; turn 0 is without any."""

    scenario: Scenario
    number: int
    gap: float


@dataclass(frozen=True, slots=True)
class ScenarioDone:
    """A scenario came to its end."""

    result: ScenarioResult


Event: TypeAlias = RoundBegun | TurnTaken | ScenarioDone


async def learn(
    source: ScenarioSource,
    improver: Improver,
    journal: Journal,
    settings: LearningSettings,
    on_event: Callable[[Event], None] = lambda event: None,
) -> Learned:
    """Learn, or go on learning; when the budget is used up, what was learned until then stands.

    Raises:
        BackendError: a model could not answer; the same run goes on from there.
    """
    results: list[ScenarioResult] = []
    weak: list[tuple[float, StillWeak]] = []
    try:
        for number in range(1, settings.rounds + 1):
            scenarios = await _scenarios(source, weak, settings, number)
            if not scenarios:
                break
            on_event(RoundBegun(number, tuple(scenarios)))
            weak = []
            for scenario in scenarios:
                result, still = await improver.improve(scenario, _turns(scenario, on_event))
                results.append(result)
                on_event(ScenarioDone(result))
                if result.after > settings.small_gap and still.answers:
                    weak.append((result.after, still))
    except BudgetError as error:
        return Learned(journal.run_id, tuple(results), journal.spent, str(error))
    return Learned(journal.run_id, tuple(results), journal.spent)


def _turns(scenario: Scenario, on_event: Callable[[Event], None]) -> Callable[[int, float], None]:
    return lambda number, gap: on_event(TurnTaken(scenario, number, gap))


async def _scenarios(
    source: ScenarioSource, weak: list[tuple[float, StillWeak]], settings: LearningSettings, number: int
) -> list[Scenario]:
    if number == 1:
        return await source.first(settings.scenarios)
    weakest_first = sorted(weak, key=lambda one: -one[0])
    return await source.revised([still for _, still in weakest_first], settings.scenarios, number)
