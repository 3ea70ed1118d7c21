"""Rounds of kill -9 in the middle of mixed writes: what was acknowledged and is not found.

    python benchmarks/trust_kill.py [--rounds 300]

On SQLite, and on PostgreSQL where `ICD_TEST_POSTGRES` names a server. Receipts with their bills, trajectories with their
episodes, feedback, strategies with their approvals, and single ledger rows are written by two processes of six threads.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from functools import partial
from pathlib import Path

_ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(_ROOT / place) for place in ("", "memory", "envs", "benchmarks", "tests/memory")]

from kill_rounds import KillRounds, run  # noqa: E402
from trust_places import places  # noqa: E402

QUICK, FULL = 6, 300
_LOOK_EVERY = 25


def figures(rounds: int) -> dict[str, float | int]:
    """Return the figures of `benchmarks/trust.py`: of so many rounds on each database."""
    done = lost = torn = acknowledged = 0
    with tempfile.TemporaryDirectory() as folder, places(Path(folder)) as databases:
        for name, place in databases.items():
            found = run(place, rounds, check_every=_LOOK_EVERY, told=partial(_say, name, rounds))
            done += found.rounds
            lost += len(found.lost)
            torn += len(found.torn)
            acknowledged += len(found.acknowledged)
    return {
        "kill_rounds": done,
        "kill_databases": len(databases),
        "acknowledged": acknowledged,
        "lost_acknowledged": lost,
        "torn_writes": torn,
    }


def _say(name: str, rounds: int, found: KillRounds) -> None:
    print(
        f"{name}: {found.rounds} of {rounds} rounds, {len(found.acknowledged)} writes acknowledged, "
        f"{len(found.lost)} lost, {len(found.torn)} torn",
        file=sys.stderr,
        flush=True,
    )


if __name__ == "__main__":
    reader = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    reader.add_argument("--rounds", type=int, default=FULL)
    print(figures(reader.parse_args().rounds))
