"""The live view of long commands: redrawn in place in a terminal, plain lines elsewhere. On standard error.

Shared by playing and training. It knows nothing of either: it is given what to draw, and lines to write instead. Drawing
happens in a thread a few times a second, however often something changes.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from icd.cli.output import messages

__all__ = ["Clock", "LiveView", "bar", "clock", "dollars", "stacked"]

_A_SECOND = 4
_BAR = 30
_NARROW = 60
"""Characters below which the bar is left out."""


class LiveView:
    """What is drawn while something runs; a context manager around it. However that ends, the terminal is as before."""

    def __init__(self, draw: Callable[[], RenderableType], console: Console | None = None) -> None:
        """Prepare; `draw` is called from another thread."""
        self.console = console or messages
        self.in_place = self.console.is_terminal and not self.console.is_dumb_terminal
        self._draw = draw
        self._live: Live | None = None

    @property
    def narrow(self) -> bool:
        """Whether there is room for what is essential only."""
        return self.console.width < _NARROW

    def line(self, text: str) -> None:
        """Write a line where nothing is drawn in place."""
        if not self.in_place:
            self.note(text)

    def note(self, text: str) -> None:
        """Write a line that stays: above what is drawn, where something is."""
        self.console.print(text, markup=False, soft_wrap=True)

    def __enter__(self) -> Self:
        if self.in_place:
            self._live = Live(
                get_renderable=self._draw, console=self.console, refresh_per_second=_A_SECOND, transient=True
            )
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()


@dataclass(slots=True)
class Clock:
    """How long it still takes, by what this process has done."""

    now: Callable[[], float] = time.monotonic
    finished: int = 0
    _started: float = field(init=False)

    def __post_init__(self) -> None:
        self._started = self.now()

    def left(self, to_do: int) -> str:
        """Return the time for so many in all, less those that are finished."""
        if not self.finished:
            return "?"
        return clock((self.now() - self._started) / self.finished * (to_do - self.finished))


def bar(view: LiveView, done: int, total: int, words: str) -> RenderableType:
    """Return a line of progress; where it is narrow, the words alone, on as many lines as they need."""
    if view.narrow:
        return Text(words)
    grid = Table.grid(padding=(0, 1))
    told = Text(words, overflow="ellipsis", no_wrap=True)
    grid.add_row(ProgressBar(total=max(total, 1), completed=done, width=_BAR), told)
    return grid


def stacked(title: str, *parts: RenderableType) -> RenderableType:
    """Return parts below a title."""
    return Group(Text(title, style="bold", overflow="ellipsis", no_wrap=True), *parts)


def clock(seconds: float) -> str:
    """Return a duration in words."""
    minutes, rest = divmod(round(max(seconds, 0)), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02d} min"
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"


def dollars(amount: float) -> str:
    """Return an amount with as many digits as say something."""
    return f"${amount:.4f}" if amount < 10 else f"${amount:.2f}"
