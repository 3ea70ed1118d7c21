"""The small language inside braces of a text: variables, their attributes, quoted words, ``+``, ``or`` and
``and``.

Read with Python's own parser and compiled to closures; nothing else of Python is understood, so a game file
cannot run code.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import TypeAlias

from icd_envs.errors import GameFileError
from icd_envs.household.naming import Entity

Environment: TypeAlias = list[str]
Value: TypeAlias = "Entity | str | None"
Evaluator: TypeAlias = Callable[[Mapping[str, Entity], Environment], Value]

_ATTRIBUTES = frozenset({"id", "type", "name", "definite", "indefinite"})
_UNSET = frozenset({"noun", "adj", "desc", "room_type", "synonyms"})
"""Attributes that wording may ask for, to fall back on another with ``or``; no game sets them."""


def compile_expression(source: str, slots: Mapping[str, int]) -> Evaluator:
    """Compile an expression over the variables in `slots`. Raises `GameFileError`."""
    return _compile(_parse(source), slots, source)


@lru_cache(maxsize=1024)
def _parse(source: str) -> ast.expr:
    try:
        return ast.parse(source.strip(), mode="eval").body
    except SyntaxError as error:
        raise GameFileError(f"an expression of the text grammar cannot be read: {source!r}") from error


def _compile(node: ast.expr, slots: Mapping[str, int], source: str) -> Evaluator:
    match node:
        case ast.Constant(value=str(text)):
            return lambda entities, env: text
        case ast.Name(id=name) if name in slots:
            slot = slots[name]
            return lambda entities, env: entities[env[slot]]
        case ast.Name(id=name):
            raise GameFileError(f"{name!r} in {{{source}}} is not a variable there; known: {sorted(slots)}")
        case ast.Attribute(value=inner, attr=attribute):
            return _attribute(_compile(inner, slots, source), attribute, source)
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            return _sum(_compile(left, slots, source), _compile(right, slots, source))
        case ast.BoolOp(op=operator, values=values):
            parts = [_compile(value, slots, source) for value in values]
            return _first(parts, stop_at=isinstance(operator, ast.Or))
    raise GameFileError(f"{{{source}}} uses more than variables, attributes, words, '+', 'or' and 'and'")


def _attribute(of: Evaluator, attribute: str, source: str) -> Evaluator:
    if attribute in _UNSET:
        return lambda entities, env: None
    if attribute not in _ATTRIBUTES:
        raise GameFileError(f"{{{source}}} asks for {attribute!r}; there are {sorted(_ATTRIBUTES)}")

    def evaluate(entities: Mapping[str, Entity], env: Environment) -> Value:
        value: str = getattr(of(entities, env), attribute)
        return value

    return evaluate


def _sum(left: Evaluator, right: Evaluator) -> Evaluator:
    return lambda entities, env: str(left(entities, env)) + str(right(entities, env))


def _first(parts: list[Evaluator], stop_at: bool) -> Evaluator:
    def evaluate(entities: Mapping[str, Entity], env: Environment) -> Value:
        value: Value = None
        for part in parts:
            value = part(entities, env)
            if bool(value) is stop_at:
                return value
        return value

    return evaluate
