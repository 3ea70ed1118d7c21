"""`icd report`: recorded runs again, as tables, JSON or a page."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from icd.cli import options
from icd.cli.output import plain, results, say, write_json

if TYPE_CHECKING:
    from icd_memory.rows import RunRow
    from icd_memory.store import Store


def report(
    runs: Annotated[list[str] | None, typer.Argument(metavar="[RUN]...", help="By default the last.")] = None,
    list_runs: Annotated[bool, typer.Option("--list", help="Name the runs there are.")] = False,
    html: Annotated[Path | None, typer.Option(help="Also write one page of all of them.")] = None,
    store: options.StorePlace = None,
    config: options.Config = None,
    json: options.Json = False,
) -> int:
    """Show runs: success, steps, escalations, cost and break-even, each with its interval."""
    from icd.benchmark.summary import summarise
    from icd.benchmark.table import notes, table
    from icd.cli.settings import open_store

    with open_store(config, store) as opened:
        if list_runs:
            _list(opened, json)
            return 0
        summaries = [summarise(opened, run) for run in runs or [_last(opened)]]
        if html is not None:
            from icd.benchmark.report import write_page

            write_page(summaries, opened, html)
            say(f"report: {html}")
        if json:
            write_json(plain(summaries))
            return 0
        for summary in summaries:
            results.print(f"{summary.run_id}", style="bold", markup=False)
            results.print(table(summary, results.width))
            for line in notes(summary):
                results.print(line, style="dim", markup=False)
    return 0


def _last(store: Store) -> str:
    from icd.errors import ConfigurationError

    comparisons = [run.id for run in store.runs() if not is_collection(run)]
    if not comparisons:
        raise ConfigurationError(f"{store.place} has no run yet: `icd demo` or `icd run household` makes one")
    return comparisons[-1]


def is_collection(run: RunRow) -> bool:
    """Say whether a run collected demonstrations, rather than compared methods."""
    return "defaults" not in run.config.get("conditions", {})


def _list(store: Store, as_json: bool) -> None:
    rows = [(run, store.episodes(run.id)) for run in store.runs()]
    if as_json:
        write_json(
            [
                {
                    "run": run.id,
                    "kind": "collection" if is_collection(run) else "comparison",
                    "started": run.created_at,
                    "episodes": sum(row.status == "done" for row in episodes),
                    "unfinished": sum(row.status != "done" for row in episodes),
                }
                for run, episodes in rows
            ]
        )
        return
    for run, episodes in rows:
        done = sum(row.status == "done" for row in episodes)
        rest = f", {len(episodes) - done} unfinished" if done < len(episodes) else ""
        results.print(f"{run.id}  {run.created_at:%Y-%m-%d %H:%M}  {done} episodes{rest}", markup=False)
