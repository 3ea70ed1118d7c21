"""What an agent knows of a household, from its goal, its actions and what came back; never the hidden state.

It leans on commands (`icd_envs.household.commands`), on entity names of the form ``word number`` and on the
admissible commands, not on sentences, so that it reads the published wordings and ours alike.
`Knowledge.view` writes it down for a model, and `HouseholdExpert` plays from it: both know the same.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from icd_envs.household.commands import Command, entities, kind, number, parse_command, parse_commands
from icd_envs.household.commonsense import TOOL_KINDS, preposition, search_order
from icd_envs.household.goal import DONE_WORDS, Goal, parse_goal

_UNDOES = {"heat": "cooled", "cool": "heated"}
_SPOT = "loc"
"""The older published wording names the spot at which one arrives like a thing: ``loc 12``."""
_HERE_LIMIT = 6
_FOUND_LIMIT = 4
_SEARCH_LIMIT = 6


@dataclass(slots=True)
class Knowledge:
    """The state of a household as one agent has seen it: `start` it, then `update` it after each step."""

    sentence: str
    """The task sentence."""
    goal: Goal | None = None
    places: tuple[str, ...] = ()
    """Every place known, in the order in which the start listed them."""
    here: str = ""
    """The place where the agent stands; empty in the middle of the room."""
    carrying: str = ""
    contents: dict[str, list[str]] = field(default_factory=dict)
    """What was last seen at each place."""
    searched: set[str] = field(default_factory=set)
    """Places whose inside or top was seen."""
    closed: set[str] = field(default_factory=set)
    """Places that are closed, as far as known."""
    lidded: set[str] = field(default_factory=set)
    """Places that can be opened or closed."""
    done: dict[str, list[str]] = field(default_factory=dict)
    """What was done to things: ``cleaned``, ``heated``, ``cooled``, ``turned on``."""
    origin: dict[str, str] = field(default_factory=dict)
    """Where a thing was last taken from."""
    refused: set[tuple[str, str, str]] = field(default_factory=set)
    """Dead ends: (verb, kind of thing, place) that turned out not to be possible there."""
    failed: str = ""
    """The last action, if nothing came of it."""
    visited: dict[str, int] = field(default_factory=dict)
    """The step at which a place was last gone to."""
    steps: int = 0
    commands: tuple[Command, ...] = ()
    """The admissible commands of now, parsed."""

    def __post_init__(self) -> None:
        if self.goal is None:
            self.goal = parse_goal(self.sentence)

    def start(self, observation: str, admissible: Iterable[str]) -> None:
        """Take in what the agent sees at the start of an episode."""
        self.commands = parse_commands(admissible)
        reachable = {command.place for command in self.commands if command.verb == "go"}
        mentioned = [name for name in entities(observation) if name in reachable]
        self.places = tuple(dict.fromkeys([*mentioned, *(c.place for c in self.commands if c.verb == "go")]))
        self._look_around(observation, None)

    def update(self, action: str, observation: str, admissible: Iterable[str] | None) -> None:
        """Take in one step. `admissible` are the commands possible after it; None where they are not told."""
        command = parse_command(action)
        possible = self._was_possible(command, observation)
        self.steps += 1
        self.failed = "" if possible else action
        self.commands = parse_commands(admissible or ())
        if possible:
            self._apply(command)
            self._look_around(observation, command, told=admissible is not None)

    def near(self) -> set[str]:
        """Return the places within reach: where the agent is, and what stands at the same spot."""
        reach = {
            command.place for command in self.commands if command.verb in ("open", "close", "take", "put")
        }
        reach |= {c.thing for c in self.commands if c.verb == "examine" and c.thing in self.places}
        return reach | ({self.here} if self.here else set())

    def whereabouts(self, thing_kind: str) -> list[tuple[str, str]]:
        """Return (thing, place) for every thing of a kind that was seen somewhere and is not carried."""
        return [
            (thing, place)
            for place, things in self.contents.items()
            for thing in things
            if kind(thing) == thing_kind and thing != self.carrying
        ]

    def sought(self) -> str:
        """Return the kind of thing that must still be found; empty if all that the goal needs was seen."""
        goal = self.goal
        if goal is None:
            return ""
        known = len(self.whereabouts(goal.thing)) + (kind(self.carrying) == goal.thing)
        if known < goal.count:
            return goal.thing
        return goal.lamp if goal.lamp and not self.whereabouts(goal.lamp) else ""

    def to_search(self) -> list[str]:
        """Return the places that were not searched yet, in the order in which to search them."""
        thing = self.sought() or (self.goal.thing if self.goal else "")
        # Ranked among all places, so that the order of what is left does not change as the search goes on.
        order = [place for place in search_order(thing, self.places) if place not in self.searched]
        if self.here in order:
            order.remove(self.here)
            order.insert(0, self.here)
        return order

    def is_goal_thing(self, thing: str) -> bool:
        """Tell whether the goal is about things of this kind: the thing itself, or the lamp."""
        return self.goal is not None and kind(thing) in (self.goal.thing, self.goal.lamp)

    def tool_places(self) -> list[str]:
        """Return the places that can do what the goal wants done to the thing, the likeliest first."""
        if self.goal is None or self.goal.treatment is None:
            return []
        return self._of_kinds(TOOL_KINDS[self.goal.treatment])

    def goal_places(self) -> list[str]:
        """Return the places that the goal names, by number."""
        return self._of_kinds((self.goal.place,)) if self.goal and self.goal.place else []

    def delivered(self) -> list[str]:
        """Return the things of a task for two that already lie together at one of the goal's places.

        Empty for the other tasks: there, one delivered thing wins.
        """
        if self.goal is None or self.goal.count < 2:
            return []
        piles = [
            [thing for thing in self.contents.get(place, ()) if kind(thing) == self.goal.thing]
            for place in self.goal_places()
        ]
        return max(piles, key=len, default=[])

    def has(self, thing: str, done: str) -> bool:
        """Tell whether something (``heated``, ``turned on``) was done to a thing and still holds."""
        return done in self.done.get(thing, ())

    def view(self) -> str:
        """Write down what is known and matters for the goal, in a few short lines."""
        lines = [f"Here: {self._here_text()}", f"Carrying: {self.carrying or 'nothing'}"]
        placed = self.delivered()
        found = [f"{thing} {self.at(place)}" for thing, place in self._found() if thing not in placed]
        if found:
            lines.append("Found: " + "; ".join(found))
        if placed:
            lines.append(f"Placed: {', '.join(placed)} {self.at(self.whereabouts_of(placed[0]))}")
        done = [
            f"{thing} {' and '.join(words)}"
            for thing, words in self.done.items()
            if self.is_goal_thing(thing)
        ]
        if done:
            lines.append("Done: " + "; ".join(done))
        needed = [*([] if self._is_treated() else self.tool_places()[:1]), *self.goal_places()[:3]]
        if needed:
            lines.append("Needed: " + ", ".join(dict.fromkeys(needed)))
        if self._must_search():
            near = self.near()
            away = [place for place in self.to_search() if place not in near]
            lines.append("To search: " + (_shortened(away, _SEARCH_LIMIT) or "nothing left"))
        if self.failed:
            lines.append(f"Not possible: {self.failed}")
        return "\n".join(lines)

    def at(self, place: str) -> str:
        """Write ``in fridge 1`` or ``on desk 1``."""
        return f"{preposition(kind(place))} {place}"

    def _here_text(self) -> str:
        if not self.here:
            return "middle of the room"
        # Other places at this spot are worth their words only if something is to be done there.
        others = [place for place in sorted(self.near() - {self.here}) if self._matters(place)]
        return ", ".join(self._place_text(place) for place in [self.here, *others])

    def _matters(self, place: str) -> bool:
        unseen = place not in self.searched and bool(self.sought())
        things = self.contents.get(place, ())
        return unseen or place in self.goal_places() or any(self.is_goal_thing(thing) for thing in things)

    def _place_text(self, place: str) -> str:
        if place in self.closed:
            return f"{place} (closed)"
        if place not in self.searched:
            return f"{place} (not seen)"
        first = sorted(self.contents[place], key=lambda thing: not self.is_goal_thing(thing))
        return f"{place} ({_shortened(first, _HERE_LIMIT) or 'empty'})"

    def _is_treated(self) -> bool:
        treatment = self.goal.treatment if self.goal else None
        return treatment is None or self.has(self.carrying, DONE_WORDS[treatment])

    def _must_search(self) -> bool:
        """Searching comes next, unless what is carried can be delivered first."""
        sought = self.sought()
        return bool(sought) and not (self.goal and sought == self.goal.thing == kind(self.carrying))

    def _found(self) -> list[tuple[str, str]]:
        if self.goal is None:
            return []
        lamps = self.whereabouts(self.goal.lamp)[:1] if self.goal.lamp else []
        return self.whereabouts(self.goal.thing)[: _FOUND_LIMIT - len(lamps)] + lamps

    def _of_kinds(self, kinds: tuple[str, ...]) -> list[str]:
        fitting = [place for place in self.places if kind(place) in kinds]
        return sorted(fitting, key=lambda place: (kinds.index(kind(place)), number(place)))

    def _was_possible(self, command: Command, observation: str) -> bool:
        if self.commands:
            return any(known.text == command.text.strip() for known in self.commands)
        named = [name for name in (command.thing, command.place) if name]
        return all(name in observation.lower() for name in named)

    def _apply(self, command: Command) -> None:
        verb, thing, place = command.verb, command.thing, command.place
        if verb == "go":
            self.here = place
            self.visited[place] = self.steps
        elif verb in ("open", "close"):
            self.lidded.add(place)
            (self.closed.discard if verb == "open" else self.closed.add)(place)
        elif verb == "take":
            self._remove(thing)
            self.carrying = thing
            self.origin[thing] = place
        elif verb == "put":
            self._remove(thing)
            self.contents.setdefault(place, []).append(thing)
            self.carrying = "" if self.carrying == thing else self.carrying
        elif verb in DONE_WORDS:
            self._mark(thing, DONE_WORDS[verb], undone=_UNDOES.get(verb, ""))
        elif verb == "use":
            self._mark(thing, "turned on")

    def _mark(self, thing: str, word: str, undone: str = "") -> None:
        words = self.done.setdefault(thing, [])
        if undone in words:
            words.remove(undone)
        if word not in words:
            words.append(word)

    def _remove(self, thing: str) -> None:
        for things in self.contents.values():
            if thing in things:
                things.remove(thing)

    def _look_around(self, observation: str, command: Command | None, told: bool = True) -> None:
        """Read lids, contents and what is carried from the observation and the admissible commands of now."""
        self._read_lids()
        if command is not None:
            shown = command.thing if command.verb == "examine" else command.place
            if command.verb in ("go", "open", "examine") and shown in self.places:
                self._read_place(shown, observation, told)
            elif command.text.strip().lower() == "inventory":
                carried = [name for name in entities(observation) if name not in self.places]
                self.carrying = carried[0] if carried else ""
        self._read_commands()

    def _read_lids(self) -> None:
        for command in self.commands:
            if command.verb in ("open", "close"):
                self.lidded.add(command.place)
                (self.closed.add if command.verb == "open" else self.closed.discard)(command.place)

    def _read_place(self, place: str, observation: str, told: bool) -> None:
        if not told:
            (self.closed.add if f"{place} is closed" in observation.lower() else self.closed.discard)(place)
        if place in self.closed:
            return
        no_things = {*self.places, self.carrying}
        things = [name for name in entities(observation) if name not in no_things and kind(name) != _SPOT]
        for thing in things:
            self._remove(thing)
        self.contents[place] = things
        self.searched.add(place)

    def _read_commands(self) -> None:
        """Learn from the commands what the observation left out: other places at this spot, and refusals."""
        near = self.near()
        for command in self.commands:
            if command.verb == "put":
                self.carrying = command.thing
            elif command.verb == "take" and command.thing not in self.contents.get(command.place, ()):
                self._remove(command.thing)
                self.contents.setdefault(command.place, []).append(command.thing)
            elif command.verb == "use" and self.here and not self.whereabouts_of(command.thing):
                self.contents.setdefault(self.here, []).append(command.thing)
        if not self.commands:
            return
        if not self.carrying:
            # With free hands every thing within reach can be taken, so what is not on offer is not there.
            for place in near - self.closed - self.searched:
                self.contents.setdefault(place, [])
                self.searched.add(place)
        else:
            offered = {
                (command.verb, command.place) for command in self.commands if command.thing == self.carrying
            }
            for place in near - self.closed:
                dead_end = ("put", kind(self.carrying), place)
                (self.refused.discard if ("put", place) in offered else self.refused.add)(dead_end)

    def whereabouts_of(self, thing: str) -> str:
        """Return the place where a thing was last seen; empty if it was not, or is carried."""
        return next((place for place, things in self.contents.items() if thing in things), "")


def _shortened(names: list[str], limit: int) -> str:
    return ", ".join(names[:limit]) + (", ..." if len(names) > limit else "")
