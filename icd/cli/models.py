"""`icd models`: the models that can be fetched, and fetching them."""

from __future__ import annotations

from typing import Annotated

import typer

from icd.cli import options
from icd.cli.output import results, say, write_json

app = typer.Typer(help="See and fetch models; any other GGUF file works by its path.", no_args_is_help=True)


@app.command("list")
def list_(json: options.Json = False) -> None:
    """The models of the catalogue, and which are on this machine."""
    from icd.models import CATALOGUE, is_pulled, models_folder

    here = {model.name: is_pulled(model) for model in CATALOGUE.values()}
    if json:
        write_json(
            [
                {
                    "name": model.name,
                    "title": model.title,
                    "licence": model.licence,
                    "megabytes": model.megabytes,
                    "here": here[model.name],
                }
                for model in CATALOGUE.values()
            ]
        )
        return
    for model in CATALOGUE.values():
        mark = "here" if here[model.name] else ""
        line = f"{model.name:<20} {mark:<5} {model.megabytes:>6,} MB  {model.title} ({model.licence})"
        results.print(line, markup=False, soft_wrap=True)
    say(f"folder: {models_folder()}")


@app.command()
def pull(
    names: Annotated[list[str], typer.Argument(metavar="NAME...", help="Names of `icd models list`.")],
    accept_terms: Annotated[
        bool, typer.Option("--accept-terms", help="Accept the model's terms of use.")
    ] = False,
    json: options.Json = False,
) -> None:
    """Fetch models once; they are checked by sha256 and used offline afterwards."""
    from icd.models import pull as fetch

    paths = {name: fetch(name, accept_terms=accept_terms, say=say) for name in names}
    if json:
        write_json({name: str(path) for name, path in paths.items()})
        return
    for path in paths.values():
        results.print(str(path), markup=False, soft_wrap=True)
