"""The actions of a problem: which are possible in a state, and what they change.

As in planners, an action that cannot change anything, because each of its effects is already among its
preconditions (going to where one is), is not an action: it is never possible.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from icd_envs.household.facts import Facts, Row
from icd_envs.household.joins import Environment, Join, Slots, Step, row_of
from icd_envs.household.normal_form import Conjunction, alternatives
from icd_envs.household.pddl import ActionSchema, Effect, Literal

GroundLiteral: TypeAlias = tuple[str, Row]
_Reader: TypeAlias = tuple[str, Callable[[Environment], Row]]

NEGATED = "not_"
"""Prefix of the predicate that holds the facts which an action made false; wording may ask for them."""


@dataclass(frozen=True, slots=True)
class Action:
    """An action schema compiled for one problem."""

    name: str
    parameters: tuple[tuple[str, str], ...]
    """Name (without ``?``) and type of each parameter."""
    reads: frozenset[str]
    """The predicates on which its being possible depends."""
    possible: Callable[[Facts], list[Row]]
    """Returns the arguments for which it can be done now, each once."""
    apply: Callable[[Facts, Row], frozenset[str]]
    """Does it; returns the predicates whose facts changed."""


def compile_action(schema: ActionSchema, join: Join) -> Action:
    """Compile one schema."""
    choices = alternatives(schema.precondition, schema.parameters)
    searches = [_search(one, schema, join) for one in choices]

    def possible(facts: Facts) -> list[Row]:
        rows: list[Row] = []
        for step, template in searches:
            step(facts, template.copy(), rows)
        return list(dict.fromkeys(rows))

    return Action(
        name=schema.name,
        parameters=tuple((one.name.removeprefix("?"), one.types[0]) for one in schema.parameters),
        reads=frozenset().union(*(one.predicates() for one in choices)),
        possible=possible,
        apply=_compile_effects(schema, join),
    )


def _search(choice: Conjunction, schema: ActionSchema, join: Join) -> tuple[Step[Row], Environment]:
    slots = Slots.of(tuple(one.name for one in schema.parameters))
    arity = len(schema.parameters)

    def emit(facts: Facts, env: Environment, out: list[Row]) -> bool:
        out.append(tuple(env[:arity]))
        return False

    then: Step[Row] = emit
    idle = _idle_test(choice.literals, schema.effects, slots)
    if idle is not None:
        then = _unless(idle, emit)
    return join.compile(choice, slots, then), slots.template


def _unless(idle: Callable[[Environment], bool], then: Step[Row]) -> Step[Row]:
    def run(facts: Facts, env: Environment, out: list[Row]) -> bool:
        return not idle(env) and then(facts, env, out)

    return run


def _idle_test(
    given: tuple[Literal, ...], effects: tuple[Effect, ...], slots: Slots
) -> Callable[[Environment], bool] | None:
    """Return the test whether the action cannot change anything, or None where it always can."""
    plain = [effect.literal for effect in effects if not effect.variables and effect.condition is None]
    if len(plain) < len(effects):
        return None
    for literal in plain:
        same = any(one.predicate == literal.predicate and one.positive == literal.positive for one in given)
        undone = not literal.positive and any(
            one.positive and one.predicate == literal.predicate for one in plain
        )
        if not same and not undone:
            return None
    adds, deletes = _readers(plain, True, slots), _readers(plain, False, slots)
    holds, lacks = _readers(given, True, slots), _readers(given, False, slots)

    def idle(env: Environment) -> bool:
        held = [(name, row(env)) for name, row in holds]
        added = [(name, row(env)) for name, row in adds]
        if any(one not in held for one in added):
            return False
        lacked = [(name, row(env)) for name, row in lacks]
        deleted = ((name, row(env)) for name, row in deletes)
        return all(one in added or one in lacked for one in deleted)

    return idle


def _readers(literals: list[Literal] | tuple[Literal, ...], positive: bool, slots: Slots) -> list[_Reader]:
    return [(one.predicate, row_of(one.terms, slots)) for one in literals if one.positive is positive]


def _compile_effects(schema: ActionSchema, join: Join) -> Callable[[Facts, Row], frozenset[str]]:
    collectors = [_collector(effect, schema, join) for effect in schema.effects]

    def apply(facts: Facts, arguments: Row) -> frozenset[str]:
        adds: list[GroundLiteral] = []
        deletes: list[GroundLiteral] = []
        for positive, step, template in collectors:
            env = [*arguments, *template[len(arguments) :]]
            step(facts, env, adds if positive else deletes)
        return _change(facts, dict.fromkeys(adds), dict.fromkeys(deletes))

    return apply


def _change(
    facts: Facts, adds: dict[GroundLiteral, None], deletes: dict[GroundLiteral, None]
) -> frozenset[str]:
    """Make the changes; what is both deleted and added stays true."""
    changed: set[str] = set()
    for predicate, row in deletes:
        if (predicate, row) in adds:
            continue
        if facts.remove(predicate, row):
            changed.add(predicate)
        if NEGATED + predicate in facts.rows and facts.add(NEGATED + predicate, row):
            changed.add(NEGATED + predicate)
    for predicate, row in adds:
        if facts.add(predicate, row):
            changed.add(predicate)
        if NEGATED + predicate in facts.rows and facts.remove(NEGATED + predicate, row):
            changed.add(NEGATED + predicate)
    return frozenset(changed)


def _collector(
    effect: Effect, schema: ActionSchema, join: Join
) -> tuple[bool, Step[GroundLiteral], Environment]:
    """Return the sign of an effect and the search for its ground literals in the state before the action."""
    slots = Slots.of(tuple(one.name for one in schema.parameters))
    choices = (
        alternatives(effect.condition, effect.variables)
        if effect.condition is not None
        else (Conjunction(effect.variables),)
    )
    for variable in effect.variables:
        slots.slot(variable.name)
    predicate, row = effect.literal.predicate, row_of(effect.literal.terms, slots)

    def emit(facts: Facts, env: Environment, out: list[GroundLiteral]) -> bool:
        out.append((predicate, row(env)))
        return False

    steps = [join.compile(one, slots, emit) for one in choices]

    def run(facts: Facts, env: Environment, out: list[GroundLiteral]) -> bool:
        for step in steps:
            step(facts, env, out)
        return False

    return effect.literal.positive, run if len(steps) != 1 else steps[0], slots.template
