"""How methods are written: ``in-context``, ``unanimity(5)``, ``cascade[temperature=0.7;placement=before_history]``.

A name or a policy, and in brackets the settings that differ from the run's. What the settings do is told by
`icd.benchmark.methods`; here they are read and written.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from difflib import get_close_matches
from typing import Any, Literal, NamedTuple, TypeAlias, get_args

from icd.cascade import Guards
from icd.decision import Recording
from icd.errors import ConfigurationError
from icd.intent_agreement import AgreementKind
from icd_memory.retrieval import RETRIEVAL_KEYS

Retrieval = Literal["step", "episode", "fixed"]
"""Excerpts that fit each step; those of the first step, kept; or the same whole demonstrations for every task of a
category."""
StepPlacement = Literal["after_history", "before_history"]
Value: TypeAlias = Any
"""A setting's value; its type is that of the field of `icd.benchmark.methods.Details` it is for."""


class Written(NamedTuple):
    """A method taken apart."""

    head: str
    """A name or a policy."""
    changes: Mapping[str, Value]
    """Changed settings, read."""


class Varied(NamedTuple):
    """One setting and the values it is to take, as they were written."""

    setting: str
    values: tuple[str, ...]


def split_methods(text: str) -> tuple[str, ...]:
    """Return the methods of a list with commas: those in parentheses and brackets do not count."""
    found = re.findall(r"(?:\([^()]*\)|\[[^\[\]]*\]|[^,])+", text)
    return tuple(name.strip() for name in found if name.strip())


def read_method(text: str) -> Written:
    """Take a method apart.

    Raises:
        ConfigurationError: the brackets, a setting or a value are not understood.
    """
    match = re.fullmatch(r"\s*([^\[\]]+?)\s*(?:\[([^\[\]]*)\])?\s*", text)
    if match is None:
        raise ConfigurationError(
            f"method {text!r} is not understood: write a name or a policy, and changed settings in brackets, such as "
            "in-context[k=1;temperature=0.7]"
        )
    changes: dict[str, Value] = {}
    for part in filter(str.strip, (match[2] or "").split(";")):
        name, equals, value = (piece.strip() for piece in part.partition("="))
        if not equals:
            raise ConfigurationError(f"method {text!r}: {part.strip()!r} is no setting=value")
        changes.update(_read(name, value))
    return Written(match[1], changes)


def read_varied(text: str) -> Varied:
    """Read ``setting=value,value``.

    Raises:
        ConfigurationError: it is not understood.
    """
    name, equals, values = (piece.strip() for piece in text.partition("="))
    listed = tuple(value.strip() for value in values.split(",") if value.strip())
    if not equals or not listed:
        raise ConfigurationError(f"--vary {text!r} is not understood: write setting=value,value")
    for value in listed:
        _read(name, value)
    return Varied(name, listed)


def with_setting(method: str, setting: str, value: str) -> str:
    """Return a written method with one more setting, or another value of it."""
    head, opened, rest = method.strip().partition("[")
    kept = [
        part for part in rest.rstrip("]").split(";") if opened and part.partition("=")[0].strip() != setting
    ]
    return f"{head}[{';'.join([*filter(None, kept), f'{setting}={value}'])}]"


def write_value(name: str, value: Value) -> str:
    """Return the text that reads back as the same value."""
    match name:
        case "guards":
            return _write_guards(value)
        case "keys":
            return "+".join(key for key in RETRIEVAL_KEYS if key in value)
        case "copy_above" if value is None:
            return "never"
    match value:
        case None:
            return "all"
        case bool():
            return "yes" if value else "no"
        case float():
            return f"{value:g}" if float(f"{value:g}") == value else repr(value)
    return str(value)


