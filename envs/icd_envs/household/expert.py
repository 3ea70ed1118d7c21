"""An expert that plays any household from what an agent has seen, and says why.

It reads `Knowledge` only: the goal's structure, places, contents seen, what is carried and done. So it
explores, may be wrong about where things are, and can take over at any step, whoever acted before. The same
situation always gives the same short sentence, so that a small model can imitate it.
"""

from __future__ import annotations

from icd_envs.base import ExpertMove
from icd_envs.errors import EngineError
from icd_envs.household.commands import Command, kind, number
from icd_envs.household.commonsense import SPARE_KINDS, TOOL_KINDS, preposition
from icd_envs.household.goal import DONE_WORDS, Goal
from icd_envs.household.knowledge import Knowledge


class HouseholdExpert:
    """Plays the episode whose knowledge it shares.

    Raises `EngineError` if the goal's sentence cannot be read.
    """

    def __init__(self, knowledge: Knowledge) -> None:
        if knowledge.goal is None:
            raise EngineError(
                f"no expert for the goal {knowledge.sentence!r}: its structure is not one of the six tasks"
            )
        self.knowledge = knowledge
        self.goal: Goal = knowledge.goal

    def plan(self) -> str:
        """Return a numbered plan in one line."""
        goal = self.goal
        steps = [f"find {_a(goal.thing)}", "take it"]
        into = preposition(goal.place)
        if goal.lamp:
            steps += [f"find {_a(goal.lamp)}", "use it"]
        if goal.treatment:
            tools = self.knowledge.tool_places()
            steps.append(
                f"{goal.treatment} it with {_a(kind(tools[0]) if tools else TOOL_KINDS[goal.treatment][0])}"
            )
        if goal.place:
            steps.append(f"put it {into} {_a(goal.place)}")
        if goal.count > 1:
            steps += [f"find another {goal.thing}", "take it", f"put it {into} the same {goal.place}"]
        return " ".join(f"{index}. {step}" for index, step in enumerate(steps, start=1))

    def move(self) -> ExpertMove:
        """Return the move for the present step."""
        held = self.knowledge.carrying
        if held and kind(held) == self.goal.thing:
            return self._advance(held)
        if held:
            return self._free_hands(held)
        return self._fetch()

    def _advance(self, held: str) -> ExpertMove:
        """Go on with a thing that the goal needs: treat it, hold it under the lamp, or deliver it."""
        treatment = self.goal.treatment
        if treatment and not self.knowledge.has(held, DONE_WORDS[treatment]):
            return self._treat(held, treatment)
        if self.goal.lamp:
            return self._light(held)
        return self._deliver(held)

    def _treat(self, held: str, treatment: str) -> ExpertMove:
        know = self.knowledge
        command = self._offered(treatment, thing=held)
        if command:
            return ExpertMove(f"I am at {command.place}, so I {treatment} {held}.", command.text)
        near = know.near()
        for place in know.tool_places():
            if place not in near:
                why = f"I carry {held}. It must be {DONE_WORDS[treatment]}, so I go to {place}."
                if move := self._go(place, why):
                    return move
            elif place in know.closed:
                return self._open(place)
        return self._search(f"I need something to {treatment} {held} with.")

    def _light(self, held: str) -> ExpertMove:
        know = self.knowledge
        lamp = next((c for c in know.commands if c.verb == "use" and kind(c.thing) == self.goal.lamp), None)
        if lamp:
            return ExpertMove(f"I carry {held} and {lamp.thing} is here, so I use it.", lamp.text)
        for thing, place in know.whereabouts(self.goal.lamp):
            if move := self._go(place, f"I carry {held}. {_cap(thing)} is {know.at(place)}, so I go there."):
                return move
        return self._search(f"I carry {held}. No {self.goal.lamp} found yet.")

    def _deliver(self, held: str) -> ExpertMove:
        know = self.knowledge
        targets = self._targets(held)
        near = know.near()
        for place in targets[:1]:
            command = self._offered("put", thing=held, place=place)
            if command:
                return ExpertMove(f"I am at {place}, so I put {held} there.", command.text)
            if place in near and place in know.closed:
                return self._open(place)
            if move := self._go(place, f"I carry {held}. It belongs at {place}, so I go there."):
                return move
        return self._search(f"I need a {self.goal.place} for {held}.")

    def _targets(self, held: str) -> list[str]:
        """Return the places that the goal names, best first: where one lies already, then the cheapest."""
        know = self.knowledge
        near = know.near()

        def cost(place: str) -> tuple[int, int, int, int]:
            delivered = sum(kind(thing) == self.goal.thing for thing in know.contents.get(place, ()))
            away = place not in near
            moves = away + (place in know.closed)
            return (-delivered * (self.goal.count - 1), moves, place not in know.searched, number(place))

        possible = [place for place in know.goal_places() if ("put", kind(held), place) not in know.refused]
        return sorted(possible, key=cost)

    def _free_hands(self, held: str) -> ExpertMove:
        """Get rid of a thing that is in the way, or look for the goal's thing until that is possible."""
        know, wanted = self.knowledge, self.goal.thing
        command = self._offered("put", thing=held)
        if command:
            return ExpertMove(f"I carry {held}, but I need {_a(wanted)}, so I put it down.", command.text)
        if know.here in know.closed:
            return self._open(know.here)
        if know.sought() == wanted and know.to_search():
            return self._search(f"No {wanted} found yet.")
        origin = know.origin.get(held, "")
        spares = [place for name in SPARE_KINDS for place in know.places if kind(place) == name]
        for place in dict.fromkeys([*([origin] if origin else []), *spares, *know.places]):
            if ("put", kind(held), place) not in know.refused:
                why = f"I carry {held}, but I need {_a(wanted)}, so I put it down at {place}."
                if move := self._go(place, why):
                    return move
        return self._search(f"I cannot put {held} down.")

    def _fetch(self) -> ExpertMove:
        """With free hands: take a thing that the goal needs, or go where one is, or search."""
        know, wanted = self.knowledge, self.goal.thing
        candidates = self._candidates()
        for thing, place in candidates:
            command = self._offered("take", thing=thing, place=place)
            if command:
                return ExpertMove(f"I need {_a(wanted)}. {_cap(thing)} is here, so I take it.", command.text)
            if place in know.near() and place in know.closed:
                return self._open(place)
        for thing, place in candidates:
            if move := self._go(
                place, f"I need {_a(wanted)}. {_cap(thing)} is {know.at(place)}, so I go there."
            ):
                return move
        return self._search(f"No {'other ' if know.delivered() else ''}{wanted} found yet.")

    def _candidates(self) -> list[tuple[str, str]]:
        """Return the goal's things that may be taken, the best first; not those already where they belong."""
        know, near = self.knowledge, self.knowledge.near()
        settled = know.delivered()
        treated = DONE_WORDS.get(self.goal.treatment or "", "")

        def cost(seen: tuple[str, str]) -> tuple[bool, bool, bool, int]:
            thing, place = seen
            return (not know.has(thing, treated), place not in near, place in know.closed, number(thing))

        return sorted(
            (seen for seen in know.whereabouts(self.goal.thing) if seen[0] not in settled), key=cost
        )

    def _search(self, why: str) -> ExpertMove:
        """Look into the next place to search; when none is left, look again where it was longest ago."""
        know = self.knowledge
        for place in know.to_search():
            if place in know.near():
                if place in know.closed:
                    return self._open(place)
                if command := self._offered("examine", thing=place):
                    return ExpertMove(f"{why} I look at {place}.", command.text)
            elif move := self._go(place, f"{why} Next place to search is {place}."):
                return move
        for place in sorted(know.places, key=lambda place: know.visited.get(place, -1)):
            if move := self._go(place, f"{why} I look again at {place}."):
                return move
        return ExpertMove(f"{why} I look around.", "look")

    def _open(self, place: str) -> ExpertMove:
        return ExpertMove(f"{_cap(place)} is closed, so I open it.", f"open {place}")

    def _go(self, place: str, why: str) -> ExpertMove | None:
        command = self._offered("go", place=place)
        return ExpertMove(why, command.text) if command else None

    def _offered(self, verb: str, thing: str = "", place: str = "") -> Command | None:
        """Return the admissible command with this verb, thing and place, if there is one."""
        for command in self.knowledge.commands:
            if command.verb == verb and thing in ("", command.thing) and place in ("", command.place):
                return command
        return None


def _a(name: str) -> str:
    return f"{'an' if name[0] in 'aeiou' else 'a'} {name}"


def _cap(text: str) -> str:
    return text[0].upper() + text[1:]
