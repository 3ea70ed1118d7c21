"""`icd report`: recorded runs again, as tables, JSON, Markdown or a page."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from icd.cli import options
from icd.cli.output import plain, results, say, write_json
from icd.cli.run import write

if TYPE_CHECKING:
    from icd.benchmark.findings import Findings
    from icd_memory.rows import RunRow
    from icd_memory.store import Store


def report(
    runs: Annotated[list[str] | None, typer.Argument(metavar="[RUN]...", help="By default the last.")] = None,
    list_runs: Annotated[bool, typer.Option("--list", help="Name the runs there are.")] = False,
    html: Annotated[Path | None, typer.Option(help="Also write one page of all of them.")] = None,
    markdown: Annotated[
        Path | None,
        typer.Option(
            help="Also write their tables as Markdown; - for standard output, and nothing else to it."
        ),
    ] = None,
    results_to: options.Results = None,
    store: Annotated[
        list[str] | None,
        typer.Option("--store", help="Store: a file path or a database URL; may be given more than once."),
    ] = None,
    config: options.Config = None,
    json: options.Json = False,
) -> int:
    """Show runs: success, steps, escalations, cost and break-even, each with its interval."""
    from icd.errors import ConfigurationError

    on_stdout = markdown is not None and str(markdown) == "-"
    if json and on_stdout:
        raise ConfigurationError("--json and --markdown - both write to standard output: choose one")
    with ExitStack() as stack:
        stores = _open(config, store, stack)
        if list_runs:
            _list(stores, json)
            return 0
        wanted = _wanted(stores, runs or [])
        found = _findings(wanted)
        if results_to is not None:
            write(wanted, results_to)
    _write_files(found, html, None if on_stdout else markdown)
    if json:
        write_json([_json(one) for one in found])
    elif on_stdout:
        from icd.benchmark.markdown import document

        results.file.write(document(found))
    else:
        _show(found)
    return 0


def _open(config: Path | None, places: Sequence[str] | None, stack: ExitStack) -> list[Store]:
    from icd.cli.settings import open_store

    return [stack.enter_context(open_store(config, place)) for place in places or (None,)]


def _wanted(stores: Sequence[Store], runs: Sequence[str]) -> list[tuple[Store, str]]:
    """Return the runs, each with the first store that has it; without runs, the last one of each store."""
    if runs:
        return [(next((s for s in stores if s.run(run)), stores[0]), run) for run in runs]
    return [(store, _last(store)) for store in stores]


def _findings(wanted: Sequence[tuple[Store, str]]) -> list[Findings]:
    """Return what the runs show."""
    from icd.benchmark.findings import findings

    return [findings(store, run) for store, run in wanted]


def _write_files(found: Sequence[Findings], html: Path | None, markdown: Path | None) -> None:
    from icd.benchmark.report import page, write_whole

    if html is not None:
        write_whole(page(found, datetime.now(UTC)), html)
        say(f"report: {html}")
    if markdown is not None:
        from icd.benchmark.markdown import document

        write_whole(document(found), markdown)
        say(f"report: {markdown}")


def _json(found: Findings) -> dict[str, Any]:
    """Return the summary with everything else that is known of the run beside it."""
    data: dict[str, Any] = plain(found)
    return {**data.pop("summary"), **data}


def _show(found: Sequence[Findings]) -> None:
    from icd.benchmark.table import notes, table

    for one in found:
        results.print(f"{one.summary.run_id}", style="bold", markup=False)
        results.print(table(one.summary, results.width))
        for line in notes(one.summary):
            results.print(line, style="dim", markup=False)


def _last(store: Store) -> str:
    from icd.errors import ConfigurationError

    comparisons = [run.id for run in store.runs() if not is_collection(run)]
    if not comparisons:
        raise ConfigurationError(f"{store.place} has no run yet: `icd demo` or `icd run household` makes one")
    return comparisons[-1]


def is_collection(run: RunRow) -> bool:
    """Say whether a run collected demonstrations, rather than compared methods."""
    return "defaults" not in run.config.get("conditions", {})


def _list(stores: Sequence[Store], as_json: bool) -> None:
    rows = [(run, store.episodes(run.id)) for store in stores for run in store.runs()]
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
