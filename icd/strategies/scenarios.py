"""Scenario generation: which kinds of situation strategies are written for (arXiv 2408.07238).

The first round takes seed descriptions, then what the teacher sees in weak spots (groups of escalations and failures),
then what it sees in logged episodes; later rounds take what it sees near the scenarios in which the student is still
weak. Only the writing half of the situations is looked at.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from icd.agreement import text_key
from icd.backends.base import ChatRequest
from icd.calls import PricedModel
from icd.strategies import weak_spots
from icd.strategies.journal import Journal
from icd.strategies.pool import Pool, instance_of
from icd.strategies.prompts import Comparison, ask_revised, ask_scenarios, fitting, read_scenarios
from icd.strategies.situations import Situation
from icd_memory.embedding import Embedder

Origin = Literal["seed", "weak spot", "episodes", "revised"]

_SHOWN = 4
"""Situations that a teacher is shown of a weak spot, or compared with the student's answers."""
_SHOWN_OF_EPISODES = 6
_REVISED = 2
"""Scenarios that one is at most replaced by."""
_PART = "scenarios"


@dataclass(frozen=True, slots=True)
class Scenario:
    """A kind of situation."""

    text: str
    origin: Origin
    round: int = 1

    @property
    def id(self) -> str:
        """The same for the same words."""
        return hashlib.sha256((text_key(self.text) or "").encode("utf-8", "surrogatepass")).hexdigest()[:12]


@dataclass(frozen=True, slots=True)
class StillWeak:
    """A scenario in which the student still falls short, with what it was told."""

    scenario: Scenario
    guidance: str
    answers: Sequence[Comparison]
    """In which it differs from the teacher."""


class ScenarioSource:
    """Finds scenarios that a run does not know yet."""

    def __init__(
        self,
        journal: Journal,
        teacher: PricedModel,
        pool: Pool,
        embedder: Embedder,
        seeds: Sequence[str] = (),
        known: Iterable[str] = (),
    ) -> None:
        """`seeds` are descriptions of scenarios; `known`: scenarios that strategies are there for already."""
        self._journal, self._teacher, self._pool, self._embedder = journal, teacher, pool, embedder
        self._seeds = seeds
        self._known = list(dict.fromkeys(known))

    async def first(self, most: int) -> list[Scenario]:
        """Return the scenarios of the first round."""
        found = self._new([Scenario(seed, "seed") for seed in self._seeds], most)
        writing = self._pool.half("writing")
        weak = [situation for situation in writing if situation.kind in ("escalation", "failure")]
        for group in self._groups(weak):
            if len(found) >= most:
                break
            found += await self._seen([weak[at] for at in group[:_SHOWN]], 1, "weak spot")
        if len(found) < most and writing:
            found += await self._seen(_varied(writing, _SHOWN_OF_EPISODES), most - len(found), "episodes")
        return found

    async def revised(self, weak: Sequence[StillWeak], most: int, number: int) -> list[Scenario]:
        """Return the scenarios of round `number`, near those in which the student is weakest; these come first."""
        found: list[Scenario] = []
        for one in weak:
            wanted = min(_REVISED, most - len(found))
            if wanted <= 0:
                break
            request = self._asking_for_revised(one, wanted, number)
            answer = await self._journal.ask(self._teacher, request, _PART)
            texts = read_scenarios(answer.text, wanted)
            found += self._new([Scenario(text, "revised", number) for text in texts], wanted)
        return found

    def _asking_for_revised(self, weak: StillWeak, most: int, number: int) -> ChatRequest:
        return fitting(
            weak.answers[:_SHOWN],
            lambda shown: ask_revised(weak.scenario.text, weak.guidance, shown, most, self._known, number),
            self._teacher.backend,
        )

    def _groups(self, weak: Sequence[Situation]) -> list[list[int]]:
        return weak_spots.groups([situation.key for situation in weak], self._embedder)

    async def _seen(self, situations: Sequence[Situation], most: int, origin: Origin) -> list[Scenario]:
        request = fitting(
            situations, lambda shown: ask_scenarios(shown, most, self._known, 0), self._teacher.backend
        )
        answer = await self._journal.ask(self._teacher, request, _PART)
        return self._new([Scenario(text, origin) for text in read_scenarios(answer.text, most)], most)

    def _new(self, scenarios: Iterable[Scenario], most: int) -> list[Scenario]:
        """Return those that are not known yet, and know them from now on."""
        known = {text_key(text) for text in self._known}
        found: list[Scenario] = []
        for scenario in scenarios:
            if (key := text_key(scenario.text)) is not None and key not in known and len(found) < most:
                known.add(key)
                found.append(scenario)
        self._known += [scenario.text for scenario in found]
        return found


def _varied(situations: Sequence[Situation], most: int) -> list[Situation]:
    """Return situations of as many categories and instances as there are, in their order."""
    found: dict[tuple[str, str], Situation] = {}
    for situation in situations:
        found.setdefault((situation.context.category, instance_of(situation)), situation)
    by_category: dict[str, int] = {}
    ranked = []
    for (category, _), situation in found.items():
        by_category[category] = by_category.get(category, 0) + 1
        ranked.append((by_category[category], situation))
    return [situation for _, situation in sorted(ranked, key=lambda pair: pair[0])][:most]


def most_common_category(situations: Sequence[Situation]) -> str:
    """Return the category of most of the situations; empty without any."""
    counts = Counter(situation.context.category for situation in situations)
    return counts.most_common(1)[0][0] if counts else ""
