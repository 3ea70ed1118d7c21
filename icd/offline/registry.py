"""What was made from the store's episodes, with its origin: data sets, students, and what a recalled source is in.

A student is never changed: its id is a fingerprint of its files and of how it was made. Whether it is used says the
pointer (`icd.offline.active`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict

from icd.benchmark.conditions import digest
from icd.downloads import sha256_of
from icd.errors import ConfigurationError
from icd.offline.card import Card
from icd_memory.rows import ArtifactRow
from icd_memory.store import Store

if TYPE_CHECKING:
    from icd.offline.dataset import DataSet

__all__ = [
    "Recall",
    "RegisteredData",
    "Student",
    "StudentFile",
    "damaged",
    "datasets",
    "files_in",
    "find_student",
    "make_student",
    "recall",
    "register_dataset",
    "register_student",
    "students",
    "trained_tasks",
]

Weights = Literal["adapter", "merged", "gguf", "endpoint"]


class _Fact(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class RegisteredData(_Fact):
    """A data set, as the store knows it."""

    id: str
    folder: str
    card: Card
    trajectories: tuple[str, ...]
    """Whose steps are in it."""
    trained_tasks: tuple[str, ...]
    """Tasks of its part to train on: no student that was trained on it may be judged by them."""


class StudentFile(_Fact):
    """A file of a student's weights."""

    name: str
    """Within its folder."""
    bytes: int
    sha256: str


class Student(_Fact):
    """A version of the student."""

    id: str
    created_at: datetime
    base_model: str
    licence: str
    """Of the base model: what was trained from it is under it too."""
    weights: Weights
    folder: str
    files: tuple[StudentFile, ...]
    dataset: str | None = None
    """The id of the data set that it was trained on."""
    parent: str | None = None
    """The student that it was trained from; None: the base model."""
    backend: dict[str, Any]
    """How it is run: what it changes of the settings' ``[student]``."""
    config: dict[str, Any] = {}
    """Of its training."""
    metrics: dict[str, Any] = {}


class Recall(NamedTuple):
    """What contains something that was recalled."""

    datasets: tuple[RegisteredData, ...]
    students: tuple[Student, ...]
    """Trained on one of them, or from a student that was."""


def register_dataset(store: Store, card: Card, made: DataSet, folder: Path) -> bool:
    """Enter a data set; False: it is there already."""
    rows = [*made.examples["train"], *made.pairs["train"], *made.failed["train"]]
    found = RegisteredData(
        id=card.id,
        folder=str(folder.resolve()),
        card=card,
        trajectories=tuple(sorted({origin.trajectory for row in made.rows for origin in row.origins})),
        trained_tasks=tuple(sorted({row.task for row in rows})),
    )
    body = found.model_dump(mode="json")
    return store.artifacts.add(ArtifactRow(f"dataset-{card.id}", "dataset", body, card.created_at))


def datasets(store: Store) -> list[RegisteredData]:
    """Return the store's data sets in the order they came."""
    return [RegisteredData.model_validate(row.body) for row in store.artifacts.find("dataset")]


def files_in(folder: Path) -> tuple[StudentFile, ...]:
    """Return the files of a folder with their sha256. Raises `ConfigurationError` if there are none."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    if not paths:
        raise ConfigurationError(f"{folder} holds no files of a student")
    return tuple(
        StudentFile(
            name=path.relative_to(folder).as_posix(), bytes=path.stat().st_size, sha256=sha256_of(path)
        )
        for path in paths
    )


def make_student(
    folder: Path,
    *,
    base_model: str,
    licence: str,
    weights: Weights,
    backend: Mapping[str, Any],
    now: datetime,
    dataset: str | None = None,
    parent: str | None = None,
    config: Mapping[str, Any] | None = None,
    metrics: Mapping[str, Any] | None = None,
) -> Student:
    """Return a student of the files in a folder; its id is a fingerprint of them and of where they come from.

    Raises:
        ConfigurationError: there are no files.
    """
    files = () if weights == "endpoint" else files_in(folder)
    identity = {
        "files": [[file.name, file.sha256] for file in files],
        "made": [base_model, dataset, parent, dict(backend), dict(config or {})],
    }
    return Student(
        id=f"student-{digest(identity)}",
        created_at=now,
        base_model=base_model,
        licence=licence,
        weights=weights,
        folder=str(folder.resolve()),
        files=files,
        dataset=dataset,
        parent=parent,
        backend=dict(backend),
        config=dict(config or {}),
        metrics=dict(metrics or {}),
    )


def register_student(store: Store, student: Student) -> bool:
    """Enter a student; False: it is there already.

    Raises:
        ConfigurationError: the store does not know its data set or its parent.
    """
    if student.dataset is not None and store.artifacts.one(f"dataset-{student.dataset}") is None:
        raise ConfigurationError(
            f"{store.place} knows no data set {student.dataset!r}: make it with this store, so that a recalled source "
            "finds this student"
        )
    if student.parent is not None:
        find_student(store, student.parent)
    return store.artifacts.add(
        ArtifactRow(student.id, "student", student.model_dump(mode="json"), student.created_at)
    )


def students(store: Store) -> list[Student]:
    """Return the store's students in the order they came."""
    return [Student.model_validate(row.body) for row in store.artifacts.find("student")]


def find_student(store: Store, id: str) -> Student:
    """Return a student. Raises `ConfigurationError` if there is none."""
    row = store.artifacts.one(id)
    if row is None or row.kind != "student":
        raise ConfigurationError(
            f"no student {id!r} in {store.place}: `icd offline list` names those there are"
        )
    return Student.model_validate(row.body)


def trained_tasks(store: Store, student: Student) -> frozenset[str]:
    """Return the tasks that a student, or one that it was trained from, was trained on."""
    by_id = {one.id: one.trained_tasks for one in datasets(store)}
    found = set(by_id.get(student.dataset or "", ()))
    if student.parent is not None:
        found |= trained_tasks(store, find_student(store, student.parent))
    return frozenset(found)


def damaged(student: Student) -> list[str]:
    """Return the names of files that are gone or not what they were."""
    return [
        file.name
        for file in student.files
        if not (path := Path(student.folder) / file.name).is_file() or sha256_of(path) != file.sha256
    ]


def recall(store: Store, *, source: str | None = None, trajectories: Iterable[str] = ()) -> Recall:
    """Return the data sets that contain a source or trajectories, and the students that were trained on them, also
    through the students that they were trained from."""
    wanted = set(trajectories)
    touched = tuple(
        one
        for one in datasets(store)
        if source in one.card.sources or not wanted.isdisjoint(one.trajectories)
    )
    data = {one.id for one in touched}
    found: dict[str, Student] = {}
    for student in students(store):  # Parents come first.
        if student.dataset in data or student.parent in found:
            found[student.id] = student
    return Recall(touched, tuple(found.values()))
