"""`icd receipts`: checking the chain of receipts, and erasing what they say."""

from __future__ import annotations

from typing import Annotated

import typer

from icd.cli import options
from icd.cli.failures import CHECK_FAILED
from icd.cli.output import results, say, write_json
from icd.cli.store import Noted, heads

app = typer.Typer(help="Check the chain of receipts; erase what they say.", no_args_is_help=True)


@app.command()
def verify(
    head: Noted = None,
    store: options.StorePlace = None,
    config: options.Config = None,
    json: options.Json = False,
) -> int:
    """Check that no receipt was changed, put in or left out. Prints each chain's head: keep it elsewhere for `--head`."""
    from icd.cli.settings import open_store

    with open_store(config, store) as opened:
        found = opened.chain.verify(heads(head))
    if json:
        write_json(found)
        return CHECK_FAILED if found.problems else 0
    for chain in found.tenants:
        line = f"{chain.tenant}:{chain.head.position}:{chain.head.link}"
        results.print(f"{line}  {chain.receipts} receipts, {chain.erased} erased", markup=False)
    for problem in found.problems:
        results.print(problem, markup=False, soft_wrap=True)
    say(f"{len(found.problems)} problems" if found.problems else "every receipt is as it was written")
    return CHECK_FAILED if found.problems else 0


@app.command()
def erase(
    episode: Annotated[str, typer.Argument(metavar="EPISODE", help="An episode's id.")],
    tenant: Annotated[str, typer.Option(help="Whose episode.")] = "default",
    store: options.StorePlace = None,
    config: options.Config = None,
    json: options.Json = False,
) -> None:
    """Erase what an episode's receipts say, and what was learned from it. Digests stay: the chain still holds."""
    from datetime import UTC, datetime

    from icd.cli.settings import open_store
    from icd.store_upkeep import erase_episode

    with open_store(config, store) as opened:
        erased = erase_episode(opened, tenant, episode, datetime.now(UTC))
    if json:
        write_json({"episode": episode, **erased._asdict()})
        return
    say(
        f"erased {erased.receipts} receipts, {erased.trajectories} trajectories and {erased.comments} comments; "
        "`icd store gc` removes the texts, and copies made before keep all"
    )
