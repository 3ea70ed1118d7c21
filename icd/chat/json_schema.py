"""Values of models checked against JSON schemas of clients, by jsonschema; both can be hostile.

What is checked is a schema's copy (`icd.chat.schema_copy`, which says what is left out). One check takes a bounded number
of steps, and messages do not spell out the value. Compiled schemas are kept by their text.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping, Sized
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeAlias

from icd.backends.base import JsonObject
from icd.canonical import Json
from icd.chat.kept import Kept
from icd.chat.schema_copy import (
    LENGTHS,
    LIMITS,
    NAMED,
    ONE,
    SEVERAL,
    Reference,
    SchemaCopy,
    SchemaError,
    exact,
)
from icd.errors import MissingExtraError

LONGEST_SCHEMA = 256 * 1024
"""Characters of one schema's JSON text."""
CACHED_TEXT = 4 * 1024 * 1024
"""Characters of schemas whose compiled forms are kept."""
MOST_WORK = 1_000_000
"""Of one check."""
STEP_WORK = 10
"""Of one keyword applied to one value; each member of either is one more."""
LONGEST_PROBLEM = 300

Check: TypeAlias = Callable[[Any, Json, Json, Json], Iterator[Exception] | None]
"""Of one keyword: the validator, the keyword's value, the value checked, the schema; yields violations."""
_CONTAINERS = frozenset((dict, list))
_CHECKED = (ONE | SEVERAL | NAMED | LIMITS | {"required", "dependentRequired"}) - {"then", "else"}
"""By jsonschema, unless in `_own_checks`."""


class _TooMuchWorkError(Exception):
    pass


class _Work(threading.local):
    left = 0
    size = 0
    """Characters of the whole value."""

    def spend(self, amount: int) -> None:
        self.left -= amount
        if self.left < 0:
            raise _TooMuchWorkError


_work = _Work()


@dataclass(frozen=True, slots=True)
class CompiledSchema:
    """A schema ready to check values, or why it cannot be used."""

    validator: Any
    """jsonschema's; None for a refused one."""
    refusal: str | None
    for_keys: bool
    """Whether it has a ``default`` or ``uniqueItems``."""

    def problem(self, value: Json, size: int, what: str) -> str | None:
        """Return how a value of so many characters violates the schema and where; None if it does not."""
        if self.refusal is not None:
            return f"{what} cannot be checked: {self.refusal}"
        _work.left, _work.size = MOST_WORK, size
        try:
            error = next(self.validator.iter_errors(value), None)
        except RecursionError:
            return f"{what} cannot be checked: nested too deeply"
        except _TooMuchWorkError:
            return f"{what} cannot be checked: value and schema together are too large"
        if error is None:
            return None
        path = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in error.absolute_path)
        return f"the schema is violated at ${path} by {what}: {error.message}"[:LONGEST_PROBLEM]


_cache: Kept[str, CompiledSchema] = Kept(CACHED_TEXT)


def compiled(schema: JsonObject) -> CompiledSchema:
    """Return the compiled form of a schema; from the cache if it was seen lately.

    Raises:
        MissingExtraError: jsonschema is not installed.
    """
    try:
        written = repr(schema)  # Tells true from 1, as equality does not; half the work of writing JSON.
    except RecursionError:
        return CompiledSchema(None, "it is nested too deeply: use $defs", False)
    return _cache.get(written, lambda: _compiled(schema))


def _compiled(schema: JsonObject) -> CompiledSchema:
    try:
        text = json.dumps(schema, separators=(",", ":"), default=_plain)
    except (TypeError, ValueError) as error:
        return CompiledSchema(None, f"it is not JSON: {error}"[:LONGEST_PROBLEM], False)
    except RecursionError:
        return CompiledSchema(None, "it is nested too deeply: use $defs", False)
    if len(text) > LONGEST_SCHEMA:
        return CompiledSchema(None, f"it is {len(text)} characters long; use at most {LONGEST_SCHEMA}", False)
    return _compile(text)


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"a {type(value).__name__} cannot stand in a schema")


def _compile(text: str) -> CompiledSchema:
    validator_class = _validator_class()
    for_keys = '"default":' in text or '"uniqueItems":true' in text
    try:
        return CompiledSchema(validator_class(SchemaCopy(json.loads(text)).made), None, for_keys)
    except (SchemaError, ValueError) as error:
        return CompiledSchema(None, str(error)[:LONGEST_PROBLEM], False)
    except RecursionError:
        return CompiledSchema(None, "it is nested too deeply: use $defs", False)


