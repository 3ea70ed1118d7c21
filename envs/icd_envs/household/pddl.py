"""PDDL as text games use it: a domain and a problem, read from text into typed values.

Knows the ADL part of PDDL that a text game needs (typing, negative, disjunctive and quantified conditions,
conditional and quantified effects, equality); costs are read over. Knows nothing about states, names or
wording. Names are lower-cased: PDDL does not tell cases apart. Only blanks and parentheses separate words, so
that the type in ``(?l - location, ?r - receptacle)`` is ``location,``, of which there is no object; games
rely on it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from icd_envs.errors import GameFileError

SExpr: TypeAlias = "str | list[SExpr]"
"""A word, or a list of expressions."""

ROOT_TYPE = "object"
"""The type that every other type is a kind of."""

_TOKEN = re.compile(r"[()]|[^\s()]+")
_COMMENT = re.compile(r";[^\n]*")
_COSTS = frozenset({"increase", "decrease", "assign", "scale-up", "scale-down"})


@dataclass(frozen=True, slots=True)
class Typed:
    """A variable, object or parameter, and the types it may have (several only with ``either``)."""

    name: str
    types: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Literal:
    """A fact about terms, or its negation. Terms that start with ``?`` are variables; ``=`` is equality."""

    predicate: str
    terms: tuple[str, ...]
    positive: bool = True


@dataclass(frozen=True, slots=True)
class And:
    """All parts hold; with no parts, true."""

    parts: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class Or:
    """At least one part holds; with no parts, false."""

    parts: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class Exists:
    """Some objects of these types make the body true."""

    variables: tuple[Typed, ...]
    body: Condition


@dataclass(frozen=True, slots=True)
class Forall:
    """All objects of these types make the body true."""

    variables: tuple[Typed, ...]
    body: Condition


Condition: TypeAlias = "Literal | And | Or | Exists | Forall"
"""A condition in negation normal form: only literals are negated."""


@dataclass(frozen=True, slots=True)
class Effect:
    """A literal that an action makes true for all `variables` for which `condition` held before."""

    literal: Literal
    variables: tuple[Typed, ...] = ()
    condition: Condition | None = None


@dataclass(frozen=True, slots=True)
class ActionSchema:
    """An action of the domain, with its parameters open."""

    name: str
    parameters: tuple[Typed, ...]
    precondition: Condition
    effects: tuple[Effect, ...]


@dataclass(frozen=True, slots=True)
class Domain:
    """What can be said and done in every problem of a domain."""

    name: str
    parents: Mapping[str, tuple[str, ...]]
    """The direct parents of each type."""
    predicates: Mapping[str, tuple[Typed, ...]]
    constants: tuple[Typed, ...]
    actions: tuple[ActionSchema, ...]

    @property
    def fluents(self) -> frozenset[str]:
        """The predicates that some action changes; all others are fixed by the problem."""
        return frozenset(effect.literal.predicate for action in self.actions for effect in action.effects)


@dataclass(frozen=True, slots=True)
class Problem:
    """The objects, the first state and the goal."""

    name: str
    objects: tuple[Typed, ...]
    facts: tuple[tuple[str, tuple[str, ...]], ...]
    """The facts true at the start, as predicate and objects, in the order of the text."""
    goal: Condition


def literals_of(condition: Condition) -> Iterator[Literal]:
    """Yield every literal in a condition."""
    match condition:
        case Literal():
            yield condition
        case And(parts) | Or(parts):
            for part in parts:
                yield from literals_of(part)
        case Exists(_, body) | Forall(_, body):
            yield from literals_of(body)


def read_expression(text: str) -> list[SExpr]:
    """Read one parenthesised expression. Raises `GameFileError` when parentheses do not match."""
    text = text.lower()
    if ";" in text:
        text = _COMMENT.sub("", text)
    open_lists: list[list[SExpr]] = []
    current: list[SExpr] = []
    for token in _TOKEN.findall(text):
        if token == "(":
            open_lists.append(current)
            current = []
        elif token == ")":
            if not open_lists:
                raise GameFileError("PDDL text has a closing parenthesis too many; the game file is damaged")
            outer = open_lists.pop()
            outer.append(current)
            current = outer
        else:
            current.append(token)
    if open_lists:
        raise GameFileError("PDDL text ends inside an open parenthesis; the game file is cut off")
    if len(current) != 1 or isinstance(current[0], str):
        raise GameFileError("PDDL text must be one expression that starts with '(define'")
    return current[0]


def parse_domain(text: str) -> Domain:
    """Read a domain. Raises `GameFileError` for what a text game cannot mean, such as derived predicates."""
    name = ""
    parents: dict[str, tuple[str, ...]] = {}
    predicates: dict[str, tuple[Typed, ...]] = {}
    constants: tuple[Typed, ...] = ()
    actions: list[ActionSchema] = []
    for section in _sections(text):
        head, body = _word(section), section[1:]
        if head == "domain":
            name = _text(_only(section))
        elif head == ":types":
            parents = {typed.name: typed.types for typed in _typed_list(body)}
        elif head == ":predicates":
            predicates = {_word(_list(p)): _typed_list(_list(p)[1:]) for p in body}
        elif head == ":constants":
            constants = _typed_list(body)
        elif head == ":action":
            actions.append(_action(body))
        elif head not in (":requirements", ":functions"):
            raise GameFileError(f"PDDL domain section {head!r} is not supported")
    return Domain(name, parents, predicates, constants, tuple(actions))


def parse_problem(text: str) -> Problem:
    """Read a problem; numeric start values are read over."""
    name = ""
    objects: tuple[Typed, ...] = ()
    facts: list[tuple[str, tuple[str, ...]]] = []
    goal: Condition | None = None
    for section in _sections(text):
        head, body = _word(section), section[1:]
        if head == "problem":
            name = _text(_only(section))
        elif head == ":objects":
            objects = _typed_list(body)
        elif head == ":init":
            facts = list(_facts(body))
        elif head == ":goal":
            goal = parse_condition(_only(section))
        elif head not in (":domain", ":requirements", ":metric"):
            raise GameFileError(f"PDDL problem section {head!r} is not supported")
    if goal is None:
        raise GameFileError(f"PDDL problem {name!r} has no goal")
    return Problem(name, objects, tuple(facts), goal)


def parse_condition(expression: SExpr, positive: bool = True) -> Condition:
    """Turn an expression into negation normal form; with ``positive=False`` its negation."""
    parts = _list(expression)
    if not parts:
        return And(()) if positive else Or(())
    head = _word(parts)
    if head in ("and", "or"):
        inner = tuple(parse_condition(part, positive) for part in parts[1:])
        return And(inner) if (head == "and") == positive else Or(inner)
    if head == "not":
        return parse_condition(_only(parts), not positive)
    if head == "imply":
        left, right = _two(parts)
        given, then = parse_condition(left, not positive), parse_condition(right, positive)
        return Or((given, then)) if positive else And((given, then))
    if head in ("exists", "forall"):
        names, inner_body = _two(parts)
        variables = _typed_list(_list(names))
        body = parse_condition(inner_body, positive)
        return Exists(variables, body) if (head == "exists") == positive else Forall(variables, body)
    return Literal(head, _terms(parts), positive)


def _sections(text: str) -> Iterator[list[SExpr]]:
    expression = read_expression(text)
    if not expression or expression[0] != "define":
        raise GameFileError("PDDL text must start with '(define'")
    return (_list(section) for section in expression[1:])


def _action(body: list[SExpr]) -> ActionSchema:
    if len(body) % 2 != 1:
        raise GameFileError(f"PDDL action {body[:1]} must be a name and then keys with one value each")
    name = _text(body[0])
    fields = {_text(key): value for key, value in zip(body[1::2], body[2::2], strict=True)}
    return ActionSchema(
        name=name,
        parameters=_typed_list(_list(fields.get(":parameters", []))),
        precondition=parse_condition(fields.get(":precondition", [])),
        effects=tuple(_effects(fields.get(":effect", []), (), None)),
    )


def _effects(
    expression: SExpr, variables: tuple[Typed, ...], condition: Condition | None
) -> Iterator[Effect]:
    parts = _list(expression)
    if not parts:
        return
    head = _word(parts)
    if head == "and":
        for part in parts[1:]:
            yield from _effects(part, variables, condition)
    elif head == "forall":
        names, body = _two(parts)
        yield from _effects(body, variables + _typed_list(_list(names)), condition)
    elif head == "when":
        given, body = _two(parts)
        inner = parse_condition(given)
        yield from _effects(body, variables, inner if condition is None else And((condition, inner)))
    elif head == "not":
        negated = _list(_only(parts))
        yield Effect(Literal(_word(negated), _terms(negated), positive=False), variables, condition)
    elif head not in _COSTS:
        yield Effect(Literal(head, _terms(parts)), variables, condition)


def _facts(body: list[SExpr]) -> Iterator[tuple[str, tuple[str, ...]]]:
    for expression in body:
        parts = _list(expression)
        if _word(parts) not in ("=", "not"):
            yield _word(parts), _terms(parts)


def _typed_list(items: Iterable[SExpr]) -> tuple[Typed, ...]:
    result: list[Typed] = []
    waiting: list[str] = []
    types: tuple[str, ...] | None = None
    after_dash = False
    for item in items:
        if after_dash:
            types = (item,) if isinstance(item, str) else tuple(map(_text, item[1:]))
            result.extend(Typed(name, types) for name in waiting)
            waiting.clear()
            after_dash = False
        elif item == "-":
            after_dash = True
        else:
            waiting.append(_text(item))
    result.extend(Typed(name, (ROOT_TYPE,)) for name in waiting)
    return tuple(result)


def _terms(parts: list[SExpr]) -> tuple[str, ...]:
    return tuple(part if isinstance(part, str) else _text(part) for part in parts[1:])


def _two(parts: list[SExpr]) -> tuple[SExpr, SExpr]:
    if len(parts) != 3:
        raise GameFileError(f"PDDL {_word(parts)!r} takes two expressions, found {len(parts) - 1}")
    return parts[1], parts[2]


def _only(parts: list[SExpr]) -> SExpr:
    if len(parts) != 2:
        raise GameFileError(f"PDDL {_word(parts)!r} takes one expression, found {len(parts) - 1}")
    return parts[1]


def _word(parts: list[SExpr]) -> str:
    if not parts:
        raise GameFileError("PDDL text has an empty list where a name is needed")
    return _text(parts[0])


def _text(expression: SExpr) -> str:
    if not isinstance(expression, str):
        raise GameFileError(f"PDDL text has a list where a name is needed: {expression!r:.80}")
    return expression


def _list(expression: SExpr) -> list[SExpr]:
    if isinstance(expression, str):
        raise GameFileError(f"PDDL text has the name {expression!r} where a list is needed")
    return expression
