"""Search for the objects that make a conjunction true, compiled to closures over indices.

A plan is a chain of steps that fill the slots of an environment, one slot for each variable or constant; the
last step takes what was found. A step returns True to stop the search. The order of the steps is greedy: what
can be checked is checked at once, then the literal that follows from what is known with the fewest rows.
Plans depend on the facts at the start only, so the order of solutions is the same in every run.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from operator import itemgetter
from typing import TypeAlias, TypeVar

from icd_envs.household.facts import FactBase, Facts, Key, Row, Rows
from icd_envs.household.normal_form import Absence, Conjunction
from icd_envs.household.pddl import ROOT_TYPE, Literal, Typed

T = TypeVar("T")

Environment: TypeAlias = list[str]
Step: TypeAlias = Callable[[Facts, Environment, list[T]], bool]
"""Searches on with the slots filled so far, adds what it finds to the list, and says whether to stop."""

Part: TypeAlias = "Literal | Absence | Typed"
"""A literal or absence to make true, or a variable to try all objects for."""

_NOTHING: Rows = {}


class Universe:
    """The objects of a problem by type."""

    def __init__(self, objects: tuple[Typed, ...], parents: Mapping[str, tuple[str, ...]]) -> None:
        self._children = _children(parents)
        self._orders: dict[tuple[str, ...], Callable[[Row], tuple[int, Row]] | None] = {}
        self._type_of = {one.name: one.types[0] for one in objects}
        members: dict[str, dict[str, None]] = {ROOT_TYPE: {}}
        for one in objects:
            reached: dict[str, None] = {}
            waiting = [*one.types, ROOT_TYPE]
            while waiting:
                name = waiting.pop()
                if name not in reached:
                    reached[name] = None
                    waiting.extend(parents.get(name, ()))
            for name in reached:
                members.setdefault(name, {})[one.name] = None
        self._members = {name: tuple(found) for name, found in members.items()}
        self._sets = {name: frozenset(found) for name, found in members.items()}

    def members(self, types: tuple[str, ...]) -> tuple[str, ...]:
        """Return the objects of these types in the order of the problem."""
        if len(types) == 1:
            return self._members.get(types[0], ())
        return tuple(dict.fromkeys(name for one in types for name in self._members.get(one, ())))

    def guard(self, types: tuple[str, ...]) -> frozenset[str] | None:
        """Return the objects that may take these types, or None where every object may."""
        if ROOT_TYPE in types:
            return None
        return frozenset().union(*(self._sets.get(one, frozenset()) for one in types))

    def order(self, types: tuple[str, ...]) -> Callable[[Row], tuple[int, Row]] | None:
        """Return the sort key of rows asked for with these types, or None where it is the row itself.

        Rows whose objects have exactly these types come first, then those with subtypes, level by level.
        """
        if types not in self._orders:
            self._orders[types] = self._order(types)
        return self._orders[types]

    def _order(self, types: tuple[str, ...]) -> Callable[[Row], tuple[int, Row]] | None:
        ranks = {types: 0}
        for signature in (waiting := [types]):
            for i, name in enumerate(signature):
                for child in self._children.get(name, ()):
                    found = (*signature[:i], child, *signature[i + 1 :])
                    if found not in ranks:
                        ranks[found] = len(ranks)
                        waiting.append(found)
        if len(ranks) == 1:
            return None
        type_of, last = self._type_of, len(ranks)
        return lambda row: (ranks.get(tuple(type_of.get(name, "") for name in row), last), row)


def _children(parents: Mapping[str, tuple[str, ...]]) -> dict[str, list[str]]:
    children: dict[str, list[str]] = {}
    for name in sorted(parents):
        for parent in parents[name]:
            if name != ROOT_TYPE:
                children.setdefault(parent, []).append(name)
    return children


@dataclass(slots=True)
class Slots:
    """Where each variable or constant stands in the environment."""

    names: dict[str, int]
    template: Environment

    @classmethod
    def of(cls, terms: tuple[str, ...]) -> Slots:
        """Give the first slots to these terms, in order."""
        slots = cls({}, [])
        for term in terms:
            slots.slot(term)
        return slots

    def slot(self, term: str) -> int:
        """Return the slot of a term; a constant stands in its slot from the beginning."""
        if term not in self.names:
            self.names[term] = len(self.template)
            self.template.append(term)
        return self.names[term]


@dataclass(frozen=True, slots=True)
class Join:
    """Compiles conjunctions for one problem."""

    base: FactBase
    universe: Universe

    def compile(self, conjunction: Conjunction, slots: Slots, then: Step[T]) -> Step[T]:
        """Compile the search for the variables of `conjunction`; its other terms are known from the start."""
        for variable in conjunction.variables:
            slots.slot(variable.name)
        types = {variable.name: variable.types for variable in conjunction.variables}
        step = then
        for part, unbound in reversed(self._order(conjunction)):
            match part:
                case Literal():
                    step = self._literal(part, unbound, types, slots, step)
                case Absence():
                    step = self._absence(part, slots, step)
                case Typed():
                    step = _enumerate(slots.slot(part.name), self.universe.members(part.types), step)
        return step

    def _order(self, conjunction: Conjunction) -> list[tuple[Part, frozenset[str]]]:
        """Return the parts in the order of the search, each with the variables that are unbound before it."""
        unbound = {variable.name: variable for variable in conjunction.variables}
        waiting: list[Literal | Absence] = [*conjunction.literals, *conjunction.absences]
        order: list[tuple[Part, frozenset[str]]] = []
        while waiting or unbound:
            part = self._next(waiting, unbound)
            order.append((part, frozenset(unbound)))
            if isinstance(part, Typed):
                del unbound[part.name]
                continue
            waiting.remove(part)
            if isinstance(part, Literal):
                for term in part.terms:
                    unbound.pop(term, None)
        return order

    def _next(self, waiting: list[Literal | Absence], unbound: dict[str, Typed]) -> Part:
        best: Literal | None = None
        best_cost = (True, 0.0)
        for part in waiting:
            terms = part.terms() if isinstance(part, Absence) else part.terms
            if not any(term in unbound for term in terms):
                return part
            if isinstance(part, Literal) and part.positive and part.predicate != "=":
                places = tuple(i for i, term in enumerate(part.terms) if term not in unbound)
                cost = (not places, self.base.fanout(part.predicate, places))
                if best is None or cost < best_cost:
                    best, best_cost = part, cost
        return best if best is not None else next(iter(unbound.values()))

    def _literal(
        self,
        literal: Literal,
        unbound: frozenset[str],
        types: Mapping[str, tuple[str, ...]],
        slots: Slots,
        then: Step[T],
    ) -> Step[T]:
        terms = literal.terms
        if literal.predicate == "=":
            return _equality(slots.slot(terms[0]), slots.slot(terms[1]), literal.positive, then)
        self.base.declare(literal.predicate)
        places = tuple(i for i, term in enumerate(terms) if term not in unbound)
        if len(places) == len(terms):
            return _check(literal.predicate, row_of(terms, slots), literal.positive, then)
        binds: list[tuple[int, int, frozenset[str] | None]] = []
        repeats: list[tuple[int, int]] = []
        for i, term in enumerate(terms):
            if term in unbound and term in terms[:i]:
                repeats.append((terms.index(term), i))
            elif term in unbound:
                binds.append((i, slots.slot(term), self.universe.guard(types[term])))
        if not places:
            return _scan_all(literal.predicate, binds, repeats, then)
        key = itemgetter(*(slots.slot(terms[i]) for i in places))
        return _scan(self.base.index(literal.predicate, places), key, binds, repeats, then)

    def _absence(self, absence: Absence, slots: Slots, then: Step[T]) -> Step[T]:
        searches: list[Step[None]] = [self.compile(one, slots, found) for one in absence.alternatives]

        def run(facts: Facts, env: Environment, out: list[T]) -> bool:
            ignored: list[None] = []
            if any(search(facts, env, ignored) for search in searches):
                return False
            return then(facts, env, out)

        return run


def exists(join: Join, alternatives: tuple[Conjunction, ...]) -> Callable[[Facts], bool]:
    """Compile a closed condition to a test."""
    plans: list[tuple[Step[None], Slots]] = []
    for one in alternatives:
        slots = Slots.of(())
        plans.append((join.compile(one, slots, found), slots))

    def holds(facts: Facts) -> bool:
        return any(step(facts, slots.template.copy(), []) for step, slots in plans)

    return holds


def row_of(terms: tuple[str, ...], slots: Slots) -> Callable[[Environment], Row]:
    """Return what reads the row of these terms from an environment."""
    places = [slots.slot(term) for term in terms]
    if not places:
        return lambda env: ()
    if len(places) == 1:
        only = places[0]
        return lambda env: (env[only],)
    return itemgetter(*places)


def found(facts: Facts, env: Environment, out: list[T]) -> bool:
    """End a search at the first solution."""
    return True


def _check(predicate: str, row: Callable[[Environment], Row], positive: bool, then: Step[T]) -> Step[T]:
    def run(facts: Facts, env: Environment, out: list[T]) -> bool:
        return (row(env) in facts.rows[predicate]) is positive and then(facts, env, out)

    return run


def _equality(left: int, right: int, positive: bool, then: Step[T]) -> Step[T]:
    def run(facts: Facts, env: Environment, out: list[T]) -> bool:
        return (env[left] == env[right]) is positive and then(facts, env, out)

    return run


def _enumerate(slot: int, objects: tuple[str, ...], then: Step[T]) -> Step[T]:
    def run(facts: Facts, env: Environment, out: list[T]) -> bool:
        for name in objects:
            env[slot] = name
            if then(facts, env, out):
                return True
        return False

    return run


def _scan(
    table: int,
    key: Callable[[Environment], Key],
    binds: list[tuple[int, int, frozenset[str] | None]],
    repeats: list[tuple[int, int]],
    then: Step[T],
) -> Step[T]:
    visit = _visitor(binds, repeats, then)

    def run(facts: Facts, env: Environment, out: list[T]) -> bool:
        return visit(facts.tables[table].get(key(env), _NOTHING), facts, env, out)

    return run


def _scan_all(
    predicate: str,
    binds: list[tuple[int, int, frozenset[str] | None]],
    repeats: list[tuple[int, int]],
    then: Step[T],
) -> Step[T]:
    visit = _visitor(binds, repeats, then)

    def run(facts: Facts, env: Environment, out: list[T]) -> bool:
        return visit(facts.rows[predicate], facts, env, out)

    return run


def _visitor(
    binds: list[tuple[int, int, frozenset[str] | None]], repeats: list[tuple[int, int]], then: Step[T]
) -> Callable[[Rows, Facts, Environment, list[T]], bool]:
    """Return what goes through rows and binds their objects, past those of a wrong type."""
    if len(binds) == 1 and not repeats:
        position, slot, guard = binds[0]

        def visit_one(rows: Rows, facts: Facts, env: Environment, out: list[T]) -> bool:
            for row in rows:
                env[slot] = name = row[position]
                if (guard is None or name in guard) and then(facts, env, out):
                    return True
            return False

        return visit_one

    def visit(rows: Rows, facts: Facts, env: Environment, out: list[T]) -> bool:
        for row in rows:
            for position, slot, guard in binds:
                env[slot] = name = row[position]
                if guard is not None and name not in guard:
                    break
            else:
                if repeats and any(row[a] != row[b] for a, b in repeats):
                    continue
                if then(facts, env, out):
                    return True
        return False

    return visit
