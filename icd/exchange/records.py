"""The JSON objects of a file, one at a time: a line each, documents one after the other, or the members of a list.

Lines are read with the standard library; a list, or a document of many lines, with `ijson` (extra ``exchange``), so
that no file is ever in memory as a whole.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from types import ModuleType
from typing import IO, Any, NamedTuple, TypeVar

from pydantic import ValidationError

from icd.config_errors import in_brief
from icd.errors import ConfigurationError, MissingExtraError

_Made = TypeVar("_Made")
_HEAD = 1 << 20
"""Bytes that are looked at to tell how a file is laid out."""
_BOM = b"\xef\xbb\xbf"


class Record(NamedTuple):
    """An object of a file."""

    where: str
    """For messages: ``line 3``."""
    data: dict[str, Any]


def records(path: Path, lists: tuple[str, ...] = ()) -> Iterator[Record]:
    """Yield a file's objects; `lists` names lists in a document whose members they may be, as ``runs.item``.

    Raises:
        ConfigurationError: something in it is no JSON object.
        MissingExtraError: it takes `ijson` to read it, which is not installed.
    """
    with path.open("rb") as file:
        head = file.read(_HEAD).removeprefix(_BOM).lstrip()
        file.seek(0)
        if head.startswith(b"["):
            yield from _members(path, file, "item")
        elif (place := _list_in(head, lists)) is not None:
            yield from _members(path, file, place)
        elif _by_lines(head):
            yield from _lines(path, file)
        else:
            yield from _members(path, file, "")


def read_each(
    path: Path, what: str, read: Callable[[dict[str, Any]], _Made], lists: tuple[str, ...] = ()
) -> Iterator[_Made]:
    """Yield what `read` makes of each object of a file; `what` names it where it cannot. Otherwise as `records`."""
    for where, data in records(path, lists):
        with explained(path, where, what):
            made = read(data)
        yield made


@contextmanager
def explained(path: Path, where: str, what: str) -> Iterator[None]:
    """Turn the errors of reading something foreign into one that says where it stands."""
    try:
        yield
    except (ValidationError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise ConfigurationError(f"{path}, {where} is no {what}: {in_brief(error)}") from error


def _lines(path: Path, file: IO[bytes]) -> Iterator[Record]:
    for number, line in enumerate(file, 1):
        if line.isspace():
            continue
        where = f"line {number}"
        with explained(path, where, "JSON object"):
            data = json.loads(line.removeprefix(_BOM) if number == 1 else line)
            if not isinstance(data, dict):
                raise ValueError("it is another kind of value")
        yield Record(where, data)


def _members(path: Path, file: IO[bytes], prefix: str) -> Iterator[Record]:
    ijson = _ijson()
    if file.read(len(_BOM)) != _BOM:
        file.seek(0)
    found = ijson.items(file, prefix, multiple_values=not prefix, use_float=True)
    number = 0
    while True:
        number += 1
        where = f"record {number}"
        with explained(path, where, "JSON object"):
            try:
                data = next(found, None)
            except ijson.JSONError as error:
                raise ValueError(str(error)) from error
            if data is None:
                return
            if not isinstance(data, dict):
                raise ValueError("it is another kind of value")
        yield Record(where, data)


def _list_in(head: bytes, lists: tuple[str, ...]) -> str | None:
    """Return which of the lists a document that begins like this has; None: none of them."""
    if not lists or not head.startswith(b"{"):
        return None
    try:
        ijson = _ijson()
    except MissingExtraError:
        return None
    wanted = {place.removesuffix(".item"): place for place in lists}
    try:
        for prefix, event, _ in ijson.parse(BytesIO(head), multiple_values=True):
            if event == "start_array" and prefix in wanted:
                return wanted[prefix]
            if event == "end_map" and not prefix:
                return None
    except (ijson.JSONError, ValueError):
        pass  # Cut off, or damaged: whoever reads it will say so.
    return None


def _by_lines(head: bytes) -> bool:
    """Say whether a file that begins like this has an object a line."""
    line, end, _ = head.partition(b"\n")
    if not end:
        return True
    try:
        json.loads(line)
    except (ValueError, RecursionError):
        # A document that is spread over lines begins with a bracket and goes on below.
        return line.strip() not in (b"{", b"") and not line.rstrip().endswith((b",", b"{", b"["))
    return True


def _ijson() -> ModuleType:
    try:
        import ijson  # type: ignore[import-untyped, unused-ignore]
    except ImportError as error:
        raise MissingExtraError("a file that is one JSON document", "exchange") from error
    found: ModuleType = ijson
    return found
