"""The commands and their options as a page: ``python -m icd.cli.reference > docs/cli.md``; a test compares."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

from typer.main import get_command

_HEAD = """\
# Command line

Made by `python -m icd.cli.reference`; do not edit. Results go to standard output, progress and hints to standard
error. Every command takes `--help`; `--json` writes one JSON document instead of text.

Exit codes: 0 done; 1 a check failed or the budget is used up; 2 wrong usage or configuration; 3 a model could not
answer (or its files are missing); 4 the store, the embedder or the disk; 70 a bug; 130 interrupted.
"""


def reference() -> str:
    """Return the page."""
    from icd.cli.app import app

    root = get_command(app)
    return "\n".join([_HEAD, *_commands("icd", root)]).rstrip() + "\n"


def _commands(path: str, command: Any) -> Iterator[str]:
    children = getattr(command, "commands", {})
    if children:
        for name, child in children.items():
            yield from _commands(f"{path} {name}", child)
        return
    arguments = [p for p in command.params if p.param_type_name == "argument"]
    options = [p for p in command.params if p.param_type_name == "option" and p.name != "help"]
    usage = " ".join([path, *(["[OPTIONS]"] * bool(options)), *(_metavar(p) for p in arguments)])
    yield f"## `{usage}`"
    yield ""
    yield " ".join((command.help or "").split())
    yield ""
    if arguments or options:
        yield "| | | default |"
        yield "|---|---|---|"
        for parameter in (*arguments, *options):
            yield f"| {_names(parameter)} | {_escaped(parameter.help or '')} | {_default(parameter)} |"
        yield ""


def _metavar(parameter: Any) -> str:
    name = parameter.metavar or parameter.name.upper()
    return name if parameter.required or name.startswith("[") else f"[{name}]"


def _names(parameter: Any) -> str:
    if parameter.param_type_name == "argument":
        return f"`{parameter.metavar or parameter.name.upper()}`"
    return " ".join(f"`{name}`" for name in parameter.opts)


def _default(parameter: Any) -> str:
    value = parameter.default
    if value is None or value is False or callable(value) or parameter.required or value in ("", ()):
        return ""
    return f"`{value}`"


def _escaped(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


if __name__ == "__main__":
    sys.stdout.write(reference())
