"""`icd init` and `icd doctor`: a commented configuration, and whether everything is in place."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from icd.cli import options
from icd.cli.failures import CHECK_FAILED
from icd.cli.output import plain, results, say, write_json


def init(
    path: Annotated[Path, typer.Argument(help="Where to write it.")] = Path("icd.toml"),
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there.")] = False,
    json: options.Json = False,
) -> None:
    """Write a configuration in which every setting is explained, at its default."""
    from icd.config_file import commented_toml
    from icd.errors import ConfigurationError

    if path.exists() and not force:
        raise ConfigurationError(f"{path} is there already: --force replaces it")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(commented_toml(), "utf-8")
    if json:
        write_json({"path": str(path)})
        return
    say(f"wrote {path}: edit it, then `icd doctor` says whether everything is in place")


def doctor(
    ask: Annotated[
        bool, typer.Option("--ask", help="Send each model a short request (it may cost).")
    ] = False,
    config: options.Config = None,
    json: options.Json = False,
) -> int:
    """Check settings, store, embedder, models, prices and games, and say what to do about what is missing."""
    from icd.health import examine

    findings = examine(config, ask=ask)
    if json:
        write_json(plain(findings))
    else:
        for finding in findings:
            results.print(
                f"[{_STYLES[finding.state]}]{finding.state:<8}[/] [bold]{finding.what}[/]", end="  "
            )
            results.print(finding.message, markup=False, soft_wrap=True)
    return CHECK_FAILED if any(finding.state == "missing" for finding in findings) else 0


_STYLES = {"ok": "green", "note": "yellow", "missing": "red"}
