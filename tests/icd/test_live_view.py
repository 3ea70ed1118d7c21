"""The live view of playing and training: in a pseudo-terminal, in a narrow one, and as plain lines."""

from __future__ import annotations

import io
import os
import pty
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, NamedTuple

import pytest
from rich.console import Console
from scenario import collection, workplace

from icd.benchmark.runner import Ended, Finished, Job, Started, StepTaken, Tally
from icd.cli.display import Display
from icd.cli.live import Clock, clock, dollars
from icd.cli.play import play
from icd.cli.training_display import TrainingDisplay
from icd_envs.base import Task
from icd_memory.rows import EpisodeRow

NOW = datetime(2026, 11, 22, tzinfo=UTC)
SHOW_CURSOR, HIDE_CURSOR, ERASE_LINE = "\x1b[?25h", "\x1b[?25l", "\x1b[2K"


class Step(NamedTuple):
    """As `icd.offline.training.callbacks.Progressed`, without its libraries."""

    step: int
    steps: int
    loss: float | None
    validation: tuple[int, int] | None = None


def job(number: int, method: str = "cascade") -> Job:
    task = Task(f"t{number}", "household", "train", f"i{number}", "look", "Look around.")
    return Job("run", method, task, 0, None)  # type: ignore[arg-type]


def ended(number: int, *, won: bool, cost: float = 0.01, method: str = "cascade") -> Ended:
    a_job = job(number, method)
    outcome = {"won": won, "steps": 10, "steps_by": {"student": 8, "teacher": 2}}
    row = EpisodeRow(a_job.id, "run", a_job.task.id, method, 0, "done", NOW, outcome)
    return Ended(a_job, Finished(row, cost))


def failed(number: int) -> Ended:
    a_job = job(number)
    outcome = {"error": {"code": "backend", "message": "no connection [red]"}}
    row = EpisodeRow(a_job.id, "run", a_job.task.id, "cascade", 0, "failed", NOW, outcome)
    return Ended(a_job, Finished(row, 0.0))


def a_console(width: int = 100, **options: Any) -> Console:
    return Console(file=io.StringIO(), width=width, highlight=False, **options)


