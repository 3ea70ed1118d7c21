"""The table of formats, and which one a file is of."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from itertools import islice
from pathlib import Path
from typing import cast

from icd.errors import ConfigurationError
from icd.exchange.format import FIELDS, Format
from icd.exchange.records import records

FORMATS = ("own", "atif", "openai", "sharegpt", "langsmith", "langfuse")
_MODULES: Mapping[str, str] = {"openai": "openai_chat"}


def exchange_format(name: str) -> Format:
    """Return a format by its name.

    Raises:
        ConfigurationError: there is none of this name.
    """
    if name not in FORMATS:
        raise ConfigurationError(f"{name!r} is no format: use {', '.join(FORMATS)}")
    module = import_module(f"icd.exchange.{_MODULES.get(name, name)}")
    return cast(Callable[[], Format], module.the_format)()


def detected(path: Path) -> Format:
    """Return the format that a file is of, by its first record; an empty one is of ours.

    Raises:
        ConfigurationError: it is of none.
    """
    known = [exchange_format(name) for name in FORMATS]
    lists = tuple(dict.fromkeys(place for one in known for place in one.lists))
    try:
        first = list(islice(records(path, lists), 1))
    except ConfigurationError as error:
        raise ConfigurationError(f"{error}; if it is of a known format, name it with --format") from error
    if not first:
        return exchange_format("own")
    for one in known:
        if one.recognises(first[0].data):
            return one
    names = ", ".join(name[:40] for name in sorted(first[0].data)[:8])
    raise ConfigurationError(
        f"{path} is in none of the formats {', '.join(FORMATS)} (its first record has {names or 'no field'}): name the "
        "format with --format if it is in one of them all the same"
    )


def loss_table() -> str:
    """Return as a Markdown table what formats that are written cannot hold."""
    made = [one for one in map(exchange_format, FORMATS) if one.write is not None]
    rows = [["field", *(one.name for one in made)], ["---"] * (len(made) + 1)]
    for name in FIELDS:
        marks = [_mark(one.loses[name]) if name in one.loses else "kept" for one in made]
        rows.append([f"`{name}`", *marks])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _mark(when: str) -> str:
    return f"lost {when}".rstrip()