def require_jsonschema() -> None:
    """Make sure that schemas can be checked.

    Raises:
        MissingExtraError: jsonschema is not installed.
    """
    _validator_class()


@cache
def _validator_class() -> Any:
    """jsonschema's validator without regular expressions and registries, and with counted steps."""
    try:
        from jsonschema import (  # type: ignore[import-untyped]
            Draft202012Validator,
            ValidationError,
            validators,
        )
    except ImportError as error:
        raise MissingExtraError("checking tool calls against their schemas", "server") from error

    library = Draft202012Validator.VALIDATORS
    checks = {word: library[word] for word in _CHECKED} | _own_checks(ValidationError)
    return validators.create(
        meta_schema={},
        validators={word: _counted(check) for word, check in checks.items()},
        type_checker=Draft202012Validator.TYPE_CHECKER,
    )


def _own_checks(violation: Callable[[str], Exception]) -> dict[str, Check]:
    """Checks whose messages, unlike jsonschema's, do not spell out the value: that would cost more than the check."""

    def types(validator: Any, names: list[str], instance: Json, _: Json) -> Iterator[Exception]:
        if not any(validator.is_type(instance, name) for name in names):
            yield violation(f"it is not of type {' or '.join(names)}")

    def among(_validator: Any, texts: list[str], instance: Json, _: Json) -> Iterator[Exception]:
        if instance.__class__ in _CONTAINERS:
            _work.spend(_work.size)
        if exact(instance) not in texts:
            yield violation(f"it is not {' or '.join(texts[:10])}{' or ...' if texts[10:] else ''}")

    def unique(_validator: Any, wanted: bool, instance: Json, _: Json) -> Iterator[Exception]:
        if wanted and isinstance(instance, list):
            _work.spend(_work.size)
            if len(set(map(exact, instance))) < len(instance):
                yield violation("it has equal items")

    def refer(validator: Any, reference: Reference, instance: Json, _: Json) -> Iterator[Exception]:
        yield from validator.descend(instance, reference.target)

    def any_of(validator: Any, schemas: list[Json], instance: Json, _: Json) -> Iterator[Exception]:
        if not any(_fits(validator, schema, instance) for schema in schemas):
            yield violation("it fits none of the alternatives")

    def one_of(validator: Any, schemas: list[Json], instance: Json, _: Json) -> Iterator[Exception]:
        fitting = sum(_fits(validator, schema, instance) for schema in schemas)
        if fitting != 1:
            yield violation(f"it fits {fitting or 'none'} of the alternatives, not one")

    def negated(validator: Any, schema: Json, instance: Json, _: Json) -> Iterator[Exception]:
        if _fits(validator, schema, instance):
            yield violation("it is something that the schema excludes")

    def contains(validator: Any, schema: Json, instance: Json, parent: Json) -> Iterator[Exception]:
        if isinstance(instance, list):
            least, most = parent.get("minContains", 1), parent.get("maxContains", len(instance))
            found = sum(_fits(validator, schema, part) for part in instance)
            if not least <= found <= most:
                yield violation(f"it contains {found} of the items wanted, not {least} to {most}")

    own: dict[str, Check] = {
        "type": types,
        "enum": among,
        "const": among,
        "uniqueItems": unique,
        "$ref": refer,
    }
    own |= {"anyOf": any_of, "oneOf": one_of, "not": negated, "contains": contains}
    for what, (kind, unit) in LENGTHS.items():
        own[f"min{what}"] = _length_check(violation, kind, f"fewer than {{}} {unit}", 1)
        own[f"max{what}"] = _length_check(violation, kind, f"more than {{}} {unit}", -1)
    return own


def _length_check(violation: Callable[[str], Exception], kind: type[Sized], wrong: str, sign: int) -> Check:
    def check(_validator: Any, limit: int, instance: Json, _: Json) -> Iterator[Exception]:
        if isinstance(instance, kind) and sign * len(instance) < sign * limit:
            yield violation(f"it has {wrong.format(limit)}")

    return check


def _fits(validator: Any, schema: Json, instance: Json) -> bool:
    return next(validator.descend(instance, schema), None) is None


def _counted(check: Check) -> Check:
    def counted(validator: Any, value: Json, instance: Json, schema: Json) -> Iterator[Exception] | None:
        members = len(value) if value.__class__ in _CONTAINERS else 0
        _work.spend(STEP_WORK + members + (len(instance) if instance.__class__ in _CONTAINERS else 0))
        return check(validator, value, instance, schema)

    return counted
