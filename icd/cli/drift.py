"""`icd drift`: what is watched for change, what was noticed, and beginning anew."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from icd.cli import options
from icd.cli.output import results, say, write_json

if TYPE_CHECKING:
    from icd_memory.watched import StreamRow

app = typer.Typer(help="See what changed in what agents do, and clear it.", no_args_is_help=True)
_Tenant = Annotated[str, typer.Option(help="Whose episodes.")]


@app.command("list")
def list_(
    tenant: _Tenant = "default",
    env: Annotated[str | None, typer.Option("--env", help="Only this environment.")] = None,
    store: options.StorePlace = None,
    config: options.Config = None,
    json: options.Json = False,
) -> None:
    """What is watched, alarms first, and the calibrations that they made stale."""
    from icd.calibration_record import calibrations, stale_by
    from icd.cli.settings import open_store, resolve

    watching = resolve(config, memory__store=store).drift.watch
    with open_store(config, store) as opened:
        rows = sorted(
            opened.watched.find(tenant=tenant, environment=env),
            key=lambda row: (row.alarm is None, row.category),
        )
        stale = {
            f"calibrated({found.epsilon:g}, {found.delta:g}) on {found.conditions['environment']}": why
            for found in calibrations(opened)
            if (why := stale_by(opened, found))
        }
    if json:
        write_json({"watching": watching, "streams": [_plain(row) for row in rows], "stale": stale})
        return
    for row in rows:
        results.print(_line(row), markup=False, soft_wrap=True)
    for name, why in stale.items():
        results.print(f"stale: {name} ({why})", markup=False, soft_wrap=True)
    if not rows:
        say("nothing was watched yet" + ("" if watching else ": [drift] watch = true begins it"))


@app.command()
def clear(
    tenant: _Tenant = "default",
    env: Annotated[str | None, typer.Option("--env", help="Only this environment.")] = None,
    category: Annotated[str | None, typer.Option(help="Only this category.")] = None,
    store: options.StorePlace = None,
    config: options.Config = None,
    json: options.Json = False,
) -> None:
    """Watch anew from now on, and show again the demonstrations that an alarm turned off."""
    from icd.cli.settings import open_store
    from icd.drift_watch import clear as begin_anew
    from icd_memory.recall import Unindexed

    with open_store(config, store) as opened:
        streams, shown = begin_anew(Unindexed(opened), tenant, env, category)
    if json:
        write_json({"streams": streams, "shown": shown})
        return
    say(f"{streams} streams begin anew; {len(shown)} demonstrations are shown again")


def _plain(row: StreamRow) -> dict[str, Any]:
    from icd.drift import Stream, turn_of

    stream = Stream.model_validate(row.state)
    names = {name: getattr(row, name) for name in ("environment", "category", "measure", "under", "alarm")}
    return {**names, "episodes": stream.count, "recent": turn_of(stream).recent, "evidence": stream.evidence}


def _line(row: StreamRow) -> str:
    from icd.drift_watch import told

    found = _plain(row)
    where = f"{row.environment} {row.category or '-'}: {row.measure}"
    if row.alarm is not None:
        return f"CHANGED  {where}: {told(row)} [{row.under}]"
    about = f"{found['recent']:.2f}, {found['episodes']} episodes, evidence {found['evidence']:.2g}"
    return f"watched  {where} {about} [{row.under}]"
