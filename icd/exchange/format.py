"""What a format of trajectories is: how it is read and written, how it is known, and what it cannot hold."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from icd_memory.trajectory import Trajectory

FIELDS = (
    "id", "tenant", "environment", "task_id", "instance", "split", "goal", "category", "plan", "outcome",
    "provenance.source", "provenance.producer", "provenance.created_at", "provenance.restriction", "notes",
    "steps.observation", "steps.action", "steps.reasoning", "steps.view", "steps.actor", "steps.reward",
)  # fmt: skip
"""All that a trajectory consists of."""
RESTRICTION = "provenance.restriction"


class Origin(NamedTuple):
    """What is said of trajectories in whose file it does not stand."""

    source: str
    at: datetime

    @classmethod
    def of(cls, path: Path) -> Origin:
        """Return the origin of a file's trajectories: its name, and when it was written."""
        return cls(f"file:{path.name}", datetime.fromtimestamp(path.stat().st_mtime).astimezone())


@dataclass(frozen=True, slots=True)
class Format:
    """A format."""

    name: str
    title: str
    """What it is and of which version."""
    read: Callable[[Path, Origin], Iterator[Trajectory]]
    """Raises ConfigurationError, with the place, at what is none."""
    recognises: Callable[[Mapping[str, Any]], bool]
    """Says whether a file whose first record is this one is of the format."""
    write: Callable[[Trajectory], str] | None = None
    """Returns a trajectory as a line; None: the format is only read."""
    loses: Mapping[str, str] = field(default_factory=dict)
    """Those of `FIELDS` that it cannot hold; a text says in which case, if not always."""
    ignores: tuple[str, ...] = ()
    """What files of it hold that a trajectory has no place for."""
    lists: tuple[str, ...] = ()
    """Where in a document its records may stand, besides a list or lines: as ``runs.item``."""

    @property
    def keeps_mark(self) -> bool:
        """Whether a line says that it must not be published."""
        return RESTRICTION not in self.loses
