"""What commands write: results to standard output, everything else to standard error."""

from __future__ import annotations

import json
import math
import sys
from dataclasses import is_dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any

from rich.console import Console

_NOT_A_TERMINAL = 160
"""Characters a line where nobody's window limits them."""

results = Console(highlight=False, width=None if sys.stdout.isatty() else _NOT_A_TERMINAL)
"""For what was asked for."""
messages = Console(stderr=True, highlight=False)
"""For progress, hints and errors."""


def say(text: str) -> None:
    """Write a line of progress or a hint."""
    messages.print(text, markup=False, soft_wrap=True)


def write_json(value: object) -> None:
    """Write a value as one JSON document to standard output."""
    sys.stdout.write(json.dumps(plain(value), ensure_ascii=False, indent=2) + "\n")
    sys.stdout.flush()


def plain(value: object) -> Any:
    """Return a value as JSON data: dataclasses and named tuples as objects, what is no number as null."""
    if is_dataclass(value) and not isinstance(value, type):
        return plain({key: getattr(value, key) for key in value.__dataclass_fields__})
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        return plain(value._asdict())
    if isinstance(value, dict):
        return {str(key): plain(inner) for key, inner in value.items()}
    if isinstance(value, set | frozenset):
        return sorted(plain(inner) for inner in value)
    if isinstance(value, list | tuple):
        return [plain(inner) for inner in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Path | date | datetime):
        return str(value)
    return value


__all__ = ["messages", "plain", "results", "say", "write_json"]
