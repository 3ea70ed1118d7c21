"""Progress of a training run: steps, loss, success on held-out episodes, time left."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING, Self

from rich.console import Console, RenderableType

from icd.benchmark.statistics import wilson
from icd.cli.live import Clock, LiveView, bar, stacked

if TYPE_CHECKING:
    from icd.offline.training.callbacks import Progressed

__all__ = ["TrainingDisplay"]

_LINES = 20
"""Written of a whole run, where nothing is drawn."""


class TrainingDisplay:
    """Shows how far a run is; a context manager around it."""

    def __init__(self, title: str, console: Console | None = None) -> None:
        self._title = title
        self._view = LiveView(self._draw, console)
        self._clock = Clock()
        self._first = 0
        self._now: Progressed | None = None

    def __enter__(self) -> Self:
        self._view.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._view.__exit__(kind, error, trace)

    def on_step(self, now: Progressed) -> None:
        """Take note of an optimiser step."""
        if self._now is None:
            self._first = now.step  # Loading and the steps before an interruption say nothing about the pace.
            self._clock = Clock()
        self._now = now
        self._clock.finished = now.step - self._first
        if now.step == now.steps or now.step % max(1, now.steps // _LINES) == 0:
            self._view.line(f"{self._title}: step {self._words(now)}")

    def _words(self, now: Progressed) -> str:
        words = [f"{now.step}/{now.steps}"]
        if now.loss is not None:
            words.append(f"loss {now.loss:.3f}")
        if now.validation is not None:
            won, episodes = now.validation
            share = wilson(won, episodes)
            words.append(f"held-out success {share.value:.0%} [{share.low:.0%}, {share.high:.0%}]")
        words.append(f"{self._clock.left(now.steps - self._first)} left")
        return ", ".join(words)

    def _draw(self) -> RenderableType:
        now = self._now
        if now is None:
            return stacked(f"{self._title}: loading")
        return stacked(self._title, bar(self._view, now.step, now.steps, self._words(now)))
