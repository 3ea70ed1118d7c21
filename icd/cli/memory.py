"""`icd memory`: what the memory holds, what it would find, and taking demonstrations back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from icd.cli import options
from icd.cli.output import plain, results, say, write_json

if TYPE_CHECKING:
    from icd_memory.retrieval import Memory
    from icd_memory.rows import Status
    from icd_memory.trajectory import Trajectory

app = typer.Typer(
    help="See what the memory holds and would show; take demonstrations back.", no_args_is_help=True
)
Environment = Annotated[str | None, typer.Option("--env", help="Only this environment's.")]
Identity = Annotated[str, typer.Argument(metavar="ID", help="A trajectory's id.")]


@app.command()
def stats(
    store: options.StorePlace = None, config: options.Config = None, json: options.Json = False
) -> None:
    """How much the store holds."""
    from icd.cli.settings import open_store

    with open_store(config, store) as opened:
        found, families = opened.stats(), opened.families()
        if json:
            write_json({"store": opened.place, **plain(found), "families": families})
            return
        results.print(f"store         {opened.place} ({found.schema})", markup=False)
        for status, count in found.trajectories.items():
            results.print(f"{status:<13} {count}")
        results.print(f"environments  {', '.join(environment for _, environment in families) or 'none'}")
        results.print(f"runs          {found.runs}, {found.episodes} episodes, {found.decisions} decisions")
        results.print(f"ledger        {found.ledger_rows} calls")
        vectors = ", ".join(f"{count} of {embedder}" for embedder, count in found.vectors.items())
        results.print(f"vectors       {vectors or 'none'}", markup=False)


@app.command("list")
def list_(
    env: Environment = None,
    status: Annotated[
        str, typer.Option(help="demonstration, quarantine, rejected, disabled, or all.")
    ] = "demonstration",
    source: Annotated[str | None, typer.Option(help="Only from this run or log.")] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1)] = 50,
    store: options.StorePlace = None,
    config: options.Config = None,
    json: options.Json = False,
) -> None:
    """Trajectories by status: demonstrations, unless asked otherwise."""
    from itertools import islice

    from icd.cli.settings import open_store

    with open_store(config, store) as opened:
        found = opened.trajectories(environment=env, status=parse_status(status), source=source)
        rows = list(islice(found, limit))
    if json:
        write_json([_brief(trajectory) for trajectory in rows])
        return
    for row in rows:
        results.print(f"{row.id}  {row.category}  {len(row.steps)} steps  {row.goal}", markup=False)
    say(f"{len(rows)} shown" + (f", the first {limit}: --limit shows more" if len(rows) == limit else ""))


@app.command()
def show(
    id: Identity,
    store: options.StorePlace = None,
    config: options.Config = None,
    json: options.Json = False,
) -> None:
    """One trajectory, step by step."""
    from icd.cli.settings import open_store
    from icd.exchange import marked, restriction_of
    from icd_memory.codec import trajectory_to_json

    with open_store(config, store) as opened:
        found, admission = opened.trajectory(id), opened.admission(id)
    if json:
        write_json(
            {"status": admission.status, "reason": admission.reason, **trajectory_to_json(marked(found))}
        )
        return
    origin = found.provenance
    lines = [
        f"{found.id}: {admission.status} ({admission.reason})",
        f"by {origin.producer}, from {origin.source}, {origin.created_at:%Y-%m-%d %H:%M}",
        f"task: {found.goal} ({found.category}, {found.split})",
        f"plan: {found.plan}",
    ]
    if restriction := restriction_of(found):
        lines.insert(2, f"do not publish: {restriction}")
    for number, step in enumerate(found.steps):
        lines += [
            "",
            f"{number}. {step.observation}",
            f"   {step.reasoning}",
            f"   > {step.action} ({step.actor})",
        ]
    for line in lines:
        results.print(line, markup=False, soft_wrap=True)


@app.command()
def search(
    goal: Annotated[str, typer.Argument(help="A task, in words.")],
    env: Annotated[str, typer.Option("--env", help="The environment.")] = "household",
    state: Annotated[str, typer.Option(help="What is seen; without it, whole demonstrations by task.")] = "",
    k: Annotated[int, typer.Option("--k", min=1, help="How many.")] = 5,
    embedder: options.Embedder = None,
    store: options.StorePlace = None,
    config: options.Config = None,
    json: options.Json = False,
) -> None:
    """What the student would be shown for a task."""
    from icd_memory.retrieval import Query

    with _memory(config, store, embedder) as memory:
        query = Query(goal=goal, category="", plan="", state=state, environment=env)
        finder = memory.retriever
        found = finder.for_step(query, k) if state else finder.for_plan(query, k)
    if json:
        write_json(plain(found))
        return
    for excerpt in found:
        step = excerpt.steps[excerpt.focus]
        results.print(f"{excerpt.similarity:.3f}  {excerpt.trajectory_id}  {excerpt.goal}", markup=False)
        if state:
            results.print(f"       {step.reasoning} > {step.action}", markup=False)
    if not found:
        say("nothing found")


@app.command()
def disable(
    id: Annotated[str | None, typer.Argument(metavar="[ID]", help="A trajectory's id.")] = None,
    source: Annotated[str | None, typer.Option(help="All demonstrations of this source instead.")] = None,
    reason: Annotated[str, typer.Option(help="Why; it is recorded.")] = "taken back by hand",
    embedder: options.Embedder = None,
    store: options.StorePlace = None,
    config: options.Config = None,
    json: options.Json = False,
) -> None:
    """Take a demonstration back, or all of one source: they are kept, and never shown again."""
    if (id is None) == (source is None):
        raise typer.BadParameter("give either an ID or --source")
    with _memory(config, store, embedder) as memory:
        if id is not None:
            ids = [id]
        else:
            shown = memory.store.trajectories(status="demonstration", source=source)
            ids = [trajectory.id for trajectory in shown]
        for one in ids:
            memory.set_status(one, "disabled", reason)
    _changed("disabled", ids, json)


@app.command()
def enable(
    id: Identity,
    embedder: options.Embedder = None,
    store: options.StorePlace = None,
    config: options.Config = None,
    json: options.Json = False,
) -> int:
    """Show a disabled demonstration again."""
    with _memory(config, store, embedder) as memory:
        admission = memory.store.admission(id)
        if admission.status != "disabled":
            say(f"{id} is not disabled but {admission.status}: {admission.reason}")
            return 1
        memory.set_status(id, "demonstration", "shown again by hand")
    _changed("enabled", [id], json)
    return 0


_Source = Annotated[str, typer.Option(help="The source: see `icd memory show`.")]
_Tenant = Annotated[str, typer.Option(help="Whose memory.")]


@app.command()
def approve(
    source: _Source,
    tenant: _Tenant = "default",
    embedder: options.Embedder = None,
    store: options.StorePlace = None,
    config: options.Config = None,
    json: options.Json = False,
) -> None:
    """Trust a source: what waits in quarantine for that alone is shown from now on."""
    from icd_memory.recall import approve_source

    with _memory(config, store, embedder) as memory:
        ids = approve_source(memory, source, tenant=tenant)
    _changed("approved", ids, json)


@app.command()
def recall(
    source: _Source,
    tenant: _Tenant = "default",
    reason: Annotated[str, typer.Option(help="Why; it is recorded.")] = "recalled by hand",
    embedder: options.Embedder = None,
    store: options.StorePlace = None,
    config: options.Config = None,
    json: options.Json = False,
) -> None:
    """Take back all that a source gave, now and in future; list the decisions, strategies, data sets and students that it
    touched."""
    from icd.recalling import recall_all

    with _memory(config, store, embedder) as memory:
        found = recall_all(memory, source, tenant=tenant, reason=reason)
    touched = {
        "decisions": found.memory.decisions,
        "strategies": [strategy.id for strategy in found.strategies],
        "datasets": list(found.datasets),
        "students": list(found.students),
    }
    if json:
        write_json({"disabled": found.memory.disabled, **touched})
        return
    _changed("disabled", found.memory.disabled, as_json=False)
    for what, ids in touched.items():
        say(f"{len(ids)} {what} touched by {source}")
        for id in ids:
            results.print(id, markup=False)


@app.command()
def rebuild(
    embedder: options.Embedder = None,
    store: options.StorePlace = None,
    config: options.Config = None,
    json: options.Json = False,
) -> None:
    """Make the index anew from the store."""
    import shutil

    from icd.assembly import index_folder
    from icd.cli.settings import resolve

    folder = index_folder(resolve(config, memory__store=store).memory.store)
    if folder is not None:
        shutil.rmtree(folder, ignore_errors=True)
    with _memory(config, store, embedder) as memory:
        _index_all(memory, json)


@app.command()
def reembed(
    embedder: options.Embedder = None,
    store: options.StorePlace = None,
    config: options.Config = None,
    json: options.Json = False,
) -> None:
    """Put another embedder in the place of the store's present one; every text is embedded again."""
    with _memory(config, store, embedder, reembed=True) as memory:
        _index_all(memory, json)


