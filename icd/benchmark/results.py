"""A run's raw results: one line of JSON for each finished episode, to be published.

Who did what at each step, and why; no texts of the games: neither goals nor observations nor what models thought. Where
what is made from an environment must not be published (`icd_envs.table.RESTRICTIONS`), no actions either.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from icd.benchmark.played import results_by_method
from icd.benchmark.report import write_whole
from icd.errors import ConfigurationError
from icd.runtime import PLAN_STEP
from icd_envs.table import RESTRICTIONS
from icd_memory.rows import DecisionRow, JsonObject
from icd_memory.store import Store


def write_results(runs: Sequence[tuple[Store, str]], file: Path) -> int:
    """Write the results of runs, each in its store, and return the number of lines; the file is whole or as it was.

    Raises:
        ConfigurationError: a store has no such run.
        OSError: the file cannot be written.
    """
    lines = [json.dumps(line, ensure_ascii=False) for place in runs for line in results(*place)]
    write_whole("".join(f"{line}\n" for line in lines), file)
    return len(lines)


def results(store: Store, run_id: str) -> Iterator[JsonObject]:
    """Yield the finished episodes of a run by task, seed and method, as plain JSON data.

    Raises:
        ConfigurationError: the store has no such run.
    """
    run = store.run(run_id)
    if run is None:
        raise ConfigurationError(
            f"no run {run_id!r} in {store.place}: `icd report --list` names those there are"
        )
    shown = run.config["conditions"]["environment"] not in RESTRICTIONS
    rows = {row.id: row for row in store.episodes(run_id) if row.status == "done"}
    found = results_by_method(list(rows.values()), store.ledger(run_id), run.config["conditions"])
    for result in sorted(
        (result for group in found.values() for result in group), key=lambda r: (r.task_id, r.seed, r.method)
    ):
        id = f"{run_id}/{result.method}/{result.task_id}/{result.seed}"
        outcome = rows[id].outcome or {}
        yield {
            "run": run_id,
            "episode": id,
            "method": result.method,
            "task": result.task_id,
            "seed": result.seed,
            "category": result.category,
            "won": result.won,
            "score": outcome["score"],
            "limit": outcome.get("limit", ""),
            "cost": result.cost,
            "tokens": {
                "input": result.tokens.fresh,
                "cached": result.tokens.cached,
                "output": result.tokens.output,
            },
            "estimated": result.estimated,
            "steps": [_step(row, shown) for row in store.decisions(id) if row.step != PLAN_STEP],
        }


def _step(row: DecisionRow, shown: bool) -> JsonObject:
    body = row.body
    return {
        "action": body["action"] if shown else None,
        "acted_by": body["acted_by"],
        "reason": body["reason"],
        "agreement": body["agreement"],
        "support": body["support"],
    }
