"""`icd store`: whether a store is whole, copies of it, and removing what nothing refers to."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from icd.cli import options
from icd.cli.failures import CHECK_FAILED
from icd.cli.output import results, say, write_json

if TYPE_CHECKING:
    from icd_memory.chain import Head

app = typer.Typer(help="Check, copy, restore and tidy a store.", no_args_is_help=True)
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace what is there.")]
Noted = Annotated[
    list[str] | None,
    typer.Option("--head", help="TENANT:POSITION:LINK, as an earlier check printed it; repeatable."),
]


@app.command()
def verify(
    head: Noted = None,
    store: options.StorePlace = None,
    config: options.Config = None,
    json: options.Json = False,
) -> int:
    """Check the file, references, contents against their hashes, the chains of receipts, and the indexes beside it."""
    from icd.cli.settings import existing_store
    from icd.store_upkeep import verify_store

    place = existing_store(config, store)
    found, indexes = verify_store(place, heads(head))
    if json:
        write_json(
            {"store": place, "problems": found.problems, "chains": found.chain.tenants, "indexes": indexes}
        )
        return CHECK_FAILED if found.problems else 0
    for problem in found.problems:
        results.print(problem, markup=False, soft_wrap=True)
    for index in indexes:
        note = "" if index.state == "fresh" else " (mended when it is next opened)"
        results.print(f"index {index.file}: {index.state}{note}", markup=False)
    say(f"{place}: {len(found.problems)} problems" if found.problems else f"{place} is whole")
    return CHECK_FAILED if found.problems else 0


@app.command()
def backup(
    file: Annotated[Path, typer.Argument(help="Where the copy goes.")],
    overwrite: Overwrite = False,
    store: options.StorePlace = None,
    config: options.Config = None,
    json: options.Json = False,
) -> None:
    """Copy a store in a file while it is in use. The copy is checked, and is a store itself."""
    from icd.cli.settings import existing_store
    from icd_memory.copies import back_up

    place = existing_store(config, store)
    size = back_up(place, file, overwrite=overwrite)
    _told({"store": place, "file": file, "bytes": size}, f"{place} copied to {file}, {size} bytes", json)


@app.command()
def restore(
    file: Annotated[Path, typer.Argument(help="A copy made by `icd store backup`.")],
    overwrite: Overwrite = False,
    store: options.StorePlace = None,
    config: options.Config = None,
    json: options.Json = False,
) -> None:
    """Put a copy in the place of a store that no process has open; killed meanwhile, it leaves one or the other whole."""
    from icd.cli.settings import resolve
    from icd_memory.copies import restore as put_back

    place = resolve(config, memory__store=store).memory.store
    size = put_back(file, place, overwrite=overwrite)
    _told({"store": place, "file": file, "bytes": size}, f"{place} restored from {file}", json)


@app.command()
def gc(store: options.StorePlace = None, config: options.Config = None, json: options.Json = False) -> None:
    """Remove texts that no receipt refers to and vectors of embedders no longer used; nobody may have the store open."""
    from icd.cli.settings import existing_store
    from icd_memory.sweeping import sweep

    place = existing_store(config, store)
    swept = sweep(place)
    _told(
        {"store": place, **swept._asdict()}, f"removed {swept.texts} texts and {swept.vectors} vectors", json
    )


def heads(texts: list[str] | None) -> dict[str, Head]:
    """Return the heads of chains that an option names.

    Raises:
        typer.BadParameter: they are written otherwise.
    """
    from icd_memory.chain import Head

    found = {}
    for text in texts or ():
        try:
            tenant, position, link = text.rsplit(":", 2)
            found[tenant] = Head(int(position), link)
        except ValueError:
            raise typer.BadParameter(f"{text!r} is not TENANT:POSITION:LINK", param_hint="--head") from None
    return found


def _told(facts: dict[str, object], text: str, as_json: bool) -> None:
    if as_json:
        write_json(facts)
    else:
        say(text)
