"""What was made from the store's episodes: data sets and the students trained on them. Append-only."""

from __future__ import annotations

from icd_memory import schema
from icd_memory.database import Database
from icd_memory.records import Records
from icd_memory.rows import ArtifactKind, ArtifactRow

_ARTIFACTS = schema.artifacts.c


class Artifacts:
    """Data sets, students and what was decided about them; see `Store.artifacts`."""

    def __init__(self, database: Database) -> None:
        self._rows = Records(database, schema.artifacts, ArtifactRow)

    def add(self, row: ArtifactRow) -> bool:
        """Store an artifact; return False, and change nothing, if its id is there already."""
        return self._rows.add([row]) == 1

    def find(self, kind: ArtifactKind) -> list[ArtifactRow]:
        """Return all of a kind in the order they came."""
        return self._rows.find(_ARTIFACTS.kind == kind)

    def one(self, id: str) -> ArtifactRow | None:
        """Return an artifact, or None."""
        return self._rows.one(_ARTIFACTS.id == id)
