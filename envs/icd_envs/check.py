"""Compare an engine with recorded episodes of another: every observation, every set of admissible commands,
every win.

A transcript is a JSON line with ``game`` (an id), ``reset`` and ``steps``; the reset and each step hold
``feedback``, ``admissible`` and ``won``, a step its ``command`` too. Other keys are not read.
"""

from __future__ import annotations

import json
import lzma
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Literal, TypeAlias

from icd_envs.errors import GameFileError
from icd_envs.game_library import GameLibrary
from icd_envs.household.engine import Engine, Player, Turn
from icd_envs.household.game import Game, GameFile

Field: TypeAlias = Literal["observation", "admissible", "won"]


@dataclass(frozen=True, slots=True)
class RecordedStep:
    """A command and the turn that followed it; the command of the reset is empty."""

    command: str
    turn: Turn


@dataclass(frozen=True, slots=True)
class Transcript:
    """A recorded episode."""

    game: str
    reset: RecordedStep
    steps: tuple[RecordedStep, ...]


@dataclass(frozen=True, slots=True)
class Difference:
    """One field of one step that is not as it was recorded."""

    game: str
    step: int
    """Counted from 1; 0 is the reset."""
    command: str
    field: Field
    expected: str
    found: str

    def __str__(self) -> str:
        where = f"step {self.step} ({self.command!r})" if self.step else "reset"
        return f"{self.game}, {where}: {self.field}\n  recorded: {self.expected}\n  found:    {self.found}"


@dataclass(frozen=True, slots=True)
class CheckReport:
    """The outcome of a comparison; `str` is its one line."""

    episodes: int
    steps: int
    """Commands; resets are compared too but not counted."""
    differences: int
    first: tuple[Difference, ...]
    """The first of the differences, for display."""

    def __str__(self) -> str:
        return f"{self.episodes} episodes, {self.steps} steps, {self.differences} differences"


def check(
    transcripts: Iterable[Transcript],
    library: GameLibrary,
    keep: int = 5,
    player: Callable[[GameFile], Player] | None = None,
) -> CheckReport:
    """Play transcripts and compare. A game that is not in the library raises `TaskNotFoundError`."""
    make = player if player is not None else _our_engine
    episodes = steps = differences = 0
    first: list[Difference] = []
    current: tuple[str, Player] | None = None
    for transcript in transcripts:
        if current is None or current[0] != transcript.game:
            current = (transcript.game, make(library.file(transcript.game)))
        episodes += 1
        steps += len(transcript.steps)
        for difference in compare(transcript, current[1]):
            differences += 1
            if len(first) < keep:
                first.append(difference)
    return CheckReport(episodes, steps, differences, tuple(first))


def compare(transcript: Transcript, player: Player) -> Iterator[Difference]:
    """Play one transcript and yield what differs."""
    turn = player.reset()
    for number, recorded in enumerate(chain((transcript.reset,), transcript.steps)):
        if number:
            turn = player.step(recorded.command)
        for field, expected, found in _unequal(recorded.turn, turn):
            yield Difference(transcript.game, number, recorded.command, field, expected, found)


def read_transcripts(path: Path) -> Iterator[Transcript]:
    """Read a ``.jsonl`` or ``.jsonl.xz`` file line by line. Raises `GameFileError`."""
    try:
        with lzma.open(path, "rb") if path.suffix == ".xz" else path.open("rb") as file:
            for number, line in enumerate(file, 1):
                if line.strip():
                    yield _transcript(line, f"{path}:{number}")
    except (OSError, EOFError, lzma.LZMAError) as error:
        raise GameFileError(f"cannot read transcripts {path}: {error}") from error


def _our_engine(file: GameFile) -> Player:
    return Engine(Game.load(file))


def _unequal(recorded: Turn, turn: Turn) -> Iterator[tuple[Field, str, str]]:
    if recorded.observation != turn.observation:
        yield "observation", repr(recorded.observation), repr(turn.observation)
    expected, found = set(recorded.admissible), set(turn.admissible)
    if expected != found:
        yield "admissible", f"also {sorted(expected - found)}", f"also {sorted(found - expected)}"
    if recorded.won != turn.won:
        yield "won", str(recorded.won), str(turn.won)


def _transcript(line: bytes, where: str) -> Transcript:
    try:
        data = json.loads(line)
        steps = tuple(RecordedStep(_string(step["command"]), _turn(step)) for step in data["steps"])
        return Transcript(_string(data["game"]), RecordedStep("", _turn(data["reset"])), steps)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise GameFileError(f"{where}: not a transcript: {error!r}") from error


def _turn(data: dict[str, object]) -> Turn:
    admissible, won = data["admissible"], data["won"]
    if not isinstance(admissible, list) or not isinstance(won, bool):
        raise TypeError("'admissible' must be a list and 'won' true or false")
    return Turn(_string(data["feedback"]), tuple(map(_string, admissible)), won)


def _string(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"expected a text, found {value!r:.40}")
    return value
