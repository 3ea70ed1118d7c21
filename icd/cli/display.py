"""Progress of many episodes: success with its interval, cost so far and to come, who acted, time left."""

from __future__ import annotations

from dataclasses import dataclass
from types import TracebackType
from typing import Self

from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from icd.benchmark.runner import Ended, Event, Finished, Postponed, Started, StepTaken
from icd.benchmark.statistics import wilson
from icd.cli.live import Clock, LiveView, bar, dollars, stacked

_SHOWN = 4
"""Episodes under way that are shown."""


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

    @property
    def ended(self) -> int:
        return self.done + self.failed

    @property
    def success(self) -> str:
        share = wilson(self.won, self.done)
        return f"{share.value:.0%} [{share.low:.0%}, {share.high:.0%}]" if self.done else ""

    @property
    def by_teacher(self) -> str:
        return f"{self.teacher_steps / self.steps:.0%}" if self.steps else ""

    @property
    def to_come(self) -> float | None:
        """Dollars of the episodes that are left, if they cost what the others did; None: there is no other yet."""
        if self.ended == self.total:
            return 0.0
        return self.cost / self.ended * (self.total - self.ended) if self.ended else None


class Display:
    """Shows `Event`s; a context manager around a run."""

    def __init__(self, title: str, totals: dict[str, int], console: Console | None = None) -> None:
        """Prepare for `totals` episodes by method."""
        self._title = title
        self._lines = {method: _Line(total) for method, total in totals.items()}
        self._total = sum(totals.values())
        self._to_play = self._total
        self._clock = Clock()
        self._now: dict[str, str] = {}
        self._view = LiveView(self._draw, console)

    def __enter__(self) -> Self:
        self._view.line(self._title)
        self._view.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._view.__exit__(kind, error, trace)

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
                self._view.note(f"{job.method} {job.task.id}: failed, again later: {error}")
            case Ended(job=job, finished=finished):
                self._now.pop(job.id, None)
                self._clock.finished += 1
                self._lines[job.method].take(finished)
                self._view.line(self._told(finished))

    def _start(self, event: Started) -> None:
        for finished in event.done_before:
            self._lines[finished.row.method].take(finished)
        self._to_play = event.to_play
        self._clock = Clock()
        if event.done_before:
            self._view.line(f"going on: {len(event.done_before)} of {self._total} episodes are done")

    def _told(self, finished: Finished) -> str:
        """Return a line about an episode that ended, and how it stands."""
        row, outcome = finished.row, finished.row.outcome or {}
        if row.status == "done":
            teacher = outcome["steps_by"].get("teacher", 0)
            how = "won" if outcome["won"] else "lost"
            stopped = f", stopped by its limit of {outcome['limit']}" if outcome.get("limit") else ""
            what = f"{how} in {outcome['steps']} steps, {teacher} by the teacher{stopped}"
        else:
            what = f"failed: {outcome['error']['message']}"
        success = self._lines[row.method].success
        so_far = f"; {row.method} {success}" if success else ""
        return f"[{self._ended}/{self._total}] {row.method} {row.task_id}: {what}{so_far}; {self._costs()}"

    @property
    def _ended(self) -> int:
        return sum(line.ended for line in self._lines.values())

    def _costs(self) -> str:
        """Say what it cost so far, and what is to come if the other episodes cost the same."""
        spent = sum(line.cost for line in self._lines.values())
        coming = [line.to_come for line in self._lines.values()]
        known = sum(cost for cost in coming if cost is not None)
        if None not in coming:
            about = f", about {dollars(known)} to come"
        else:
            about = f", at least {dollars(known)} to come" if known else ""
        return f"{dollars(spent)} so far{about}, {self._clock.left(self._to_play)} left"

    def _draw(self) -> RenderableType:
        words = f"{self._ended}/{self._total} episodes, {self._costs()}"
        running = list(self._now.values())  # Another thread changes it.
        now = [Text(f"  {line}", style="dim", no_wrap=True, overflow="ellipsis") for line in running[:_SHOWN]]
        return stacked(self._title, self._table(), bar(self._view, self._ended, self._total, words), *now)

    def _table(self) -> Table:
        table = Table(box=None, pad_edge=False, header_style="dim")
        columns = _ESSENTIAL if self._view.narrow else _COLUMNS
        for name in columns:
            table.add_column(name, justify="left" if name == "method" else "right", no_wrap=True)
        for method, line in self._lines.items():
            cells = {
                "method": method,
                "episodes": f"{line.done}/{line.total}" + (f" ({line.failed} failed)" if line.failed else ""),
                "success": line.success,
                "steps": f"{line.steps / line.done:.1f}" if line.done else "",
                "by the teacher": line.by_teacher,
                "$/episode": f"${line.cost / line.done:.4f}" if line.done else "",
            }
            table.add_row(*(cells[name] for name in columns))
        return table


_COLUMNS = ("method", "episodes", "success", "steps", "by the teacher", "$/episode")
_ESSENTIAL = ("method", "episodes", "success")
