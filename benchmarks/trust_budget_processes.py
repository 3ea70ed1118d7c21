"""Budgets of several processes that share a store: one of them is killed in the middle of its calls, and replaced.

python benchmarks/trust_budget_processes.py STORE --calls 250 --seed 1     one of the processes
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from random import Random

_ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(_ROOT / place) for place in ("", "memory", "envs", "benchmarks")]

from trust_budgets import PRICES, RandomModel, add_keys, load, make_runtime, over  # noqa: E402
from trust_places import places  # noqa: E402

from icd_memory.embedding import HashingEmbedder  # noqa: E402
from icd_memory.retrieval import Memory  # noqa: E402
from icd_memory.rows import Batch, Hold, Payer  # noqa: E402
from icd_memory.store import Store  # noqa: E402

_AT_ONCE = 25


@dataclass(frozen=True)
class SharedRun:
    """What came of it; amounts in US dollars."""

    outcomes: Counter[str]
    """Of the processes that ended by themselves."""
    killed: int
    over: float
    """By which the worst budget was passed."""
    held_by_dead: float
    """Set aside by who was killed, right afterwards."""
    leaked: float
    """Still set aside when no call can live any more."""


def run_processes(place: str, calls: int = 1000, processes: int = 4) -> SharedRun:
    """Let processes make the calls at once; the first is killed after its first calls."""
    with Store.open(place) as store:
        add_keys(store)
    share = calls // processes
    workers = [_start(place, share, seed) for seed in range(processes)]
    first = workers[0]
    assert first.stdout is not None
    first.stdout.readline()
    first.kill()
    workers.append(_start(place, share - _AT_ONCE, processes))
    outcomes: Counter[str] = Counter()
    for worker in workers:
        said, _ = worker.communicate()
        if worker is not first:
            outcomes.update(json.loads(said.splitlines()[-1]))
            assert worker.returncode == 0, said
    with Store.open(place) as store:
        held = store.reservations.held()
        _let_time_pass(store)
        return SharedRun(outcomes, 1, over(store), held, store.reservations.held())


def _let_time_pass(store: Store) -> None:
    """Look twice, the second time when whoever was under way must be dead."""
    seconds = [0.0]
    store.reservations.watch = lambda: seconds[0]
    for seconds[0] in (0.0, store.reservations.longest_call + 1.0):
        for row in store.accounts.keys(tenant=None):
            payer = Payer(json.dumps(("key", row.id)), "key", row.id, 0.0)
            store.add_batch(Batch(holds=[Hold("looking", 1.0, (payer,))]))


def _start(place: str, calls: int, seed: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, __file__, place, "--calls", str(calls), "--seed", str(seed)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )


def figures(quick: bool, folder: Path) -> dict[str, float | int]:
    """Return the figures of `benchmarks/trust.py`: the worst of SQLite and, where there is one, PostgreSQL."""
    with places(folder) as databases:
        runs = [run_processes(place, 200 if quick else 1000) for place in databases.values()]
    return {
        "budget_processes_calls": sum(run.outcomes.total() for run in runs),
        "budget_processes_killed": sum(run.killed for run in runs),
        "over_budget_cents": max(run.over for run in runs) * 100,
        "leaked_reservation_cents": max(run.leaked for run in runs) * 100,
    }


async def _work(place: str, calls: int, seed: int) -> None:
    random, outcomes = Random(seed), {"answered": 0, "refused": 0, "cancelled": 0, "failed": 0}
    models = {name: RandomModel(name, random) for name in PRICES}
    with Store.open(place) as store, Memory.open(store, HashingEmbedder()) as memory:
        runtime = make_runtime(memory, models)
        while calls > 0:
            await load(runtime, min(_AT_ONCE, calls), _AT_ONCE, random, outcomes, crash=False)
            calls -= _AT_ONCE
            print("some", flush=True)
        await runtime.close()
    print(json.dumps(outcomes), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("place")
    parser.add_argument("--calls", type=int, required=True)
    parser.add_argument("--seed", type=int, required=True)
    asked = parser.parse_args()
    asyncio.run(_work(asked.place, asked.calls, asked.seed))


if __name__ == "__main__":
    main()
