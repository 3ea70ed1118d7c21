"""From arguments to settings: what was typed wins over the environment and the file."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from icd.config import Settings
    from icd_memory.store import Store


def resolve(config: Path | None = None, **arguments: Any) -> Settings:
    """Return the settings that are in force.

    `arguments` are named by their path with ``__`` (``memory__store``); those that are None were not given.

    Raises:
        ConfigurationError: a setting is wrong.
    """
    from icd.config import load_settings

    overrides: dict[str, Any] = {}
    for path, value in arguments.items():
        if value is None:
            continue
        *sections, name = path.split("__")
        place = overrides
        for section in sections:
            place = place.setdefault(section, {})
        if isinstance(value, Mapping):
            place.setdefault(name, {}).update(value)
        else:
            place[name] = value
    return load_settings(config, overrides)


def model_arguments(place: str | None, name: str | None) -> dict[str, Any] | None:
    """Return the settings that ``--student`` or ``--teacher`` stand for: a URL, a file, expert or local."""
    found: dict[str, Any] = {}
    if place is not None:
        if "://" in place:
            found = {"kind": "openai", "base_url": place}
        elif place in ("expert", "local", "openai"):
            found = {"kind": place}
        elif place.endswith(".gguf"):
            found = {"kind": "local", "path": place, "model": Path(place).stem}
        elif Path(place).is_dir():
            found = {"kind": "transformers", "path": place}
        else:
            found = {"kind": "local", "model": place}
    if name is not None:
        found["model"] = name
    return found or None


def typed_command() -> str:
    """Return the command line of this process, as it can be typed again."""
    return shlex.join(["icd", *sys.argv[1:]])


def open_store(config: Path | None, store: str | None) -> Store:
    """Open the store that exists already: a command that reads makes none by a typing error.

    Raises:
        ConfigurationError: there is none.
        MemoryStoreError: it cannot be opened.
    """
    from icd_memory.store import Store

    return Store.open(existing_store(config, store))


def existing_store(config: Path | None, store: str | None) -> str:
    """Return the path or URL of the store that exists already.

    Raises:
        ConfigurationError: there is none.
    """
    from icd.errors import ConfigurationError

    place = resolve(config, memory__store=store).memory.store
    if "://" not in place and not Path(place).expanduser().is_file():
        raise ConfigurationError(
            f"there is no store at {place}: `icd collect`, `icd serve` and `icd keys create` make one, or name another "
            "with --store"
        )
    return place
