"""Damaged inputs at every parser: each is understood or refused with a typed error, soon, and without eating memory.

    python benchmarks/trust_fuzz.py [--inputs 10000] [--parsers NAME,NAME]

prints a line a parser and every failure with the input that made it.
"""

from __future__ import annotations

import argparse
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from types import FrameType

_ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(_ROOT), str(_ROOT / "memory"), str(_ROOT / "envs"), str(_ROOT / "benchmarks")]

from common import resident_memory_mb  # noqa: E402
from fuzz_inputs import damaged  # noqa: E402
from fuzz_parsers import Parser, parsers  # noqa: E402
from hypothesis import HealthCheck, Phase, given, seed, settings  # noqa: E402

from icd.errors import EnvsError, IcdError, IcdMemoryError  # noqa: E402

SECONDS = 10.0
"""Of CPU that one input may take."""
MOST_SECONDS = 300.0
"""That it may take in all: a busy machine takes its time."""
LONGEST_MESSAGE = 4_000
"""Characters of an error that a person still reads."""
TYPED = (IcdError, EnvsError, IcdMemoryError)


class TooSlowError(BaseException):
    """An input took too long. No `Exception`: nobody may swallow it."""


@dataclass
class Report:
    """What became of one parser's inputs."""

    parser: str
    understood: int = 0
    refused: int = 0
    failures: list[tuple[str, bytes]] = field(default_factory=list)
    """What went wrong, and the input."""
    slowest: float = 0.0
    """Seconds of CPU that the slowest input took."""
    grown_mb: float = 0.0
    """By how much the process grew."""

    @property
    def inputs(self) -> int:
        """How many there were."""
        return self.understood + self.refused + len(self.failures)


def fuzz(parser: Parser, inputs: int, first: int = 0) -> Report:
    """Give a parser damaged inputs, always the same for the same `first`."""
    report, before = Report(parser.name), resident_memory_mb() or 0.0

    @seed(first)
    @settings(
        max_examples=inputs, deadline=None, database=None, phases=(Phase.generate,),
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(damaged(parser.samples))
    def feed(data: bytes) -> None:
        _try(parser, data, report)

    feed()
    report.grown_mb = (resident_memory_mb() or 0.0) - before
    return report


def _try(parser: Parser, data: bytes, report: Report) -> None:
    started = time.process_time()
    try:
        with _limited():
            parser.parse(data)
        report.understood += 1
    except TYPED as error:
        if len(str(error)) > LONGEST_MESSAGE:
            report.failures.append((f"{type(error).__name__} of {len(str(error))} characters", data))
        else:
            report.refused += 1
    except (Exception, TooSlowError) as error:  # noqa: BLE001 - whatever else comes is what is looked for
        where = _place(error)
        report.failures.append((f"{type(error).__name__} at {where}: {str(error)[:200]}", data))
    report.slowest = max(report.slowest, time.process_time() - started)


def _place(error: BaseException) -> str:
    """Return the innermost line of ours on an error's way."""
    trace, found = error.__traceback__, "?"
    while trace is not None:
        path = Path(trace.tb_frame.f_code.co_filename)
        if path.is_relative_to(_ROOT) and "benchmarks" not in path.parts:
            found = f"{path.relative_to(_ROOT)}:{trace.tb_lineno}"
        trace = trace.tb_next
    return found


@contextmanager
def _limited() -> Iterator[None]:
    """Raise `TooSlowError` when the block takes too long, where the system has such alarms."""
    if not hasattr(signal, "setitimer"):
        yield
        return

    def ring(number: int, frame: FrameType | None) -> None:
        raise TooSlowError(f"more than {SECONDS:g} s of CPU, or {MOST_SECONDS:g} s")

    alarms = (
        (signal.SIGPROF, signal.ITIMER_PROF, SECONDS),
        (signal.SIGALRM, signal.ITIMER_REAL, MOST_SECONDS),
    )
    before = [signal.signal(number, ring) for number, _, _ in alarms]
    for _, timer, seconds in alarms:
        signal.setitimer(timer, seconds)
    try:
        yield
    finally:
        for (number, timer, _), handler in zip(alarms, before, strict=True):
            signal.setitimer(timer, 0)
            signal.signal(number, handler)


def fuzz_all(inputs: int, only: Sequence[str] = (), first: int = 0) -> Iterator[Report]:
    """Give every parser so many inputs."""
    with TemporaryDirectory(prefix="icd-fuzz-") as folder:
        for make in parsers():
            if only and make.__name__ not in only:
                continue
            with make(Path(folder)) as parser:
                yield fuzz(parser, inputs, first)


def figures(quick: bool) -> dict[str, float | int]:
    """Return how many inputs all parsers were given, and how many of them did something else than they should."""
    reports = list(fuzz_all(100 if quick else 10_000))
    return {
        "fuzz_parsers": len(reports),
        "fuzz_inputs": sum(report.inputs for report in reports),
        "fuzz_failures": sum(len(report.failures) for report in reports),
        "fuzz_slowest_s": max(report.slowest for report in reports),
        "fuzz_grown_mb": max(report.grown_mb for report in reports),
    }


def main() -> None:
    reader = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    reader.add_argument("--inputs", type=int, default=10_000)
    reader.add_argument("--parsers", default="", help="names, with commas")
    reader.add_argument("--seed", type=int, default=0)
    asked = reader.parse_args()
    names = [name for name in asked.parsers.split(",") if name]
    failed = 0
    for report in fuzz_all(asked.inputs, names, asked.seed):
        print(
            f"{report.parser:20} {report.inputs:6} inputs, {report.understood:6} understood, {report.refused:6} refused, "
            f"{len(report.failures):4} failures, slowest {report.slowest:.2f} s of CPU, grown {report.grown_mb:.0f} MB",
            flush=True,
        )
        for problem, count in Counter(problem for problem, _ in report.failures).most_common(20):
            data = min((data for told, data in report.failures if told == problem), key=len)
            print(f"  {count} x {problem}\n    {data[:300]!r} ({len(data)} bytes)", flush=True)
        failed += len(report.failures)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
