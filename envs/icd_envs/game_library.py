"""Where published games are found: compact packs and unpacked trees, looked up by game id.

A **tree** is what ``alfworld-download`` lays out: ``json_2.1.1/<split>/<task>/<trial>/game.tw-pddl``. A
**pack** is a folder with ``common.json`` (the domain and grammar of all its games, ``@GOAL@`` for the task
sentence) and one ``<split>.jsonl.xz`` for each split, a game a line. A pack's ``common.json`` decides the
command set: another one beside the same lines gives the same games with other commands. A game's id is
``<split>/<task>/<trial>`` in both.
"""

from __future__ import annotations

import json
import lzma
import os
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Protocol

from icd_envs.errors import GameFileError, TaskNotFoundError
from icd_envs.household.game import GameFile
from icd_envs.household.grammar import task_sentence

PACK_VARIABLE = "ICD_ALFWORLD_PACK"
TREE_VARIABLE = "ALFWORLD_DATA"

_TREE_FOLDER = "json_2.1.1"
_GAME_NAME = "game.tw-pddl"
_COMMON_NAME = "common.json"
_LINES_SUFFIX = ".jsonl.xz"
_GOAL_MARK = "@GOAL@"
_UNPLAYABLE = ("movable", "Sliced")
"""Parts of task names that the published loader leaves out: the text engine cannot play these tasks."""
_HOW_TO_GET = (
    f"run 'alfworld-download' and set {TREE_VARIABLE} to its folder, set {PACK_VARIABLE} to a folder "
    "with a compact pack, or name either with --games PATH"
)


@dataclass(frozen=True, slots=True)
class PublishedGame:
    """What a list of games says about each."""

    id: str
    """``<split>/<task>/<trial>``"""
    goal: str

    @property
    def split(self) -> str:
        """The split that the game belongs to."""
        return self.id.split("/")[0]

    @property
    def category(self) -> str:
        """The kind of task: what the task's name says before the first hyphen."""
        return self.id.split("/")[1].split("-")[0]

    @property
    def trial(self) -> str:
        """The trial, which is the same wherever the same game is listed."""
        return self.id.split("/")[2]


class GameSource(Protocol):
    """A place with games."""

    path: Path

    def splits(self) -> tuple[str, ...]:
        """Return the splits that have games here."""

    def ids(self, split: str) -> Sequence[str]:
        """Return the ids of a split's games, sorted; none for a split that is not here."""

    def game(self, game_id: str) -> PublishedGame:
        """Describe a game. Raises `TaskNotFoundError`."""

    def file(self, game_id: str) -> GameFile:
        """Return a game. Raises `TaskNotFoundError`, or `GameFileError` for one that is damaged."""


class GamePack:
    """A compact pack. A split is read when it is first asked for; its lines are kept compressed."""

    def __init__(self, path: Path) -> None:
        """Open the pack in the folder `path`. Raises `GameFileError`."""
        self.path = path
        try:
            common = json.loads((path / _COMMON_NAME).read_text(encoding="utf-8"))
            self._domain, self._grammar = str(common["pddl_domain"]), str(common["grammar"])
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            raise GameFileError(
                f"cannot read {path / _COMMON_NAME} of a game pack: {error!r:.300}"
            ) from error
        self._lines: dict[str, Mapping[str, bytes]] = {}
        self._lock = Lock()

    def splits(self) -> tuple[str, ...]:
        """Return the splits of which the pack has a file."""
        names = (file.name for file in self.path.glob("*" + _LINES_SUFFIX))
        return tuple(sorted(name.removesuffix(_LINES_SUFFIX) for name in names if name[0] != "."))

    def ids(self, split: str) -> Sequence[str]:
        """Return the ids of a split's games, sorted."""
        return sorted(self._split(split))

    def game(self, game_id: str) -> PublishedGame:
        """Describe a game."""
        return PublishedGame(game_id, _text(self._row(game_id), "goal"))

    def file(self, game_id: str) -> GameFile:
        """Return a game."""
        row = self._row(game_id)
        walkthrough = row.get("walkthrough")
        return GameFile(
            pddl_domain=self._domain,
            grammar=self._grammar.replace(_GOAL_MARK, _text(row, "goal")),
            pddl_problem=_text(row, "pddl_problem"),
            walkthrough=tuple(map(str, walkthrough)) if isinstance(walkthrough, list) else (),
        )

    def _row(self, game_id: str) -> Mapping[str, object]:
        line = self._split(game_id.split("/")[0]).get(game_id)
        if line is None:
            raise TaskNotFoundError(f"no game {game_id[:200]!r} in {self.path}")
        row: dict[str, object] = json.loads(zlib.decompress(line))
        return row

    def _split(self, split: str) -> Mapping[str, bytes]:
        with self._lock:
            if split not in self._lines:
                path = self.path / (split + _LINES_SUFFIX)
                self._lines[split] = _read_lines(path) if split in self.splits() else {}
            return self._lines[split]


