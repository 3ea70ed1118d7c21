"""`icd memory export` and `icd memory import`: trajectories as a file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from icd.cli import options
from icd.cli.output import say, write_json

_Environment = Annotated[str | None, typer.Option("--env", help="Only this environment's.")]


def export(
    path: Annotated[Path, typer.Argument(metavar="FILE", help="A .jsonl file to write.")],
    env: _Environment = None,
    status: Annotated[
        str, typer.Option(help="demonstration, quarantine, rejected, disabled, or all.")
    ] = "demonstration",
    source: Annotated[str | None, typer.Option(help="Only from this run or log.")] = None,
    include_unpublishable: Annotated[
        bool,
        typer.Option(
            "--include-unpublishable",
            help="Also write what must not be published; each such line keeps its mark.",
        ),
    ] = False,
    store: options.StorePlace = None,
    config: options.Config = None,
    json: options.Json = False,
) -> None:
    """Write trajectories to a file, one a line. Refused if one of them is marked as not to be published."""
    from icd.cli.memory import parse_status
    from icd.cli.settings import open_store
    from icd.exchange import write_file

    with open_store(config, store) as opened:
        chosen = opened.trajectories(environment=env, status=parse_status(status), source=source)
        count = write_file(path, chosen, include_unpublishable=include_unpublishable)
    if json:
        write_json({"path": str(path), "trajectories": count})
        return
    say(f"wrote {count} trajector{'y' if count == 1 else 'ies'} to {path}")


def import_(
    path: Annotated[Path, typer.Argument(metavar="FILE", help="A file that `icd memory export` wrote.")],
    approve: Annotated[
        bool,
        typer.Option("--approve", help="Trust the file: show its demonstrations without a further approval."),
    ] = False,
    embedder: options.Embedder = None,
    store: options.StorePlace = None,
    config: options.Config = None,
    json: options.Json = False,
) -> None:
    """Take in trajectories from a file; admission decides which of them may be shown."""
    from icd.assembly import open_memory
    from icd.cli.settings import resolve
    from icd.exchange import read_file, take_in
    from icd_memory.store import Store

    settings = resolve(config, memory__store=store, memory__embedder=embedder)
    with Store.open(settings.memory.store) as opened, open_memory(settings, opened) as memory:
        came = take_in(read_file(path), memory, approved=approve)
        place = opened.place
    if json:
        write_json({"store": place, **came})
        return
    told = ", ".join(f"{count} {what}" for what, count in came.items()) or "nothing"
    say(f"{path}: {told}; {place}")
