"""`icd env`: the environments, and whether the engine behaves as recordings of another one say."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from icd.cli import options
from icd.cli.failures import CHECK_FAILED
from icd.cli.output import plain, results, write_json

app = typer.Typer(help="See the environments; compare the engine with recordings.", no_args_is_help=True)


@app.command("list")
def list_(json: options.Json = False) -> None:
    """The environments and their splits."""
    from icd_envs.table import SUITES, suite

    found = [suite(name) for name in SUITES]
    if json:
        write_json([{"name": s.name, "splits": s.splits, "test_splits": s.test_splits} for s in found])
        return
    for one in found:
        splits = ", ".join(f"{split} (test)" if split in one.test_splits else split for split in one.splits)
        results.print(f"{one.name:<11} {splits}", markup=False)


@app.command()
def check(
    transcripts: Annotated[Path, typer.Argument(help="Recorded episodes: a .jsonl or .jsonl.xz file.")],
    games: Annotated[
        list[Path] | None,
        typer.Option(
            help="Compact pack or unpacked tree; may be given more than once. "
            "By default what ICD_ALFWORLD_PACK or ALFWORLD_DATA name."
        ),
    ] = None,
    show: Annotated[int, typer.Option(min=0, help="Differences that are shown.")] = 5,
    json: options.Json = False,
) -> int:
    """Play recorded episodes of the published engine on ours and count the differences.

    A difference is one field (observation, admissible commands, won) of one step. Exit code 1 if there is one, 2 if a
    game is missing.
    """
    from icd_envs.check import check as compare
    from icd_envs.check import read_transcripts
    from icd_envs.game_library import GameLibrary

    library = GameLibrary.at(games) if games else GameLibrary.from_environment()
    report = compare(read_transcripts(transcripts), library, keep=show)
    if json:
        write_json(plain(report))
    else:
        results.print(str(report), markup=False)
        for difference in report.first:
            results.print(str(difference), markup=False, soft_wrap=True)
    return CHECK_FAILED if report.differences else 0
