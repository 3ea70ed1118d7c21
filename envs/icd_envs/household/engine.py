"""Plays a game: commands in, observations out.

One engine is one episode at a time and belongs to one thread; the game it plays may be shared. The engine
knows no step limit and no expert; `world.HouseholdWorld` adds them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from icd_envs.errors import EngineError
from icd_envs.household.facts import Facts, Row
from icd_envs.household.game import Game, Move

NOTHING_HAPPENS = "Nothing happens."
"""The observation after a command that is not admissible."""


@dataclass(frozen=True, slots=True)
class Turn:
    """What can be seen and done after a command."""

    observation: str
    admissible: tuple[str, ...]
    """The commands that do something now, in alphabetical order."""
    won: bool


class Player(Protocol):
    """Plays one game: our `Engine`, or another that does the same."""

    def reset(self) -> Turn:
        """Start the game over."""

    def step(self, command: str) -> Turn:
        """Do a command."""


class Engine:
    """Runs episodes of one game."""

    def __init__(self, game: Game) -> None:
        self.game = game
        self._facts: Facts | None = None
        self._turn: Turn | None = None
        self._options: list[dict[str, Row]] = [{} for _ in game.moves]
        self._commands: dict[str, tuple[Move, Row]] = {}
        self._spoken: list[dict[Row, str]] = [{} for _ in game.moves]

    @property
    def turn(self) -> Turn:
        """The last turn. Raises `EngineError` before `reset`."""
        if self._turn is None:
            raise EngineError("the episode has not begun: call reset() first")
        return self._turn

    def reset(self) -> Turn:
        """Start the game over."""
        facts = self._facts = self.game.episode()
        self._offer(facts, None)
        self._turn = Turn(
            self.game.intro.say(facts, []), tuple(sorted(self._commands)), self.game.goal(facts)
        )
        return self._turn

    def step(self, command: str) -> Turn:
        """Do a command. One that is not admissible, letter for letter, changes nothing."""
        before, facts = self.turn, self._facts
        chosen = self._commands.get(command.strip())
        if chosen is None or facts is None:
            self._turn = Turn(NOTHING_HAPPENS, before.admissible, before.won)
            return self._turn
        move, arguments = chosen
        changed = move.action.apply(facts, arguments)
        observation = move.feedback.say(facts, list(arguments))
        admissible, won = before.admissible, before.won
        if self._offer(facts, changed):
            admissible = tuple(sorted(self._commands))
        if changed & self.game.goal_reads:
            won = self.game.goal(facts)
        self._turn = Turn(observation, admissible, won)
        return self._turn

    def _offer(self, facts: Facts, changed: frozenset[str] | None) -> bool:
        """Bring the commands up to date after changes (None: all is new); returns whether any may differ."""
        stale = [
            number
            for number, move in enumerate(self.game.moves)
            if changed is None or not move.command.fixed or changed & move.action.reads
        ]
        for number in stale:
            self._options[number] = self._speak(number, facts)
        if stale:
            self._commands = {}
            for move, options in zip(self.game.moves, self._options, strict=True):
                for command, arguments in options.items():
                    self._commands.setdefault(command, (move, arguments))
        return bool(stale)

    def _speak(self, number: int, facts: Facts) -> dict[str, Row]:
        move, spoken = self.game.moves[number], self._spoken[number]
        options: dict[str, Row] = {}
        for arguments in move.action.possible(facts):
            command = spoken.get(arguments)
            if command is None:
                command = move.command.say(facts, list(arguments))
                if move.command.fixed:
                    spoken[arguments] = command
            options.setdefault(command, arguments)
        return options