def _read(name: str, text: str) -> dict[str, Value]:
    """Return a setting by its field; placement ``sticky`` is another way to write retrieval ``episode``."""
    if name not in READERS:
        near = _nearest(name, READERS)
        raise ConfigurationError(
            f"no setting {name!r} of methods{near}: there are {', '.join(sorted(READERS))}"
        )
    if (name, text) == ("placement", "sticky"):
        return {"retrieval": "episode"}
    try:
        return {name: READERS[name](text)}
    except ValueError as error:
        raise ConfigurationError(f"{name}={text} is not understood: {error}") from error


def _nearest(name: str, names: Collection[str]) -> str:
    close = get_close_matches(name, names, n=1, cutoff=0.4)
    return f" (did you mean {close[0]!r}?)" if close else ""


def unknown_method(text: str, names: Collection[str]) -> ConfigurationError:
    """Return the error for a method that is neither a name nor a policy."""
    return ConfigurationError(
        f"no method {text!r}{_nearest(text, names)}: there are {', '.join(names)}, or write a policy such as unanimity(5)"
    )


def _whole(least: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        number = int(text) if re.fullmatch(r"\d+", text) else -1
        if number < least:
            raise ValueError(f"write a whole number of at least {least}")
        return number

    return read


def _number(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 <= number < float("inf"):
        raise ValueError("write a number of at least 0")
    return number


def _one_of(*choices: str) -> Callable[[str], str]:
    def read(text: str) -> str:
        if text not in choices:
            raise ValueError(f"write {' or '.join(choices)}{_nearest(text, choices)}")
        return text

    return read


def _switch(text: str) -> bool:
    words = {"yes": True, "true": True, "on": True, "no": False, "false": False, "off": False}
    if text.lower() not in words:
        raise ValueError("write yes or no")
    return words[text.lower()]


def _or_all(read: Callable[[str], int]) -> Callable[[str], int | None]:
    return lambda text: None if text == "all" else read(text)


def _keys(text: str) -> frozenset[str]:
    names = [part.strip() for part in text.split("+")]
    wrong = [name for name in names if name not in RETRIEVAL_KEYS]
    if wrong:
        raise ValueError(
            f"{wrong[0]!r} is no key{_nearest(wrong[0], RETRIEVAL_KEYS)}: join {'+'.join(RETRIEVAL_KEYS)} or some"
        )
    return frozenset(names)


def _embedder(text: str) -> str:
    if not text:
        raise ValueError("write minilm, hashing or sentence-transformers:NAME")
    return text


def _read_guards(text: str) -> Guards:
    names = [part.strip() for part in text.split("+")]
    if names == ["none"]:
        return Guards()
    found: dict[str, Any] = {}
    for part in names:
        name, _, value = part.partition(":")
        if name == "support":
            found[name] = _number(value)
        elif name in ("validity", "progress") and not value:
            found[name] = True
        else:
            raise ValueError(
                f"{part!r} is no guard{_nearest(name, Guards._fields)}: write none, or some of "
                "validity+progress+support:0.6"
            )
    return Guards(**found)


def _write_guards(guards: Guards) -> str:
    parts = [name for name in ("validity", "progress") if getattr(guards, name)]
    if guards.support is not None:
        parts.append(f"support:{write_value('', guards.support)}")
    return "+".join(parts) or "none"


READERS: Mapping[str, Callable[[str], Value]] = {
    "k": _whole(0),
    "n": _whole(1),
    "guards": _read_guards,
    "temperature": _number,
    "retrieval": _one_of(*get_args(Retrieval)),
    "window": _whole(0),
    "placement": _one_of(*get_args(StepPlacement)),
    "adapt_names": _switch,
    "history": _or_all(_whole(0)),
    "memory_size": _or_all(_whole(1)),
    "keys": _keys,
    "embedder": _embedder,
    "agreement": _one_of(*get_args(AgreementKind)),
    "copy_above": lambda text: None if text == "never" else _number(text),
    "strategies": lambda text: text if text == "global" else _whole(0)(text),
    "record": _one_of(*get_args(Recording)),
}
"""What reads the value of each setting that a method may change, in the order in which they are written."""
