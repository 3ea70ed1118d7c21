"""stub"""

import typer

app = typer.Typer(help="stub")


@app.callback()
def _root() -> None:
    "x"


@app.command()
def x() -> None:
    "x"
