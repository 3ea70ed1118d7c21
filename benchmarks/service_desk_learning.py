"""Learn strategies for the service desk with a real student and a scripted coach, in the product's learning loop.

Usage: nice -n 15 python benchmarks/service_desk_learning.py CONFIG [--scenarios 10] [--tested-on 14] [--turns 2]

CONFIG is an icd.toml whose store holds demonstrations (`icd collect service-desk -n 180`) and whose student is a local
model. The coach stands in for a teacher that writes: it reads the recorded actions of the expert that it is shown, and
says them in words (`PHRASES`); what the student did instead it advises against. It costs nothing; the student's answers
do, and so does the expert's play. What passes the paired test is proposed, as by `icd strategies learn`; the same
command goes on where it was.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from icd import assembly
from icd.assembly import Models
from icd.backends.base import ChatRequest
from icd.benchmark.experiment import Workplace
from icd.calls import PricedModel
from icd.config import Settings, load_settings
from icd.ledger import Budget
from icd.prices import Price
from icd.strategies.improvement import LearningSettings
from icd.strategies.learning import Event, ScenarioDone, TurnTaken
from icd.strategies.pool import Pool
from icd.strategies.preparation import LearningRequest, prepare_learning
from icd.strategies.prompts import Comparison, ask_guidance, read_guidance
from icd.strategies.scenarios import most_common_category
from icd.strategies.situations import newest_episodes, recorded
from icd.testing import ScriptedBackend
from icd_memory.excerpts import Query
from icd_memory.strategy import Strategy, StrategyDraft, StrategyOrigin

ENVIRONMENT: Final = "service-desk"
COACH: Final = "scripted-coach"
SEEDS: Final = (
    "Customer: calm. Problem: they told. Number: Here it is: order.",
    "Problem: they told. Number: It is order. Record: order: items; placed days ago; parcel; payment; stock; returns; "
    "warranty; tickets",
    "Customer: calm. Problem: they told what happened.",
    "Said: tell what was done -> Thank you for telling me. Done: the order was refunded, the item was sent.",
    "Customer: annoyed or angry. This is really annoying. Nothing is known yet.",
    "Hello, it is about an order. Customer: calm or uneasy; nothing else is known yet.",
    "Said: refuse -> That is a pity. Said: name the alternatives -> That is good to know, thank you.",
    "Done: the order was refunded, the item was sent. Policy on it: refund, replace.",
    *(
        f"Policy on {topic}: {rule}"
        for topic, rule in (
            ("delivery", "late by 7 days or less: refund the shipping; more than 7 days: refund 10 percent."),
            ("damage", "ask for a photo and for the wish; replace the item or refund it."),
            ("returns", "return window open: make a return; closed: refuse."),
            ("warranty", "warranty valid: send the item to repair; ended: refuse."),
            ("payments", "charged twice: refund the duplicate; only reserved: refund nothing."),
            ("subscriptions", "before you cancel, offer a pause, once."),
            ("rebooking", "ask for the new date; flexible fare: rebook; standard fare: state the fee."),
            ("accounts", "before you change data, ask for the date of birth and verify it."),
            (
                "addresses",
                "parcel not sent yet: ask for the new details and redirect it; on its way: refuse.",
            ),
        )
    ),
)
"""Kinds of moments in a conversation, in the words of what the desk sees."""
PHRASES: Final[Mapping[str, str]] = {
    "apologise": "The customer is upset, so apologise first",
    "ask what happened": "The problem is not known yet, so ask what happened",
    "ask for the reference number": "The number is needed, so ask for the reference number",
    "lookup": "The number is known, so lookup the order, booking, subscription or customer",
    "read": "The record is known, so read policy on the problem before anything is done",
    "verify": "The date of birth is known, so verify the customer",
    "refuse": "The policy does not allow it, so refuse with the reason that the record gives",
    "name the alternatives": "It was refused, so name the alternatives",
    "tell what was done": "It is done, so tell what was done",
    "close": "The customer knows how it ended, so close",
}
"""What the coach says of an action of the expert, by what it is without names and numbers."""
_COMPARED = re.compile(
    r"The student's:\n<answer>\n(.*?)\n</answer>\nThe teacher's:\n<answer>\n(.*?)\n</answer>", re.DOTALL
)
_TASKS = 45
_SHOWN = 3
"""Strategies shown at a step."""
_MOST = 2
"""Pieces of advice in one guidance, and things advised against."""


def coach(request: ChatRequest) -> str:
    """Answer a request of the learning loop."""
    text = request.messages[-1].content
    if "write the advice" not in text:
        return "None."
    pairs = [(kind_of(student), kind_of(teacher)) for student, teacher in _COMPARED.findall(text)]
    wanted = [kind for kind, _ in Counter(teacher for _, teacher in pairs).most_common(_MOST)]
    wrong = Counter(student for student, _ in pairs if student and student not in wanted)
    advice = [f"{_phrase(kind)}." for kind in wanted]
    if "<advice>" in text:
        advice += [f"Do not {kind} here." for kind, _ in wrong.most_common(_MOST)]
    return f"Guidance: {' '.join(advice)}"


def kind_of(action: str) -> str:
    """Return an action without names and numbers; empty for what is none."""
    said = action.removeprefix("say: ")
    return said.partition(":")[0] if said != action else action.partition(" ")[0]


def _phrase(kind: str) -> str:
    return PHRASES.get(kind, f"The policy calls for it, so {kind}")


def draft(place: Workplace, written_from: int) -> list[Strategy]:
    """Propose what the coach says of every scenario before the student has tried it, for a person to review."""
    store = place.store
    episodes = newest_episodes(store, ENVIRONMENT)
    pool = Pool(list(recorded(store, episodes, test_splits=place.suite.test_splits)), place.memory.embedder)
    library = assembly.strategy_library(place.memory)
    made = []
    for scenario in SEEDS:
        near = pool.nearest(scenario, "writing", written_from, place.settings.strategies.min_similarity)
        said = coach(ask_guidance(scenario, "", [Comparison(one, "", one.reference) for one in near], 1))
        origin = StrategyOrigin(
            COACH, "", tuple(one.context.episode_id for one in near), (), datetime.now(UTC)
        )
        text = StrategyDraft(
            scenario, read_guidance(said) or "", ENVIRONMENT, most_common_category(near), origin=origin
        )
        made.append(library.propose(text, by=COACH, why="not tested"))
    return made


def fits(place: Workplace, split: str, tasks: int) -> dict[str, float]:
    """Return how often what is shown advises the expert's action, over the expert's steps on `tasks` of a split: the
    strategy that is found first, any of three, and none is found at all."""
    library, world = assembly.strategy_library(place.memory), place.suite.environment()
    seen: Counter[str] = Counter()
    for task in place.suite.tasks(split, tasks):
        result, expert = world.reset(task), world.expert()
        assert expert is not None
        while not result.done:
            move = expert.move()
            query = Query(task.goal, ENVIRONMENT, task.category, state=result.view)
            found = library.find(query, min_similarity=place.settings.strategies.min_similarity, k=_SHOWN)
            advised = [_phrase(kind_of(move.action)) in match.strategy.guidance for match in found]
            seen.update(steps=1, first=advised[:1] == [True], any=any(advised), none=not found)
            result = world.step(move.action)
    return {name: seen[name] / seen["steps"] for name in ("first", "any", "none")}


def settings_of(config: Path) -> Settings:
    """Return the settings of a file, with the coach in the teacher's place."""
    return load_settings(
        config, {"teacher": {"kind": "openai", "model": COACH, "price": {"input": 0, "output": 0}}}
    )


