"""`icd strategies`: what the library holds, and what reviewers do with it; every change says who and why."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from icd.cli import options
from icd.cli.output import results, say, write_json

if TYPE_CHECKING:
    from icd_memory.strategies import StrategyLibrary
    from icd_memory.strategy import Strategy, StrategyStatus, StrategyText

app = typer.Typer(
    help="Review the library of strategies: list, compare, approve, edit, exchange.", no_args_is_help=True
)
Environment = Annotated[str | None, typer.Option("--env", help="Only this environment's.")]
Tenant = Annotated[str, typer.Option(help="Whose library.")]
Identity = Annotated[str, typer.Argument(metavar="ID", help="A strategy's id.")]
Identities = Annotated[list[str], typer.Argument(metavar="ID...", help="Ids of strategies.")]
By = Annotated[str, typer.Option(help="Who you are; it is recorded.")]
Why = Annotated[str, typer.Option(help="The reason; it is recorded.")]
Status = Annotated[str, typer.Option(help="proposed, held, approved, rejected, retired, or all.")]
File = Annotated[Path, typer.Argument(metavar="FILE", help="A .md or .jsonl file.")]


@app.command("list")
def list_(
    env: Environment = None,
    status: Status = "all",
    tenant: Tenant = "default",
    store: options.StorePlace = None,
    config: options.Config = None,
    json: options.Json = False,
) -> None:
    """Strategies with their status and what was measured of their use."""
    from icd.cli.strategy_display import brief, facts

    with open_library(config, store) as library:
        found = library.list(tenant=tenant, environment=env, status=parse_status(status))
        rows = [(strategy, library.measured(strategy.id, tenant=tenant)) for strategy in found]
    if json:
        write_json([facts(strategy, measured) for strategy, measured in rows])
        return
    for strategy, measured in rows:
        results.print(brief(strategy, measured), markup=False)
    say(f"{len(rows)} strateg{'y' if len(rows) == 1 else 'ies'}")


@app.command()
def show(
    id: Identity,
    tenant: Tenant = "default",
    store: options.StorePlace = None,
    config: options.Config = None,
    json: options.Json = False,
) -> None:
    """One strategy: its text, where it comes from, its tests, its use, and every change."""
    from icd.cli.strategy_display import facts, page

    with open_library(config, store) as library:
        found, measured = library.get(id, tenant=tenant), library.measured(id, tenant=tenant)
        tests, history = library.tests(id, tenant=tenant), library.history(id, tenant=tenant)
    if json:
        write_json({**facts(found, measured), "tests": tests, "history": history})
        return
    for line in page(found, measured, tests, history):
        results.print(line, markup=False, soft_wrap=True)


@app.command()
def diff(
    id: Identity,
    old: Annotated[int | None, typer.Option("--from", min=1, help="By default the version before.")] = None,
    new: Annotated[int | None, typer.Option("--to", min=1, help="By default the newest version.")] = None,
    tenant: Tenant = "default",
    store: options.StorePlace = None,
    config: options.Config = None,
    json: options.Json = False,
) -> None:
    """What changed between two versions of a strategy's text."""
    from icd.strategy_texts import difference

    with open_library(config, store) as library:
        versions = {version.version: version for version in library.versions(id, tenant=tenant)}
    last = new or max(versions)
    first = old or max(1, last - 1)
    if missing := {first, last} - set(versions):
        raise typer.BadParameter(f"strategy {id} has no version {min(missing)}, but 1 to {max(versions)}")
    lines = difference(versions[first], versions[last])
    if json:
        write_json({"id": id, "from": first, "to": last, "difference": lines})
        return
    for line in lines:
        results.print(line, markup=False, soft_wrap=True)
    if not lines:
        say(f"nothing changed between versions {first} and {last}")


@app.command()
def approve(
    ids: Identities,
    by: By,
    why: Why,
    tenant: Tenant = "default",
    store: options.StorePlace = None,
    config: options.Config = None,
    json: options.Json = False,
) -> None:
    """Let strategies be shown to the student; also such as were held back, once you have read why."""
    with open_library(config, store) as library:
        _each(ids, lambda id: library.approve(id, by=by, why=why, tenant=tenant), json)


@app.command()
def reject(
    ids: Identities,
    by: By,
    why: Why,
    tenant: Tenant = "default",
    store: options.StorePlace = None,
    config: options.Config = None,
    json: options.Json = False,
) -> None:
    """Keep strategies that wait from ever being shown."""
    with open_library(config, store) as library:
        _each(ids, lambda id: library.reject(id, by=by, why=why, tenant=tenant), json)


@app.command()
def retire(
    ids: Identities,
    by: By,
    why: Why,
    tenant: Tenant = "default",
    store: options.StorePlace = None,
    config: options.Config = None,
    json: options.Json = False,
) -> None:
    """Show approved strategies no more."""
    with open_library(config, store) as library:
        _each(ids, lambda id: library.retire(id, by=by, why=why, tenant=tenant), json)


