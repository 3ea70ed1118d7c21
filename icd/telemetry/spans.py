"""Operations that somebody may watch. Nobody watching is the usual case and costs a few calls that do nothing.

An operation begins in another one with `Span.start` and ends with its `with` block, which does not make it the current
one: a generator's block would leak into whoever reads it. `Span.current` does, for as long as nothing is yielded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Literal, NamedTuple, ParamSpec, Protocol, Self, TypeAlias

__all__ = [
    "OFF",
    "Attributes",
    "Operation",
    "Span",
    "Watcher",
    "ambient",
    "continued",
    "disable",
    "outgoing",
    "watch",
]

P = ParamSpec("P")
Attributes: TypeAlias = Mapping[str, str | bool | int | float | list[str]]


class Operation(NamedTuple):
    """What begins."""

    name: str
    kind: Literal["internal", "client"]
    attributes: Attributes
    conversation: str = ""
    """Which this and all within it belong to; empty: the same as around it."""


class Span:
    """An operation that nobody watches."""

    __slots__ = ()

    def start(self, describe: Callable[P, Operation], /, *args: P.args, **kwargs: P.kwargs) -> Span:
        """Begin an operation within this one."""
        return self

    def tell(self, describe: Callable[P, Attributes], /, *args: P.args, **kwargs: P.kwargs) -> None:
        """Say more about this operation; nothing that people wrote."""

    def content(self, describe: Callable[P, Attributes], /, *args: P.args, **kwargs: P.kwargs) -> None:
        """Say what people and models wrote; taken only where that was asked for."""

    def current(self) -> AbstractContextManager[object]:
        """Make this the operation in which others begin, in a `with` block that does not yield."""
        return _NOTHING

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        """End it, by an error if there is one."""


class Watcher(Protocol):
    """Who watches: `icd.telemetry.exported`."""

    def ambient(self) -> Span:
        """Return the current operation."""

    def continued(self, headers: Iterable[tuple[bytes, bytes]]) -> AbstractContextManager[object]:
        """Go on with the trace that a request's headers name."""

    def outgoing(self) -> dict[str, str]:
        """Return the headers by which another process goes on with the trace."""


OFF = Span()
_NOTHING: AbstractContextManager[object] = nullcontext()
_NO_HEADERS: dict[str, str] = {}
_watcher: Watcher | None = None


def watch(watcher: Watcher) -> None:
    """Let somebody watch the operations that begin from now on."""
    global _watcher
    _watcher = watcher


def disable() -> None:
    """Let nobody watch any more."""
    global _watcher
    _watcher = None


def ambient() -> Span:
    """Return the operation in which this runs."""
    return OFF if _watcher is None else _watcher.ambient()


def continued(headers: Iterable[tuple[bytes, bytes]]) -> AbstractContextManager[object]:
    """Go on with the trace that a request's headers name, in a `with` block."""
    return _NOTHING if _watcher is None else _watcher.continued(headers)


def outgoing() -> dict[str, str]:
    """Return the headers by which another process goes on with the trace; not to be changed."""
    return _NO_HEADERS if _watcher is None else _watcher.outgoing()
