"""The loop of a process that searches on request: one JSON object a line, in and out. Needs numpy only, so that it runs
in a peer's environment too.

In: ``{"mode": ..., "queries": [...]}``, or ``{"mode": "memory"}``. Out: wall and CPU milliseconds of each query (all
threads of the process) and the step rows found, best first; or the resident memory.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence

__all__ = ["Search", "resident_mb", "serve"]

Search = Callable[[int], Sequence[int]]
"""From the number of a query to rows of steps."""


def resident_mb() -> float:
    """Return the resident memory of this process, in MB."""
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def serve(searches: Mapping[str, Search], about: Mapping[str, object]) -> None:
    """Say that this process is ready, then answer until the input ends."""
    _say({"modes": list(searches), **about})
    for line in sys.stdin:
        asked = json.loads(line)
        if asked["mode"] == "memory":
            _say({"resident_mb": resident_mb()})
            continue
        _say(_measured(searches[asked["mode"]], asked["queries"]))


def _measured(search: Search, queries: Sequence[int]) -> dict[str, list[object]]:
    wall, cpu, found = [], [], []
    for query in queries:
        start, start_cpu = time.perf_counter(), time.process_time()
        rows = search(query)
        cpu.append((time.process_time() - start_cpu) * 1e3)
        wall.append((time.perf_counter() - start) * 1e3)
        found.append([int(row) for row in rows])
    return {"wall_ms": wall, "cpu_ms": cpu, "found": found}


def _say(record: Mapping[str, object]) -> None:
    # Libraries print what they like: answers go where nobody else writes.
    with os.fdopen(os.dup(_ANSWERS), "w", encoding="utf-8") as out:
        out.write(json.dumps(record) + "\n")


_ANSWERS = os.dup(1)
os.dup2(2, 1)
