"""`icd memory export` and `icd memory import`: trajectories as a file."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from icd.cli import options
from icd.cli.output import say, write_json

_Environment = Annotated[str | None, typer.Option("--env", help="Only this environment's.")]
_TOLD_EVERY_S = 5.0


def export(
    path: Annotated[Path, typer.Argument(metavar="FILE", help="A .jsonl file to write.")],
    format: Annotated[
        str,
        typer.Option(
            "--format",
            help="own and atif hold everything; openai and sharegpt hold what was said and done (docs/exchange.md).",
        ),
    ] = "own",
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
    from icd.exchange import exchange_format, write_file

    kind = exchange_format(format)
    with open_store(config, store) as opened:
        chosen = opened.trajectories(environment=env, status=parse_status(status), source=source)
        count = write_file(path, chosen, include_unpublishable=include_unpublishable, kind=kind)
    lost = [f"{name} {when}".rstrip() for name, when in kind.loses.items()]
    if json:
        write_json({"path": str(path), "trajectories": count, "format": kind.name, "loses": lost})
        return
    say(f"wrote {count} trajector{'y' if count == 1 else 'ies'} to {path}")
    if lost:
        say(f"{kind.title} cannot hold, so it is left out: {', '.join(lost)}")


def import_(
    path: Annotated[
        Path,
        typer.Argument(metavar="FILE", help="Trajectories, conversations or traces, in any known format."),
    ],
    format: Annotated[
        str | None,
        typer.Option("--format", help="own, atif, openai, sharegpt, langsmith or langfuse; else recognised."),
    ] = None,
    approve: Annotated[
        bool,
        typer.Option("--approve", help="Trust the file: show its demonstrations without a further approval."),
    ] = False,
    embedder: options.Embedder = None,
    store: options.StorePlace = None,
    config: options.Config = None,
    json: options.Json = False,
) -> None:
    """Take in trajectories from a file; admission decides which may be shown. Stopped, it goes on when repeated."""
    from icd.assembly import open_memory
    from icd.cli.settings import resolve
    from icd.exchange import exchange_format, read_file, take_in
    from icd.exchange.formats import detected
    from icd_memory.store import Store

    kind = detected(path) if format is None else exchange_format(format)
    settings = resolve(config, memory__store=store, memory__embedder=embedder)
    progress = _Progress()
    with Store.open(settings.memory.store) as opened, open_memory(settings, opened) as memory:
        came = take_in(read_file(path, kind), memory, approved=approve, told=progress.took)
        place = opened.place
    if json:
        write_json({"store": place, **came})
        return
    told = ", ".join(f"{count} {what}" for what, count in came.items()) or "nothing"
    say(f"{path} ({kind.title}): {told}; {place}")
    if kind.ignores:
        say(f"what such files hold beside that is not kept: {'; '.join(kind.ignores)}")


class _Progress:
    """Tells now and then how many steps are stored: they stay, whatever happens to the rest."""

    def __init__(self) -> None:
        self._began = self._last = time.monotonic()
        self._steps = 0

    def took(self, steps: int) -> None:
        self._steps += steps
        now = time.monotonic()
        if now - self._last >= _TOLD_EVERY_S:
            self._last = now
            say(f"{self._steps} steps, {self._steps / (now - self._began):.0f} a second")