def _index_all(memory: Memory, as_json: bool) -> None:
    from icd_memory.retrieval import Family

    made = {}
    for tenant, environment in memory.store.families():
        made[environment] = len(memory.index(Family(tenant, environment)))
    if as_json:
        write_json({"embedder": memory.embedder.id, "indexed": made})
        return
    for environment, count in made.items():
        results.print(
            f"{environment}: {count} demonstrations indexed with {memory.embedder.id}", markup=False
        )


@contextmanager
def _memory(
    config: Path | None, store: str | None, embedder: str | None = None, *, reembed: bool = False
) -> Iterator[Memory]:
    from icd.assembly import open_memory
    from icd.cli.settings import open_store, resolve
    from icd_envs.table import SUITES, suite

    settings = resolve(config, memory__store=store, memory__embedder=embedder)
    kept_out = {split for name in SUITES for split in suite(name).test_splits}
    with (
        open_store(config, store) as opened,
        open_memory(settings, opened, test_splits=kept_out, reembed=reembed) as memory,
    ):
        yield memory


def parse_status(text: str) -> Status | None:
    """Return the status that an option names; None for all."""
    from typing import get_args

    from icd_memory.rows import Status

    known: tuple[Status, ...] = get_args(Status)
    if text not in (*known, "all"):
        raise typer.BadParameter(f"{text!r} is no status: {', '.join(known)}, or all")
    return next((status for status in known if status == text), None)


def _brief(trajectory: Trajectory) -> dict[str, object]:
    return {
        "id": trajectory.id,
        "environment": trajectory.environment,
        "task": trajectory.task_id,
        "goal": trajectory.goal,
        "category": trajectory.category,
        "steps": len(trajectory.steps),
        "source": trajectory.provenance.source,
        "producer": trajectory.provenance.producer,
    }


def _changed(what: str, ids: list[str], as_json: bool) -> None:
    if as_json:
        write_json({what: ids})
        return
    say(f"{what} {len(ids)} demonstration{'s' * (len(ids) != 1)}")
