"""The commands put together."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from icd.cli import (
    audit,
    calibrate,
    collect,
    config,
    console,
    demo,
    drift,
    env,
    exchange,
    keys,
    mcp,
    memory,
    models,
    offline,
    receipts,
    report,
    serve,
    setup,
    store,
    strategies,
    strategies_learn,
    tenants,
)
from icd.cli import bench as benchmark
from icd.cli import run as running
from icd.cli.failures import INTERRUPTED, tell
from icd.cli.tracing import tracing

app = typer.Typer(
    name="icd",
    help="Let a cheap LLM agent act as well as an expensive one, and see what that saves.",
    epilog="Exit codes: 0 done, 1 a check failed, 2 usage or configuration, 3 a model could not answer, "
    "4 store or disk, 70 a bug, 130 interrupted.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("demo")(demo.demo)
app.command("collect")(collect.collect)
app.command("run")(running.run)
app.command("bench")(benchmark.bench)
app.command("calibrate")(calibrate.calibrate)
app.command("report")(report.report)
app.command("audit")(audit.audit)
app.command("serve")(serve.serve)
app.command("mcp")(mcp.mcp)
app.command("console")(console.console)
memory.app.command("export")(exchange.export)
memory.app.command("import")(exchange.import_)
app.add_typer(memory.app, name="memory")
app.add_typer(offline.app, name="offline")
strategies.app.command("learn")(strategies_learn.learn)
app.add_typer(strategies.app, name="strategies")
app.add_typer(store.app, name="store")
app.add_typer(receipts.app, name="receipts")
app.add_typer(drift.app, name="drift")
app.add_typer(keys.app, name="keys")
app.add_typer(tenants.app, name="tenants")
app.add_typer(env.app, name="env")
app.add_typer(models.app, name="models")
app.command("init")(setup.init)
app.command("doctor")(setup.doctor)
app.add_typer(config.app, name="config")


def _version(wanted: bool) -> None:
    if wanted:
        import icd

        typer.echo(f"icd-runtime {icd.__version__}")
        raise typer.Exit


@app.callback()
def root(
    debug: Annotated[bool, typer.Option("--debug", help="Show the stack trace of an error.")] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Options of every command."""


def run(arguments: Sequence[str]) -> int:
    """Run a command and return its exit code."""
    # Accepted everywhere, since one thinks of it after the error.
    words = [word for word in arguments if word != "--debug"]
    try:
        with tracing():
            code = app(args=words, prog_name="icd", standalone_mode=False)
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        sys.stderr.close()
        return 0
    except Exception as error:
        if "--debug" in arguments:
            raise
        return tell(error, as_json="--json" in arguments)
    return code if isinstance(code, int) else 0
