"""Progress of many episodes, on standard error: a live table in a terminal, one line an episode elsewhere."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from rich.console import Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from icd.benchmark.runner import Ended, Event, Finished, Postponed, Started, StepTaken
from icd.benchmark.statistics import wilson
from icd.cli.output import messages


@dataclass(slots=True)
class _Line:
    """A method so far."""

    total: int
    done: int = 0
    won: int = 0
    failed: int = 0
    steps: int = 0
    teacher_steps: int = 0
    cost: float = 0.0

    def take(self, finished: Finished) -> None:
        outcome = finished.row.outcome or {}
        self.cost += finished.cost
        if finished.row.status != "done":
            self.failed += 1
            return
        self.done += 1
        self.won += bool(outcome["won"])
        self.steps += outcome["steps"]
        self.teacher_steps += outcome["steps_by"].get("teacher", 0)


@dataclass(slots=True)
class _Clock:
    """How long it still takes, from the episodes of this process."""

    started: float = field(default_factory=time.monotonic)
    finished: int = 0

    def left(self, to_play: int) -> str:
        if not self.finished:
            return "?"
        seconds = (time.monotonic() - self.started) / self.finished * (to_play - self.finished)
        return clock(seconds)


class Display:
    """Shows `Event`s; a context manager around a run."""

    def __init__(self, title: str, totals: dict[str, int]) -> None:
        """Prepare for `totals` episodes by method."""
        self._title = title
        self._lines = {method: _Line(total) for method, total in totals.items()}
        self._total = sum(totals.values())
        self._to_play = self._total
        self._clock = _Clock()
        self._now: dict[str, str] = {}
        self._live = Live(get_renderable=self._render, console=messages, refresh_per_second=4, transient=True)

    def __enter__(self) -> Self:
        if messages.is_terminal:
            self._live.start()
        else:
            messages.print(self._title, markup=False)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if messages.is_terminal:
            self._live.stop()

    def on_event(self, event: Event) -> None:
        """Take note of what happened."""
        match event:
            case Started():
                self._start(event)
            case StepTaken(job=job):
                action = " ".join(event.action.split())
                self._now[job.id] = f"{job.method} {job.task.id}, step {event.step} ({event.actor}): {action}"
            case Postponed(job=job, finished=finished):
                self._now.pop(job.id, None)
                error = (finished.row.outcome or {})["error"]["message"]
                messages.print(
                    f"{job.method} {job.task.id}: failed, again later: {error}", markup=False, soft_wrap=True
                )
            case Ended(job=job, finished=finished):
                self._now.pop(job.id, None)
                self._clock.finished += 1
                self._lines[job.method].take(finished)
                if not messages.is_terminal:
                    self._print(finished)

    def _start(self, event: Started) -> None:
        for finished in event.done_before:
            self._lines[finished.row.method].take(finished)
        self._to_play = event.to_play
        self._clock = _Clock()
        if event.done_before and not messages.is_terminal:
            messages.print(
                f"going on: {len(event.done_before)} of {self._total} episodes are done", markup=False
            )

    def _print(self, finished: Finished) -> None:
        row, outcome = finished.row, finished.row.outcome or {}
        done = sum(line.done + line.failed for line in self._lines.values())
        if row.status == "done":
            teacher = outcome["steps_by"].get("teacher", 0)
            how = "won" if outcome["won"] else "lost"
            stopped = f", stopped by its limit of {outcome['limit']}" if outcome.get("limit") else ""
            what = f"{how} in {outcome['steps']} steps, {teacher} by the teacher{stopped}"
        else:
            what = f"failed: {outcome['error']['message']}"
        left = self._clock.left(self._to_play)
        text = f"[{done}/{self._total}] {row.method} {row.task_id}: {what}, ${finished.cost:.4f}, {left} left"
        messages.print(text, markup=False, soft_wrap=True)

    def _render(self) -> RenderableType:
        done = sum(line.done + line.failed for line in self._lines.values())
        cost = sum(line.cost for line in self._lines.values())
        bar = Table.grid(padding=(0, 1))
        status = f"{done}/{self._total} episodes, ${cost:.4f}, {self._clock.left(self._to_play)} left"
        bar.add_row(ProgressBar(total=max(self._total, 1), completed=done, width=30), status)
        now = [
            Text(f"  {line}", style="dim", no_wrap=True, overflow="ellipsis") for line in self._now.values()
        ]
        return Group(Text(self._title, style="bold"), self._table(), bar, *now[:4])

    def _table(self) -> Table:
        table = Table(box=None, pad_edge=False, header_style="dim")
        for name, justify in _COLUMNS:
            table.add_column(name, justify=justify)  # type: ignore[arg-type]
        for method, line in self._lines.items():
            share = wilson(line.won, line.done)
            table.add_row(
                method,
                f"{line.done}/{line.total}" + (f" ({line.failed} failed)" if line.failed else ""),
                f"{share.value:.0%} [{share.low:.0%}, {share.high:.0%}]" if line.done else "",
                f"{line.steps / line.done:.1f}" if line.done else "",
                f"{line.teacher_steps / line.steps:.0%}" if line.steps else "",
                f"${line.cost / line.done:.4f}" if line.done else "",
            )
        return table


_COLUMNS = (
    ("method", "left"),
    ("episodes", "right"),
    ("success", "right"),
    ("steps", "right"),
    ("by the teacher", "right"),
    ("$/episode", "right"),
)


def clock(seconds: float) -> str:
    """Return a duration in words."""
    minutes, rest = divmod(round(max(seconds, 0)), 60)
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"