@app.command()
def edit(
    id: Identity,
    by: By,
    why: Why,
    scenario: Annotated[str | None, typer.Option(help="When it applies.")] = None,
    guidance: Annotated[str | None, typer.Option(help="What to do, what to avoid, and why.")] = None,
    category: Annotated[str | None, typer.Option(help="The kind of task.")] = None,
    tenant: Tenant = "default",
    store: options.StorePlace = None,
    config: options.Config = None,
    json: options.Json = False,
) -> None:
    """Write a new version, which waits for approval; without texts, in your editor ($EDITOR)."""
    from icd_memory.strategy import StrategyText

    with open_library(config, store) as library:
        found = library.get(id, tenant=tenant)
        if scenario is guidance is category is None:
            text = _in_editor(found)
        else:
            text = StrategyText(
                found.scenario if scenario is None else scenario,
                found.guidance if guidance is None else guidance,
                found.category if category is None else category,
            )
        if not (text.scenario.strip() and text.guidance.strip()):
            raise typer.BadParameter("a strategy needs a scenario and guidance")
        edited = library.edit(id, text, by=by, why=why, based_on=found.version, tenant=tenant)
    if edited.version == found.version and not json:
        say(f"{id}: nothing changed")
        return
    _tell([edited], json)


@app.command()
def export(
    path: File,
    env: Environment = None,
    status: Status = "approved",
    tenant: Tenant = "default",
    store: options.StorePlace = None,
    config: options.Config = None,
    json: options.Json = False,
) -> None:
    """Write strategies to a file that people can edit (.md) or programs can read (.jsonl)."""
    from icd_memory.strategy_files import entry_of, format_of, write_entries

    format = format_of(path.name)
    with open_library(config, store) as library:
        found = library.list(tenant=tenant, environment=env, status=parse_status(status))
    path.write_text(write_entries(map(entry_of, found), format), "utf-8", errors="surrogatepass")
    if json:
        write_json({"path": str(path), "strategies": len(found)})
        return
    say(f"wrote {len(found)} strateg{'y' if len(found) == 1 else 'ies'} to {path}")


@app.command("import")
def import_(
    path: File,
    by: By,
    why: Why,
    approve: Annotated[
        bool, typer.Option("--approve", help="Approve what the file calls approved, unless it is held back.")
    ] = False,
    tenant: Tenant = "default",
    store: options.StorePlace = None,
    config: options.Config = None,
    json: options.Json = False,
) -> int:
    """Take strategies in from a file: new ones are proposed, edits are new versions. Exits with 1 if edits conflict."""
    from icd_memory.strategy_exchange import take_in
    from icd_memory.strategy_files import format_of, read_entries

    text = path.read_text("utf-8", errors="surrogatepass")
    entries = read_entries(text, format_of(path.name))
    with open_library(config, store, create=True) as library:
        taken = take_in(library, entries, by=by, why=why, tenant=tenant, approve=approve)
    if json:
        write_json(taken)
    else:
        for one in taken:
            detail = f": {one.detail}" if one.detail else ""
            results.print(f"{one.id}  {one.taken}  {one.status}{detail}", markup=False, soft_wrap=True)
    return 1 if any(one.taken == "conflict" for one in taken) else 0


@contextmanager
def open_library(
    config: Path | None, store: str | None, *, create: bool = False
) -> Iterator[StrategyLibrary]:
    """Open the library of the store that exists already (or of a new one), without an embedder."""
    from icd.cli.settings import open_store, resolve
    from icd.strategy_use import known_tools
    from icd_memory.store import Store
    from icd_memory.strategies import StrategyLibrary

    place = resolve(config, memory__store=store).memory.store
    with Store.open(place) if create else open_store(config, store) as opened:
        yield StrategyLibrary(opened, tools_of=known_tools)


def parse_status(text: str) -> StrategyStatus | None:
    """Return the status that an option names; None for all."""
    from typing import get_args

    from icd_memory.strategy import StrategyStatus

    known: tuple[StrategyStatus, ...] = get_args(StrategyStatus)
    if text not in (*known, "all"):
        raise typer.BadParameter(f"{text!r} is no status: {', '.join(known)}, or all")
    return next((status for status in known if status == text), None)


def _in_editor(strategy: Strategy) -> StrategyText:
    from click import edit as in_editor

    from icd_memory.strategy_files import entry_of, read_entries, write_entries

    written = in_editor(write_entries([entry_of(strategy)], "markdown"), extension=".md")
    if written is None:
        return strategy.text
    entries = read_entries(written, "markdown")
    if [entry.id for entry in entries] != [strategy.id]:
        raise typer.BadParameter(f"the file must hold strategy {strategy.id}, and no other")
    return entries[0].text


def _each(ids: list[str], change: Callable[[str], Strategy], as_json: bool) -> None:
    _tell([change(id) for id in ids], as_json)


def _tell(changed: list[Strategy], as_json: bool) -> None:
    if as_json:
        write_json(
            [
                {"id": one.id, "status": one.status, "version": one.version, "reason": one.reason}
                for one in changed
            ]
        )
        return
    for one in changed:
        held = f": {one.reason}" if one.status == "held" else ""
        say(f"{one.id} is {one.status}, version {one.version}{held}")