class GameTree:
    """An unpacked tree of game files; files are read when they are asked for."""

    def __init__(self, path: Path) -> None:
        """Open the tree at `path`: a folder with `json_2.1.1`, or that folder itself."""
        inner = path / _TREE_FOLDER
        self.path = inner if inner.is_dir() else path
        if not self.path.is_dir():
            raise GameFileError(f"no folder {path}; {_HOW_TO_GET}")

    def splits(self) -> tuple[str, ...]:
        """Return the folders that hold games."""
        found = {file.parts[-4] for file in self.path.glob(f"*/*/*/{_GAME_NAME}")}
        return tuple(sorted(found))

    def ids(self, split: str) -> Sequence[str]:
        """Return the ids of a split's games that the published loader would play, sorted."""
        files = (self.path / split).glob(f"*/*/{_GAME_NAME}") if split else ()
        named = ("/".join(file.parts[-4:-1]) for file in files if _playable(file))
        return sorted(named)

    def game(self, game_id: str) -> PublishedGame:
        """Describe a game; its sentence is what its wording says about the task."""
        return PublishedGame(game_id, task_sentence(self.file(game_id).grammar))

    def file(self, game_id: str) -> GameFile:
        """Return a game."""
        path = self.path / game_id / _GAME_NAME
        # An id is data from elsewhere (a transcript): it must not lead out of the tree.
        if len(Path(game_id).parts) != 3 or ".." in Path(game_id).parts or not path.is_file():
            raise TaskNotFoundError(f"no game {game_id[:200]!r} in {self.path}")
        return GameFile.read(path)


class GameLibrary:
    """Games from several places; the first place that has a game gives it."""

    def __init__(self, sources: Sequence[GameSource]) -> None:
        """Look in these places, in this order."""
        self.sources = tuple(sources)

    @classmethod
    def at(cls, paths: Iterable[str | Path]) -> GameLibrary:
        """Open packs and trees. Raises `GameFileError` for a path that is neither."""
        return cls([open_source(Path(path)) for path in paths])

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> GameLibrary:
        """Open what `ICD_ALFWORLD_PACK` and `ALFWORLD_DATA` name; at least one must be there."""
        sources: list[GameSource] = []
        problems: list[str] = []
        for name in (PACK_VARIABLE, TREE_VARIABLE):
            if value := environment.get(name):
                try:
                    sources.append(open_source(Path(value)))
                except GameFileError as error:
                    problems.append(f"{name}: {error}")
        if not sources:
            raise GameFileError("; ".join(problems) or f"no published games: {_HOW_TO_GET}")
        return cls(sources)

    def splits(self) -> tuple[str, ...]:
        """Return the splits that have games somewhere."""
        return tuple(sorted({split for source in self.sources for split in source.splits()}))

    def ids(self, split: str) -> Sequence[str]:
        """Return the ids of a split's games, sorted. Raises `TaskNotFoundError` where there are none."""
        found = sorted({game_id for source in self.sources for game_id in source.ids(split)})
        if not found:
            raise TaskNotFoundError(f"no games of split {split!r} in {self._places()}; {_HOW_TO_GET}")
        return found

    def game(self, game_id: str) -> PublishedGame:
        """Describe a game. Raises `TaskNotFoundError`."""
        for source in self.sources:
            try:
                return source.game(game_id)
            except TaskNotFoundError:
                continue
        raise self._missing(game_id)

    def file(self, game_id: str) -> GameFile:
        """Return a game. Raises `TaskNotFoundError`, or `GameFileError` for one that is damaged."""
        for source in self.sources:
            try:
                return source.file(game_id)
            except TaskNotFoundError:
                continue
        raise self._missing(game_id)

    def _missing(self, game_id: str) -> TaskNotFoundError:
        return TaskNotFoundError(f"no game {game_id[:200]!r} in {self._places()}; {_HOW_TO_GET}")

    def _places(self) -> str:
        return " or ".join(str(source.path) for source in self.sources) or "no place at all"


def open_source(path: Path) -> GameSource:
    """Open a pack or a tree, whichever lies at `path`. Raises `GameFileError`."""
    if (path / _COMMON_NAME).is_file():
        return GamePack(path)
    if not path.is_dir():
        raise GameFileError(f"no folder {path}; {_HOW_TO_GET}")
    tree = GameTree(path)
    if next(tree.path.glob(f"*/*/*/{_GAME_NAME}"), None) is None:
        raise GameFileError(
            f"{path} is neither a game pack (no {_COMMON_NAME}) nor a tree "
            f"(no <split>/<task>/<trial>/{_GAME_NAME}); {_HOW_TO_GET}"
        )
    return tree


def _read_lines(path: Path) -> Mapping[str, bytes]:
    lines: dict[str, bytes] = {}
    try:
        with lzma.open(path, "rb") as file:
            for line in file:
                game_id = _text(json.loads(line), "id")
                lines[game_id] = zlib.compress(line, 1)
    except (OSError, lzma.LZMAError, EOFError, ValueError, RecursionError) as error:
        raise GameFileError(f"cannot read the game pack file {path}: {error!r:.300}") from error
    return lines


def _playable(file: Path) -> bool:
    if any(part in name for part in _UNPLAYABLE for name in file.parts[-3:-1]):
        return False
    return GameFile.read(file).solvable


def _text(row: object, key: str) -> str:
    value = row.get(key) if isinstance(row, dict) else None
    if not isinstance(value, str):
        raise GameFileError(f"a game of the pack has no {key!r}")
    return value
