"""What a process holds while it works: memory, descriptors, threads, tasks, children; and how that grows. Linux only."""

from __future__ import annotations

import re
import statistics
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import aiohttp
from backend_process import cpu_seconds
from served import Key

_GAUGE = re.compile(r"^(icd_tasks|icd_requests_in_flight|icd_reserved_dollars) (\S+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Held:
    """What a server holds at a moment."""

    minute: float
    """Since the start of the load."""
    rss_mb: float
    descriptors: int
    threads: int
    children: int
    tasks: int
    in_flight: int
    reserved_dollars: float
    cpu_seconds: float


async def held(pid: int, minute: float, session: aiohttp.ClientSession, url: str, operator: Key) -> Held:
    """Return what a server holds now; of its tasks and calls it tells itself."""
    async with session.get(f"{url}/metrics", headers=operator.headers) as reply:
        told = dict(_GAUGE.findall(await reply.text()))
    process = Path(f"/proc/{pid}")
    status = dict(re.findall(r"^(\w+):\s+(\d+)", (process / "status").read_text(), re.MULTILINE))
    return Held(
        minute=round(minute, 3),
        rss_mb=int(status["VmRSS"]) * 1024 / 1e6,
        descriptors=len(list((process / "fd").iterdir())),
        threads=int(status["Threads"]),
        children=len(children(pid)),
        tasks=int(float(told["icd_tasks"])),
        in_flight=int(float(told["icd_requests_in_flight"])),
        reserved_dollars=float(told["icd_reserved_dollars"]),
        cpu_seconds=cpu_seconds(pid),
    )


def children(pid: int) -> list[int]:
    """Return a process's children."""
    lists = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(child) for one in lists for child in one.read_text().split()]


@dataclass(frozen=True, slots=True)
class Slope:
    """Growth of memory, by Theil and Sen over the medians of minutes, with its 95 % interval."""

    mb_per_hour: float
    low: float
    high: float
    minutes: int


def slope(samples: Sequence[Held], warm_up: float) -> Slope | None:
    """Return how resident memory grew after so many minutes; None with fewer than five minutes to look at.

    Minutes, not samples: what follows within seconds is no independent evidence and would make the interval too narrow.
    """
    from scipy.stats import theilslopes

    by_minute: defaultdict[int, list[float]] = defaultdict(list)
    for sample in samples:
        if sample.minute >= warm_up:
            by_minute[int(sample.minute)].append(sample.rss_mb)
    if len(by_minute) < 5:
        return None
    found = theilslopes([statistics.median(each) for each in by_minute.values()], list(by_minute), 0.95)
    return Slope(
        *(round(60 * float(per_minute), 3) for per_minute in (found[0], found[2], found[3])), len(by_minute)
    )


def growth(quiet: Sequence[Held]) -> dict[str, float]:
    """Return by how much what is held when nothing is under way has grown from the first such moment to the last."""
    first, last = asdict(quiet[0]), asdict(quiet[-1])
    return {
        name: last[name] - first[name]
        for name in ("descriptors", "threads", "children", "tasks", "reserved_dollars")
    }
