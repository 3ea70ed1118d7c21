"""Hours of mixed load with faults: is memory flat, does anything leak, is anything lost?

    python benchmarks/trust_soak.py --minutes 5 [--out result.json] [--json]

Two `icd serve` processes share one store; their models' endpoints fail in every way (one request in eight). One server
runs from start to end and is watched. The other is killed, interrupted and terminated in turn, and started again.
Meanwhile `icd` itself backs the store up, checks it, imports demonstrations and takes them back. The first half is the
warm-up: more requests, so that what is kept for a while is full before memory is looked at. Linux only.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

_ROOT = Path(__file__).resolve().parent.parent
_PLACES = ("", "memory", "envs", "benchmarks", "tests/icd/end_to_end")
sys.path[:0] = [str(_ROOT / place) for place in _PLACES]

from common import emit, machine  # noqa: E402
from soak_run import Soak, SoakRun  # noqa: E402
from soak_watch import growth, slope  # noqa: E402


def figures_of(run: SoakRun) -> dict[str, float | int | str | None]:
    """Return what a soak showed; all but counts of what happened should be 0."""
    grown = slope(run.samples, run.warm_up)
    held = growth(run.quiet)
    warm = [sample for sample in run.samples if sample.minute >= run.warm_up]
    return {
        "soak_minutes": run.minutes,
        "requests": run.load.told.total(),
        "answers": len(run.load.receipts),
        "receipts_missing": run.missing,
        "receipts_in_store": run.receipts,
        "rows_of_others_or_untyped": len(run.load.wrong),
        "failed_upkeep": len(run.upkeep.failed),
        "restarts": len(run.ends),
        "unclean_ends": sum(not end.clean for end in run.ends),
        "over_budget_cents": run.over_cents,
        "budgets_used_up": run.used_up,
        "memory_slope_mb_per_hour": grown and grown.mb_per_hour,
        "memory_slope_low": grown and grown.low,
        "memory_slope_high": grown and grown.high,
        "memory_minutes": grown.minutes if grown else 0,
        "rss_mb_after_warm_up": round(warm[0].rss_mb, 1) if warm else None,
        "rss_mb_at_end": round(run.samples[-1].rss_mb, 1),
        **{f"leaked_{name}": value for name, value in held.items()},
        "leaked_processes": run.processes_left,
        "cpu_share_of_a_core": round(run.cpu_seconds / (run.minutes * 60), 3),
    }  # fmt: skip


def record_of(run: SoakRun, began: datetime) -> dict[str, Any]:
    """Return the whole result, for `--out`: figures, what happened, and the watched server minute by minute."""
    minutes = {int(sample.minute): sample for sample in run.samples}
    return {
        "name": "trust_soak",
        "began": began.isoformat(timespec="seconds"),
        "machine": machine(),
        "warm_up_minutes": run.warm_up,
        "figures": figures_of(run),
        "told": dict(sorted(run.load.told.items())),
        "faults": {name: dict(sorted(counts.items())) for name, counts in run.faults.items()},
        "upkeep": dict(sorted(run.upkeep.done.items())),
        "ends": [end._asdict() for end in run.ends],
        "wrong": run.load.wrong[:50],
        "failed": run.upkeep.failed[:50],
        "quiet": [asdict(held) for held in run.quiet],
        "by_minute": [asdict(sample) for sample in minutes.values()],
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--out", type=Path, help="file for the whole result")
    parser.add_argument("--json", action="store_true", help="one JSON line")
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    began = datetime.now(UTC)
    with tempfile.TemporaryDirectory(prefix="icd-soak-") as folder:
        run = asyncio.run(Soak(Path(folder), asked.minutes, asked.seed).run())
    if asked.out:
        asked.out.write_text(json.dumps(record_of(run, began), indent=1) + "\n")
    figures = figures_of(run)
    emit("trust_soak", figures, {}, asked.json)
    sys.exit(1 if run.problems() else 0)


if __name__ == "__main__":
    main()
