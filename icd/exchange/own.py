"""Our own format: a trajectory a line, as the store keeps it. It holds everything."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import ConfigDict, TypeAdapter, ValidationError

from icd.exchange.format import Format, Origin
from icd.exchange.records import explained
from icd_memory.codec import trajectory_from_json, trajectory_to_json
from icd_memory.schema import dump_json
from icd_memory.trajectory import Trajectory


def the_format() -> Format:
    """Return the format."""
    return Format(
        "own",
        "icd-runtime's own JSONL",
        _read,
        lambda record: {"steps", "provenance"} <= record.keys(),
        _write,
    )


def _read(path: Path, _: Origin) -> Iterator[Trajectory]:
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            with explained(path, f"line {number}", "trajectory"):
                read = _parsed(line)
            yield read


def _parsed(line: bytes) -> Trajectory:
    try:
        return _quickly().validate_json(b"[%b]" % line, strict=True)[0]
    except ValidationError:
        pass  # It may still be one: with unpaired surrogates, or of another writer. If not, the next lines say why.
    data: Any = json.loads(line)
    _shape().validate_python(data)
    return trajectory_from_json(data)


def _write(trajectory: Trajectory) -> str:
    return dump_json(trajectory_to_json(trajectory))


@cache
def _shape() -> TypeAdapter[Trajectory]:
    return TypeAdapter(Trajectory)


@cache
def _quickly() -> TypeAdapter[tuple[Trajectory]]:
    """In a tuple, since a dataclass itself takes no configuration here but inherits that of what it stands in."""
    return TypeAdapter(tuple[Trajectory], config=ConfigDict(extra="forbid"))
