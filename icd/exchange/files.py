"""Files of trajectories: written whole or not at all, read one by one."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import IO

from icd.errors import ConfigurationError
from icd.exchange.format import Format, Origin
from icd.exchange.formats import exchange_format
from icd.exchange.marks import marked, restriction_of
from icd_memory.trajectory import Trajectory


def write_file(
    path: Path,
    trajectories: Iterable[Trajectory],
    *,
    include_unpublishable: bool = False,
    kind: Format | None = None,
) -> int:
    """Write trajectories with their marks, in our own format unless told otherwise, and return how many; the file is
    there whole or not at all.

    Raises:
        ConfigurationError: the format is only read; or one of them must not be published, and such ones were not asked
            for or the format cannot say so.
    """
    kind = kind or exchange_format("own")
    if kind.write is None:
        raise ConfigurationError(f"{kind.title} is only read: write own, atif, openai or sharegpt")
    wanted = include_unpublishable and kind.keeps_mark
    found: Counter[str] = Counter()
    with _replacing(path) as file:
        for trajectory in trajectories:
            restriction = restriction_of(trajectory)
            found[restriction] += 1
            if wanted or not restriction:
                file.write(kind.write(marked(trajectory)) + "\n")
        why = "; ".join(reason for reason in found if reason)
        if why and not wanted:
            raise ConfigurationError(
                f"{found.total() - found['']} of {found.total()} trajectories are not to be published ({why}): "
                f"nothing was written. {_way_out(kind)}"
            )
    return found.total()


def read_file(path: Path, kind: Format | None = None) -> Iterator[Trajectory]:
    """Yield a file's trajectories, marked, in our own format unless told otherwise.

    Raises:
        ConfigurationError: something in it is no trajectory.
        MissingExtraError: it takes an extra to read it.
    """
    for trajectory in (kind or exchange_format("own")).read(path, Origin.of(path)):
        _check_names(trajectory, path)
        yield marked(trajectory)


def _check_names(trajectory: Trajectory, path: Path) -> None:
    """Refuse names that no database can hold; texts may be anything."""
    names = (
        trajectory.id,
        trajectory.tenant,
        trajectory.environment,
        trajectory.split,
        trajectory.provenance.source,
    )
    try:
        "".join(names).encode()
    except UnicodeEncodeError as error:
        raise ConfigurationError(
            f"{path}: the id or source {trajectory.id[:100]!r} is no valid text"
        ) from error


def _way_out(kind: Format) -> str:
    if not kind.keeps_mark:
        return f"A line of {kind.name} cannot say so: write own or atif, with --include-unpublishable"
    return "--include-unpublishable writes them, each line with this mark, to be used and not to be passed on"


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
