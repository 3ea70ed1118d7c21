"""What every benchmark reports alike: the machine, medians with intervals, a JSON line at the end."""

from __future__ import annotations

import json
import os
import platform
import random
import statistics
from collections.abc import Mapping, Sequence
from typing import NamedTuple, TypeAlias

Figures: TypeAlias = Mapping[str, float | int | str | None]
Peers: TypeAlias = Mapping[str, Mapping[str, float | int | str | None]]

_RESAMPLES = 1000


class Interval(NamedTuple):
    """A median and the bounds of its 95 % bootstrap interval."""

    median: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.median:.4g} [{self.low:.4g}, {self.high:.4g}]"


def interval(samples: Sequence[float]) -> Interval:
    """Return the median of the samples and the 95 % bootstrap interval of it."""
    if not samples:
        raise ValueError("no samples to summarise")
    rng = random.Random(0)
    medians = sorted(statistics.median(rng.choices(samples, k=len(samples))) for _ in range(_RESAMPLES))
    return Interval(
        statistics.median(samples), medians[int(0.025 * _RESAMPLES)], medians[int(0.975 * _RESAMPLES)]
    )


def machine() -> dict[str, str | int | float]:
    """Return what a reader needs to know about the machine to judge a figure."""
    return {
        "cpu": _cpu_model(),
        "cores": _cores(),
        "memory_gb": _memory_gb(),
        "system": platform.platform(terse=True),
        "python": platform.python_version(),
    }


def emit(name: str, figures: Figures, peers: Peers, as_json: bool) -> None:
    """Print the figures as a table or, for programs, as one JSON line; it is the last line of the output."""
    where = machine()
    if as_json:
        record = {"name": name, "figures": dict(figures), "peers": dict(peers), "machine": where}
        print(json.dumps(record, ensure_ascii=False))
        return
    print(f"{name} on {where['cpu']}, {where['cores']} cores, Python {where['python']}")
    for label, rows in ((name, figures), *peers.items()):
        print(f"\n{label}")
        for key, value in rows.items():
            print(f"  {key:32} {value:.4g}" if isinstance(value, float) else f"  {key:32} {value}")


def resident_memory_mb() -> float | None:
    """Return the resident memory of this process now in MB, or None where the system does not tell."""
    try:
        with open("/proc/self/statm", encoding="ascii") as file:
            pages = int(file.read().split()[1])
    except OSError:
        return None
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _cpu_model() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            for line in file:
                if line.startswith("model name"):
                    return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _memory_gb() -> float:
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1)
    except (ValueError, OSError, AttributeError):
        return 0.0