def make_models(settings: Settings, *, student: bool, teacher: bool) -> Models:
    """Make the student of the settings, and the coach."""
    made = assembly.make_models(settings, student=student, teacher=False)
    scripted = ScriptedBackend(coach, model=COACH)
    return Models(made.student, PricedModel(scripted, Price(0, 0, 0, source="scripted"), Budget()))


def tell(event: Event) -> None:
    match event:
        case TurnTaken(scenario=scenario, number=number, gap=gap):
            print(f"{scenario.text[:40]!r} turn {number}: gap {gap:.2f}", flush=True)
        case ScenarioDone(result=result):
            print(f"    {result.verdict}: {result.guidance}", flush=True)
            if result.effect is not None:
                print(f"    {result.effect}", flush=True)
        case _:
            pass


def main() -> None:
    parser = argparse.ArgumentParser(description="Learn strategies for the service desk.")
    parser.add_argument("config", type=Path)
    parser.add_argument("--scenarios", type=int, default=len(SEEDS), help="the first ones")
    parser.add_argument("--written-from", type=int, default=5)
    parser.add_argument("--tested-on", type=int, default=14)
    parser.add_argument("--turns", type=int, default=2)
    parser.add_argument(
        "--fits", metavar="SPLIT", help="only tell how often what is shown advises the expert's action"
    )
    parser.add_argument("--draft", action="store_true", help="only propose what the coach says, untested")
    options = parser.parse_args()
    settings = settings_of(options.config)
    chosen = LearningSettings(
        1, options.scenarios, options.turns, options.written_from, options.tested_on,
        relevance=settings.strategies.min_similarity,
    )  # fmt: skip
    place = Workplace(settings, ENVIRONMENT, make_models=make_models)
    try:
        if options.fits:
            print(json.dumps(fits(place, options.fits, _TASKS)))
            return
        if options.draft:
            print(
                "\n".join(
                    f"{one.id} {one.status}: {one.guidance}" for one in draft(place, options.written_from)
                )
            )
            return
        request = LearningRequest(ENVIRONMENT, chosen, SEEDS[: options.scenarios])
        outcome = asyncio.run(prepare_learning(request, place).run(tell))
    finally:
        place.close()
    print(json.dumps(_plain(outcome.learned.cost, [asdict(result) for result in outcome.learned.results])))


def _plain(cost: float, results: list[dict[str, Any]]) -> dict[str, Any]:
    return {"cost": cost, "results": results}


if __name__ == "__main__":
    main()
