"""A game: a world, its goal and its wording, read from a game file and ready to be played.

A `Game` does not change once it is made, so threads may share it; each episode runs in an `engine.Engine` of
its own. The domain and the wording are the same in many games, so what is read from them is kept for the next
game.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TypeAlias

from icd_envs.errors import GameFileError
from icd_envs.household.actions import Action, compile_action
from icd_envs.household.facts import FactBase, Facts
from icd_envs.household.grammar import Grammar, parse_grammar, parse_text
from icd_envs.household.joins import Join, Universe, exists
from icd_envs.household.naming import Entity, name_entities
from icd_envs.household.normal_form import alternatives
from icd_envs.household.pddl import Domain, Literal, Problem, Typed, literals_of, parse_domain, parse_problem
from icd_envs.household.wording import CompiledText, Variable, Wording

_INTRO = "#intro#"

_parse_domain = lru_cache(maxsize=16)(parse_domain)


@dataclass(frozen=True, slots=True)
class GameFile:
    """What a ``game.tw-pddl`` file holds."""

    pddl_domain: str
    grammar: str
    pddl_problem: str
    walkthrough: tuple[str, ...] = ()
    """Commands that solve the game, where the file has them."""
    solvable: bool = True

    @classmethod
    def from_json(cls, text: str) -> GameFile:
        """Read the text of a game file. Raises `GameFileError`."""
        try:
            data = json.loads(text)
            return cls(
                pddl_domain=_string(data["pddl_domain"]),
                grammar=_string(data["grammar"]),
                pddl_problem=_string(data["pddl_problem"]),
                walkthrough=tuple(map(_string, data.get("walkthrough") or ())),
                solvable=bool(data.get("solvable", True)),
            )
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise GameFileError(
                f"not a game file: {error!r}; it needs JSON with 'pddl_domain', 'grammar' and 'pddl_problem'"
            ) from error

    @classmethod
    def read(cls, path: Path) -> GameFile:
        """Read a game file from disk. Raises `GameFileError`."""
        try:
            return cls.from_json(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError) as error:
            raise GameFileError(f"cannot read game file {path}: {error}") from error


@dataclass(frozen=True, slots=True)
class Move:
    """An action and the words that command and answer it."""

    action: Action
    command: CompiledText
    feedback: CompiledText


Holds: TypeAlias = Callable[[Facts], bool]


@dataclass(frozen=True, slots=True)
class Game:
    """A game ready to be played by any number of engines at once."""

    moves: tuple[Move, ...]
    intro: CompiledText
    goal: Holds
    goal_reads: frozenset[str]
    """The predicates on which the goal depends."""
    base: FactBase
    entities: Mapping[str, Entity]
    walkthrough: tuple[str, ...] = ()

    @classmethod
    def load(cls, file: GameFile) -> Game:
        """Compile a game. Raises `GameFileError`, which then says what is wrong with the file."""
        domain = _parse_domain(file.pddl_domain)
        problem = parse_problem(file.pddl_problem)
        return _compile(domain, parse_grammar(file.grammar), problem, file.walkthrough)

    @classmethod
    def read(cls, path: Path) -> Game:
        """Read and compile a game file."""
        try:
            return cls.load(GameFile.read(path))
        except GameFileError as error:
            if str(path) in str(error):
                raise
            raise GameFileError(f"{path}: {error}") from error

    def episode(self) -> Facts:
        """Return the facts at the start, for one episode to change."""
        return self.base.episode()


def _compile(domain: Domain, grammar: Grammar, problem: Problem, walkthrough: tuple[str, ...]) -> Game:
    arities = _arities(domain, problem)
    objects = tuple(dict.fromkeys(domain.constants + problem.objects))
    base = FactBase(problem.facts, domain.fluents)
    universe = Universe(objects, domain.parents)
    join = Join(base, universe)
    entities = _entities(objects, problem)
    wording = Wording(grammar, base, universe, entities, arities)
    goal = alternatives(problem.goal)
    return Game(
        moves=tuple(_moves(domain, grammar, join, wording)),
        intro=wording.compile(parse_text(_INTRO), ()),
        goal=exists(join, goal),
        goal_reads=frozenset().union(*(one.predicates() for one in goal)),
        base=base,
        entities=entities,
        walkthrough=walkthrough,
    )


def _arities(domain: Domain, problem: Problem) -> dict[str, int]:
    """Return how many objects each predicate takes. Raises `GameFileError` where uses do not agree."""
    arities = {name: len(parameters) for name, parameters in domain.predicates.items()} | {"=": 2}
    used = [(literal.predicate, literal.terms) for literal in _literals(domain, problem)]
    for name, terms in (*used, *problem.facts):
        if arities.setdefault(name, len(terms)) != len(terms):
            raise GameFileError(f"PDDL predicate {name!r} takes {arities[name]} objects, found {terms}")
    return arities


def _literals(domain: Domain, problem: Problem) -> Iterator[Literal]:
    yield from literals_of(problem.goal)
    for action in domain.actions:
        yield from literals_of(action.precondition)
        for effect in action.effects:
            yield effect.literal
            if effect.condition is not None:
                yield from literals_of(effect.condition)


def _moves(domain: Domain, grammar: Grammar, join: Join, wording: Wording) -> Iterator[Move]:
    for schema in domain.actions:
        text = grammar.actions.get(schema.name)
        if text is None:
            raise GameFileError(f"the text grammar says nothing about the action {schema.name!r}")
        action = compile_action(schema, join)
        parameters = tuple(Variable(name, kind) for name, kind in action.parameters)
        yield Move(
            action, wording.compile(text.template, parameters), wording.compile(text.feedback, parameters)
        )


def _entities(objects: tuple[Typed, ...], problem: Problem) -> dict[str, Entity]:
    """Name the objects; only those in a fact are numbered, for the others take no part."""
    types = {one.name: one.types[0] for one in objects}
    entities = {name: Entity(name, kind, name) for name, kind in types.items()}
    return entities | name_entities((name for _, row in problem.facts for name in row), types)


def _string(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"expected a text, found {type(value).__name__}")
    return value
