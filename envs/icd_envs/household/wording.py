"""Texts of a game compiled against its facts: what a symbol says depends on the state.

A text is compiled for the variables that are known where it stands. A condition is a conjunction ``p(a:type)
& q(a, b:type)``; its solutions come in the order of its literals, each literal's facts in alphabetical order,
and different variables stand for different objects. That order is the order of listings, so it is part of
what an agent sees. ``not_p`` holds for the facts that an action has made false.

Texts read the state. (In the published engine they see a conditional effect as if it had always happened; no
published game has a text that reads such a fact.)
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from operator import itemgetter
from typing import NamedTuple, TypeAlias, TypeVar

from icd_envs.errors import GameFileError
from icd_envs.household.actions import NEGATED
from icd_envs.household.expressions import compile_expression
from icd_envs.household.facts import FactBase, Facts
from icd_envs.household.grammar import Each, Expression, Grammar, Listing, Piece, Symbol, Words
from icd_envs.household.joins import Environment, Step, Universe, found
from icd_envs.household.naming import Entity

T = TypeVar("T")

Text: TypeAlias = Callable[[Facts, Environment], str]
_Texts: TypeAlias = Callable[[Facts, Environment], list[str]]

_ATOM = re.compile(r"\s*([\w/!]+)\s*\(([^()]*)\)\s*(?:&|$)")
_LIST_EMPTY, _LIST_SEPARATOR, _LIST_LAST = "list_empty", "list_separator", "list_last_separator"


class Variable(NamedTuple):
    """A variable of the wording: the same name with another type is another variable."""

    name: str
    type: str


@dataclass(frozen=True, slots=True)
class Scope:
    """The variables known at a place in a text, in the order in which they became known."""

    variables: tuple[Variable, ...] = ()

    def slot(self, variable: Variable) -> int | None:
        """Return the slot of a variable, or None."""
        return self.variables.index(variable) if variable in self.variables else None

    def named(self) -> dict[str, int]:
        """Return the slot for each name; the variable that became known last has it."""
        return {variable.name: slot for slot, variable in enumerate(self.variables)}

    def extended(self, variables: tuple[Variable, ...]) -> Scope:
        """Return the scope in which these are known too."""
        return Scope(self.variables + tuple(one for one in variables if one not in self.variables))


class CompiledText(NamedTuple):
    """A text ready to be said for the objects in the first slots."""

    say: Text
    fixed: bool
    """It reads no fact that can change: for the same objects it is always the same."""


@dataclass(slots=True)
class _Later:
    """A symbol's text that is being compiled: a rule may mention its own symbol."""

    say: Text | None = None


