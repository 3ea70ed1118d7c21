"""Which student is used: a small record in the store that a running server reads again; who plays an episode.

Whether an episode is the canary's depends on its id and the candidate alone: the same in every process, for all its
steps, and without anybody having to remember it.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from icd.chance import uniform
from icd.config import BackendSettings, Settings
from icd.errors import ConfigurationError
from icd.offline.registry import find_student
from icd_memory.store import Store

__all__ = [
    "Canary",
    "Pointer",
    "active_settings",
    "in_canary",
    "read_pointer",
    "student_for",
    "student_settings",
    "write_pointer",
]

_NOTE = "offline.students"


class Canary(BaseModel):
    """A candidate on trial."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    student: str
    share: float = Field(gt=0, lt=1)
    """Of live episodes."""
    since: datetime
    margin: float
    alpha: float
    most: int
    """Episodes of the candidate until it has to be decided."""


class Pointer(BaseModel):
    """Who is used now."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    active: str | None = None
    """A student's id; None: the one of the settings."""
    previous: tuple[str | None, ...] = ()
    """Those before it, the latest last: where `rollback` goes."""
    canary: Canary | None = None


def read_pointer(store: Store) -> Pointer:
    """Return who is used now: one row by its key, cheap enough to be read again every few seconds.

    Raises:
        ConfigurationError: the record is not readable: another version wrote it.
    """
    noted = store.note(_NOTE)
    if noted is None:
        return Pointer()
    try:
        return Pointer.model_validate_json(noted)
    except ValidationError as error:
        raise ConfigurationError(
            f"{store.place} says in words that are not known who the student is: {error}"
        ) from error


def write_pointer(store: Store, pointer: Pointer) -> None:
    """Set who is used from now on."""
    store.set_note(_NOTE, pointer.model_dump_json())


def in_canary(student: str, share: float, episode_id: str) -> bool:
    """Say whether an episode is played by the candidate."""
    return uniform(student, episode_id) < share


def student_for(pointer: Pointer, episode_id: str) -> str | None:
    """Return the id of the student that plays an episode; None: that of the settings."""
    canary = pointer.canary
    if canary is not None and in_canary(canary.student, canary.share, episode_id):
        return canary.student
    return pointer.active


def student_settings(store: Store, configured: BackendSettings, id: str | None) -> BackendSettings:
    """Return how a student is run: the settings with what its registration changes of them.

    Raises:
        ConfigurationError: there is no such student.
    """
    if id is None:
        return configured
    changes = find_student(store, id).backend
    return type(configured).model_validate({**configured.model_dump(), **changes})


def active_settings(settings: Settings) -> Settings:
    """Return the settings with the active student of their store in its seat. Raises as `student_settings`."""
    place = settings.memory.store
    if "://" not in place and not Path(place).expanduser().is_file():
        return settings
    with Store.open(place) as store:
        seat = student_settings(store, settings.student, read_pointer(store).active)
    return settings.model_copy(update={"student": seat})