def written(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def drawn(display: Display | TrainingDisplay, width: int) -> str:
    console = a_console(width)
    display._view.console = console
    console.print(display._draw())
    return written(console)


def four_of_ten() -> Display:
    display = Display("household: demo", {"student": 4, "cascade": 6}, a_console())
    display.on_event(Started(10, ()))
    display.on_event(ended(0, won=True, method="student", cost=0.0))
    for number, won in enumerate((True, True, False)):
        display.on_event(ended(number, won=won))
    display.on_event(StepTaken(job(7), 3, "teacher", "go to  desk 1"))
    return display


def test_what_is_drawn() -> None:
    text = drawn(four_of_ten(), 100)
    assert "household: demo" in text
    row = next(line for line in text.splitlines() if line.startswith("cascade"))
    assert row.split() == ["cascade", "3/6", "67%", "[21%,", "94%]", "10.0", "20%", "$0.0100"]
    assert "4/10 episodes, $0.0300 so far, about $0.0300 to come" in text
    assert "cascade t7, step 3 (teacher): go to desk 1" in text


@pytest.mark.parametrize("width", [20, 40, 59, 60, 80, 200])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    lines = drawn(four_of_ten(), width).splitlines()
    assert all(len(line) <= width for line in lines)
    assert len(lines) == 6 or width < 60


def test_a_narrow_terminal_has_what_is_essential() -> None:
    text = drawn(four_of_ten(), 50)
    assert "67% [21%, 94%]" in text
    assert "$/episode" not in text
    assert re.search(r"about \$0.0300 to\s+come, .* left", text)


def test_plain_lines_where_there_is_no_terminal() -> None:
    console = a_console(300)
    with Display("household: demo", {"cascade": 3}, console) as display:
        display.on_event(Started(3, ()))
        display.on_event(ended(0, won=True))
        display.on_event(failed(1))
        display.on_event(ended(2, won=False))
    lines = written(console).splitlines()
    assert lines[0] == "household: demo"
    first = r"\[1/3\] cascade t0: won in 10 steps, 2 by the teacher; cascade 100% \[21%, 100%\]; \$0.0100 so far, "
    assert re.match(first + r"about \$0.0200 to come, .* left$", lines[1])
    assert "[2/3] cascade t1: failed: no connection [red]; " in lines[2]
    assert lines[3].endswith("$0.0200 so far, about $0.0000 to come, 0 s left")
    assert "\x1b" not in written(console)


def test_what_was_done_before_counts() -> None:
    console = a_console(300)
    with Display("x", {"cascade": 4}, console) as display:
        display.on_event(Started(2, (ended(0, won=True).finished, ended(1, won=True).finished)))
        display.on_event(ended(2, won=True))
    assert "going on: 2 of 4 episodes are done" in written(console)
    assert "[3/4]" in written(console)


def test_a_method_that_has_not_begun_makes_the_rest_a_lower_limit() -> None:
    display = Display("x", {"student": 2, "teacher": 2}, a_console())
    assert display._costs().startswith("$0.0000 so far, ?")
    display.on_event(ended(0, won=True, method="student"))
    assert "at least $0.0100 to come" in display._costs()


class Screen:
    """What a pseudo-terminal got."""

    def __init__(self) -> None:
        self.console: Console
        self.text = ""


@contextmanager
def terminal(width: int = 80) -> Iterator[Screen]:
    """A pseudo-terminal; its text is there when the block has ended."""
    master, slave = pty.openpty()
    screen, pieces = Screen(), []

    def read() -> None:
        try:
            while piece := os.read(master, 4096):
                pieces.append(piece)
        except OSError:  # The other end is closed.
            pass

    reader = threading.Thread(target=read)
    reader.start()
    try:
        with os.fdopen(slave, "w") as file:
            screen.console = Console(file=file, width=width, highlight=False)
            yield screen
    finally:
        reader.join()
        os.close(master)
        screen.text = b"".join(pieces).decode()


@pytest.fixture
def colours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE", "COLUMNS", "LINES"):
        monkeypatch.delenv(name, raising=False)


def play_a_little(console: Console) -> None:
    with Display("household: demo", {"cascade": 2}, console) as display:
        display.on_event(Started(2, ()))
        display.on_event(ended(0, won=True))


@pytest.mark.usefixtures("colours")
def test_a_terminal_is_drawn_in_place_and_left_as_it_was() -> None:
    with terminal() as screen:
        assert screen.console.is_terminal
        play_a_little(screen.console)
    assert HIDE_CURSOR in screen.text
    assert screen.text.rindex(SHOW_CURSOR) > screen.text.rindex(HIDE_CURSOR)
    assert "100% [21%, 100%]" in screen.text
    assert "[1/2]" not in screen.text, "no plain lines"
    after = screen.text[screen.text.rindex("100% [21%, 100%]") :]
    assert after.count(ERASE_LINE) >= 3, "what was drawn is gone"


def interrupted(console: Console) -> None:
    with Display("x", {"cascade": 2}, console) as display:
        display.on_event(Started(2, ()))
        raise KeyboardInterrupt


@pytest.mark.usefixtures("colours")
def test_ctrl_c_leaves_the_terminal_as_it_was() -> None:
    with terminal() as screen, pytest.raises(KeyboardInterrupt):
        interrupted(screen.console)
    assert screen.text.rindex(SHOW_CURSOR) > screen.text.rindex(HIDE_CURSOR)


@pytest.mark.usefixtures("colours")
def test_no_color(monkeypatch: pytest.MonkeyPatch) -> None:
    with terminal() as screen:
        play_a_little(screen.console)
    assert re.search(r"\x1b\[[0-9;]*3[0-9]", screen.text), "the bar has a colour"
    monkeypatch.setenv("NO_COLOR", "1")
    with terminal() as screen:
        play_a_little(screen.console)
    assert not re.search(r"\x1b\[[0-9;]*\b(3[0-7]|38;|9[0-7])", screen.text)


@pytest.mark.usefixtures("colours")
def test_a_dumb_terminal_gets_plain_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "dumb")
    with terminal() as screen:
        play_a_little(screen.console)
    assert "[1/2] cascade t0: won" in screen.text
    assert "\x1b" not in screen.text


def test_training_in_plain_lines_is_a_few_lines() -> None:
    console = a_console(200)
    with TrainingDisplay("training (sft)", console) as display:
        for step in range(1, 1001):
            display.on_step(Step(step, 1000, 2.0 if step > 5 else None, (3, 4) if step > 500 else None))
    lines = written(console).splitlines()
    assert len(lines) == 20
    assert lines[0].startswith("training (sft): step 50/1000, loss 2.000, ")
    assert re.search(r"step 1000/1000, loss 2.000, held-out success 75% \[30%, 95%\], 0 s left$", lines[-1])


def test_training_drawn() -> None:
    display = TrainingDisplay("training (sft)", a_console())
    assert "loading" in drawn(display, 80)
    display.on_step(Step(1, 4, 0.5))
    assert "1/4, loss 0.500, ? left" in drawn(display, 80)


def test_time_left_is_by_the_pace_so_far() -> None:
    now = iter((100.0, 130.0))
    a_clock = Clock(lambda: next(now))
    a_clock.finished = 3
    assert a_clock.left(5) == "20 s"


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(-1, "0 s"), (59.4, "59 s"), (60, "1 min 00 s"), (3599.6, "1 h 00 min"), (7384, "2 h 03 min")],
)
def test_durations(seconds: float, said: str) -> None:
    assert clock(seconds) == said


def test_dollars() -> None:
    assert (dollars(0.00012), dollars(9.99991), dollars(1234.5)) == ("$0.0001", "$9.9999", "$1234.50")


def test_an_interrupted_run_names_the_command_to_go_on_with(capsys: pytest.CaptureFixture[str]) -> None:
    async def interrupt(jobs: object, stage: object, workers: int) -> Tally:
        raise KeyboardInterrupt

    place = workplace(":memory:")
    experiment = replace(collection(place, 1, command="icd collect household"), executor=interrupt)
    try:
        with pytest.raises(KeyboardInterrupt):
            play(experiment, "collecting")
    finally:
        place.close()
    said = capsys.readouterr().err.replace("\n", " ")
    assert "the same command goes on from here: icd collect household" in said