@dataclass(slots=True)
class Wording:
    """Compiles the texts of one game."""

    grammar: Grammar
    base: FactBase
    universe: Universe
    entities: Mapping[str, Entity]
    arities: Mapping[str, int]
    """The predicates of the domain, and how many objects each takes."""
    _fixed: bool = field(default=True, init=False)
    _symbols: dict[tuple[str, Scope], _Later] = field(default_factory=dict, init=False)

    def compile(self, pieces: tuple[Piece, ...], parameters: tuple[Variable, ...]) -> CompiledText:
        """Compile a text in which `parameters` are known, in the first slots."""
        self._fixed = True
        self._symbols.clear()
        say = self._text(pieces, Scope(parameters))
        return CompiledText(say, self._fixed)

    def _text(self, pieces: tuple[Piece, ...], scope: Scope) -> Text:
        parts = [self._piece(piece, scope) for piece in pieces]
        if len(parts) == 1:
            return parts[0]
        return lambda facts, env: "".join([part(facts, env) for part in parts])

    def _piece(self, piece: Piece, scope: Scope) -> Text:
        match piece:
            case Words(text):
                return lambda facts, env: text
            case Symbol(name):
                return self._symbol(name, scope)
            case Each(item, ""):
                return self._item(item, scope)
            case Each():
                texts = self._each(piece, scope)
                return lambda facts, env: "".join(texts(facts, env))
            case Listing(each):
                return self._listing(each, scope)

    def _symbol(self, name: str, scope: Scope) -> Text:
        later = self._symbols.get((name, scope))
        if later is None:
            later = self._symbols[name, scope] = _Later()
            later.say = self._rules(name, scope)
            return later.say
        if later.say is not None:
            return later.say
        waiting = later

        def say(facts: Facts, env: Environment) -> str:
            return "" if waiting.say is None else waiting.say(facts, env)

        return say

    def _rules(self, name: str, scope: Scope) -> Text:
        rules = self.grammar.rules.get(name)
        if not rules:
            raise GameFileError(f"the text grammar has no rule for {name!r}")
        choices: list[tuple[Step[None] | None, Text]] = []
        for rule in rules:
            test = self._query(rule.condition, scope, found)[0] if rule.condition else None
            choices.append((test, self._text(rule.pieces, scope)))
            if test is None:
                break
        if len(choices) == 1 and choices[0][0] is None:
            return choices[0][1]

        def say(facts: Facts, env: Environment) -> str:
            for test, text in choices:
                if test is None or test(facts, env.copy(), []):
                    return text(facts, env)
            raise GameFileError(f"no rule of the text grammar applies for {name!r}")

        return say

    def _expression(self, source: str, scope: Scope) -> Text:
        value = compile_expression(source, scope.named())
        entities = self.entities
        return lambda facts, env: str(value(entities, env))

    def _each(self, each: Each, scope: Scope) -> _Texts:
        if not each.given:
            only = self._item(each.item, scope)
            return lambda facts, env: [only(facts, env)]
        inner = scope.extended(_new_variables(each.given, scope))
        item = self._item(each.item, inner)

        def visit(facts: Facts, env: Environment, out: list[str]) -> bool:
            out.append(item(facts, env))
            return False

        search, _ = self._query(each.given, scope, visit)

        def texts(facts: Facts, env: Environment) -> list[str]:
            out: list[str] = []
            search(facts, env.copy(), out)
            return out

        return texts

    def _item(self, item: Symbol | Expression, scope: Scope) -> Text:
        return (
            self._symbol(item.name, scope)
            if isinstance(item, Symbol)
            else self._expression(item.source, scope)
        )

    def _listing(self, each: Each, scope: Scope) -> Text:
        texts = self._each(each, scope)
        empty, separator, last = (
            self._optional(n, scope) for n in (_LIST_EMPTY, _LIST_SEPARATOR, _LIST_LAST)
        )

        def say(facts: Facts, env: Environment) -> str:
            items = texts(facts, env)
            if not items:
                return empty(facts, env)
            if len(items) == 1:
                return items[0]
            return separator(facts, env).join(items[:-1]) + last(facts, env) + items[-1]

        return say

    def _optional(self, name: str, scope: Scope) -> Text:
        """Compile a symbol that the grammar may leave out as long as it is not needed."""
        if name in self.grammar.rules:
            return self._symbol(name, scope)

        def say(facts: Facts, env: Environment) -> str:
            raise GameFileError(f"the text grammar has no rule for {name!r}")

        return say

    def _query(self, condition: str, scope: Scope, then: Step[T]) -> tuple[Step[T], Scope]:
        """Compile the search for the solutions of a condition."""
        scopes = [scope]
        atoms = _parse_condition(condition)
        for _, variables in atoms:
            scopes.append(scopes[-1].extended(variables))
        step: Step[T] = then
        for (predicate, variables), before in zip(reversed(atoms), reversed(scopes[:-1]), strict=True):
            step = self._atom(predicate, variables, before, step)
        return _widened(step, len(scope.variables), len(scopes[-1].variables)), scopes[-1]

    def _atom(self, predicate: str, variables: tuple[Variable, ...], scope: Scope, then: Step[T]) -> Step[T]:
        self._track(predicate, len(variables))
        after = scope.extended(variables)
        slots = [after.variables.index(variable) for variable in variables]
        known = len(scope.variables)
        places = tuple(i for i, slot in enumerate(slots) if slot < known)
        binds: list[tuple[int, int]] = []
        same: list[tuple[int, int]] = []
        for i, slot in enumerate(slots):
            if slot in slots[:i]:
                same.append((slots.index(slot), i))
            elif slot >= known:
                binds.append((i, slot))
        guards = [(i, self.universe.guard((variables[i].type,))) for i, _ in binds]
        strict_guards = [(i, allowed) for i, allowed in guards if allowed is not None]
        arity = len(variables)
        order = self.universe.order(tuple(variable.type for variable in variables))
        table = self.base.index(predicate, places) if places else None
        key = itemgetter(*(slots[i] for i in places)) if places else None

        def run(facts: Facts, env: Environment, out: list[T]) -> bool:
            rows = (
                facts.rows[predicate]
                if table is None or key is None
                else facts.tables[table].get(key(env), {})
            )
            for row in sorted(rows, key=order) if len(rows) > 1 else list(rows):
                if len(row) != arity or any(row[i] != row[j] for i, j in same):
                    continue
                if any(row[i] not in allowed for i, allowed in strict_guards):
                    continue
                for i, slot in binds:
                    if row[i] in env[:slot]:
                        break
                    env[slot] = row[i]
                else:
                    if then(facts, env, out):
                        return True
            return False

        return run

    def _track(self, predicate: str, arity: int) -> None:
        denied = predicate.removeprefix(NEGATED)
        is_denial = predicate not in self.arities and denied in self.arities and denied != predicate
        if self.arities.get(denied if is_denial else predicate, arity) != arity:
            raise GameFileError(f"the text grammar asks for {predicate!r} with {arity} objects")
        self.base.declare(predicate, fluent=is_denial and self.base.is_fluent(denied))
        if self.base.is_fluent(predicate):
            self._fixed = False


def _widened(step: Step[T], known: int, width: int) -> Step[T]:
    """Give a search room for its new variables."""
    room = [""] * (width - known)
    if not room:
        return step

    def run(facts: Facts, env: Environment, out: list[T]) -> bool:
        return step(facts, env[:known] + room, out)

    return run


def _new_variables(condition: str, scope: Scope) -> tuple[Variable, ...]:
    mentioned = (variable for _, variables in _parse_condition(condition) for variable in variables)
    return tuple(dict.fromkeys(variable for variable in mentioned if scope.slot(variable) is None))


@lru_cache(maxsize=1024)
def _parse_condition(condition: str) -> tuple[tuple[str, tuple[Variable, ...]], ...]:
    atoms: list[tuple[str, tuple[Variable, ...]]] = []
    position = 0
    while position < len(condition):
        match = _ATOM.match(condition, position)
        if match is None:
            raise GameFileError(f"a condition of the text grammar cannot be read: {condition!r}")
        variables = []
        for argument in match[2].split(","):
            name, _, kind = (part.strip() for part in argument.partition(":"))
            if name:
                variables.append(Variable(name, kind or name))
        atoms.append((match[1], tuple(variables)))
        position = match.end()
    return tuple(atoms)
