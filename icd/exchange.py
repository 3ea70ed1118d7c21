"""Trajectories as a file: one JSON document a line, out of a store and into one.

What must not be published is marked, in the store or by its environment. It is written only where that was asked for,
each such line carries the mark, and what is read keeps it: nothing here takes it off.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import cache
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import IO

from pydantic import TypeAdapter, ValidationError

from icd.benchmark.collect import judged_for
from icd.config_errors import in_brief
from icd.errors import ConfigurationError
from icd_envs.table import RESTRICTIONS, SUITES, suite
from icd_memory.codec import trajectory_from_json, trajectory_to_json
from icd_memory.probation import WAITS, WAITS_FOR_A_PERSON
from icd_memory.retrieval import Memory
from icd_memory.schema import dump_json
from icd_memory.trajectory import Trajectory

KNOWN = "known"
"""What came of a line whose trajectory the store holds already."""


def restriction_of(trajectory: Trajectory) -> str:
    """Return why a trajectory must not be published; empty: it may be."""
    return trajectory.provenance.restriction or RESTRICTIONS.get(trajectory.environment, "")


def marked(trajectory: Trajectory) -> Trajectory:
    """Return the trajectory with its mark, where it has one, in its own record."""
    provenance = replace(trajectory.provenance, restriction=restriction_of(trajectory))
    return replace(trajectory, provenance=provenance)


def write_file(path: Path, trajectories: Iterable[Trajectory], *, include_unpublishable: bool = False) -> int:
    """Write trajectories with their marks and return how many; the file is there whole or not at all.

    Raises:
        ConfigurationError: one of them must not be published, and such ones were not asked for.
    """
    found: Counter[str] = Counter()
    with _replacing(path) as file:
        for trajectory in trajectories:
            restriction = restriction_of(trajectory)
            found[restriction] += 1
            if include_unpublishable or not restriction:
                file.write(dump_json(trajectory_to_json(marked(trajectory))) + "\n")
        why = "; ".join(reason for reason in found if reason)
        if why and not include_unpublishable:
            raise ConfigurationError(
                f"{found.total() - found['']} of {found.total()} trajectories are not to be published ({why}): "
                "nothing was written. --include-unpublishable writes them, each line with this mark, to be used "
                "and not to be passed on"
            )
    return found.total()


def read_file(path: Path) -> Iterator[Trajectory]:
    """Yield a file's trajectories, marked. Raises `ConfigurationError` at a line that is none."""
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            try:
                data = json.loads(line)
                _shape().validate_python(data)
                yield marked(trajectory_from_json(data))
            except (ValidationError, ValueError, TypeError, KeyError, RecursionError) as error:
                raise ConfigurationError(
                    f"{path}, line {number} is no trajectory: {in_brief(error)}"
                ) from error


def take_in(trajectories: Iterable[Trajectory], memory: Memory, *, approved: bool = False) -> Counter[str]:
    """Store trajectories under what admission says of them; return how many came to which status, or were known.

    The test splits are those of each trajectory's own environment. What a file says of its success nobody here has
    seen: unless a person has `approved` it, or its source is a run of this store, it waits in quarantine.
    """
    store, came = memory.store, Counter[str]()
    for trajectory in trajectories:
        admission = judged_for(store, _test_splits(trajectory.environment))(trajectory)
        if store.trajectories_by_id([trajectory.id]):
            came[KNOWN] += 1
            continue
        source = trajectory.provenance.source
        stranger = not approved and store.run(source) is None
        if approved and memory.probation.level(trajectory.tenant, source) != "recalled":
            memory.probation.set_level(trajectory.tenant, source, "approved", "imported by hand")
        judged = memory.probation.judged(admission, stranger=stranger)
        if stranger and judged.reason == WAITS:
            # A file can say what it likes: its successes prove nothing, a person has to.
            judged = replace(judged, reason=WAITS_FOR_A_PERSON)
        came[memory.keep(judged).status] += 1
    return came


def _test_splits(environment: str) -> tuple[str, ...]:
    return suite(environment).test_splits if environment in SUITES else ()


@cache
def _shape() -> TypeAdapter[Trajectory]:
    return TypeAdapter(Trajectory)


@contextmanager
def _replacing(path: Path) -> Iterator[IO[str]]:
    with NamedTemporaryFile("w", encoding="utf-8", dir=path.parent, prefix=".export-", delete=False) as file:
        try:
            yield file
            file.flush()
            os.fsync(file.fileno())
            os.replace(file.name, path)
        except BaseException:
            with suppress(OSError):
                os.unlink(file.name)
            raise
