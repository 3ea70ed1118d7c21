"""What is wrong with a setting, or with a line of a file, so that it can be repaired: the key, where it was set, the
nearest valid one.

Knows models of settings in general; nothing of this project's own.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import UnionType
from typing import Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

__all__ = ["explain", "in_brief", "section_of", "unknown_environment_names", "valid_keys"]

_LONGEST = 300
"""Characters of an error that is told as a part of another."""
_MOST_LINES = 10


def section_of(annotation: object) -> type[BaseModel] | None:
    """Return the model that a field holds (also as ``Model | None``), or None for a plain value."""
    options = get_args(annotation) if get_origin(annotation) in (Union, UnionType) else (annotation,)
    models = [option for option in options if isinstance(option, type) and issubclass(option, BaseModel)]
    plain = [option for option in options if option not in models and option is not type(None)]
    return models[0] if models and not plain else None


def valid_keys(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    """Yield the dotted path of every setting."""
    for name, field in model.model_fields.items():
        section = section_of(field.annotation)
        if section is None:
            yield prefix + name
        else:
            yield from valid_keys(section, f"{prefix}{name}.")


def explain(
    error: ValidationError, model: type[BaseModel], file: Path | None, arguments: Mapping[str, Any]
) -> str:
    """Return one line per wrong setting."""
    lines = dict.fromkeys(_explain_one(detail, model, file, arguments) for detail in error.errors())
    more = [f"... and {len(lines) - _MOST_LINES} more"] if len(lines) > _MOST_LINES else []
    return "\n".join([_cut(line) for line in list(lines)[:_MOST_LINES]] + more)


def in_brief(error: Exception) -> str:
    """Return what is wrong with something foreign, short enough for a line: of many faults the first."""
    if isinstance(error, ValidationError):
        found = error.errors(include_url=False, include_context=False, include_input=False)
        where = ".".join(map(str, found[0]["loc"]))
        return _cut(f"{where + ': ' if where else ''}{found[0]['msg']}")
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    return _cut(f"{error} is missing" if isinstance(error, KeyError) else str(error))


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."


def unknown_environment_names(model: type[BaseModel], prefix: str, environ: Mapping[str, str]) -> str:
    """Return a message on variables that look like a setting of an unknown section, or an empty text.

    Variables without ``__`` are left alone: the prefix is also used for switches that are no settings.
    """
    sections = [name for name, field in model.model_fields.items()]
    lines = []
    for variable in environ:
        name = variable.upper()
        if not name.startswith(prefix) or "__" not in name:
            continue
        key = name.removeprefix(prefix).lower().replace("__", ".")
        if key.split(".")[0] not in sections:
            lines.append(f"{_unknown(key, model)} (environment variable {variable})")
    return "\n".join(lines)


def _explain_one(
    detail: ErrorDetails, model: type[BaseModel], file: Path | None, arguments: Mapping[str, Any]
) -> str:
    path = [str(part) for part in detail["loc"]]
    where = _origin(path, file, arguments)
    if detail["type"] == "extra_forbidden":
        return f"{_unknown('.'.join(path), model)} ({where})"
    message = detail["msg"].removeprefix("Value error, ")
    value = detail["input"]
    shown = f", not {value!r}" if isinstance(value, str | int | float | bool) else ""
    return f"{'.'.join(path) or 'settings'}: {message}{shown} ({where})"


def _unknown(key: str, model: type[BaseModel]) -> str:
    keys = [*valid_keys(model), *model.model_fields]
    section, _, name = key.rpartition(".")
    siblings = [known for known in keys if known.rpartition(".")[0] == section]
    near = difflib.get_close_matches(key, siblings, n=1, cutoff=0.6) or difflib.get_close_matches(
        key, keys, n=1, cutoff=0.6
    )
    elsewhere = [known for known in keys if known.rpartition(".")[2] == name]
    hint = (near or elsewhere or [""])[0]
    return f"unknown setting {key!r}" + (
        f": did you mean {hint!r}?" if hint else ": `icd config show` lists all"
    )


def _origin(path: Sequence[str], file: Path | None, arguments: Mapping[str, Any]) -> str:
    """Say who set the value, or the nearest table around it that somebody set."""
    for length in range(len(path), 0, -1):
        part = path[:length]
        if _holds(arguments, part):
            return "argument"
        variable = "ICD_" + "__".join(part).upper()
        if any(_sets(name.upper(), variable) for name in os.environ):
            return f"environment variable {variable}"
    return f"in {file}" if file is not None else "default"


def _sets(name: str, variable: str) -> bool:
    return name == variable or name.startswith(variable + "__")


def _holds(values: Mapping[str, Any], path: Sequence[str]) -> bool:
    inner: Any = values
    for part in path:
        if not isinstance(inner, Mapping) or part not in inner:
            return False
        inner = inner[part]
    return True
