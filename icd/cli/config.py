"""`icd config`: the settings in force."""

from __future__ import annotations

import json as json_text
from collections.abc import Iterator, Mapping
from typing import Any

import typer

from icd.cli import options
from icd.cli.output import results, say, write_json

app = typer.Typer(help="See the settings in force.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """See the settings in force."""


@app.command()
def show(config: options.Config = None, json: options.Json = False) -> None:
    """The settings after file, environment variables and defaults; a wrong one is an error that says where."""
    from icd.cli.settings import resolve
    from icd.config import find_config

    settings = resolve(config).model_dump(exclude_none=True)
    if json:
        write_json(settings)
        return
    say(f"# file: {find_config(config) or 'none'}; environment variables (ICD_...) win over it")
    for line in _toml(settings):
        results.print(line, markup=False, soft_wrap=True)


def _toml(settings: Mapping[str, Any]) -> Iterator[str]:
    for name, value in settings.items():
        if not isinstance(value, Mapping):
            yield f"{name} = {json_text.dumps(value, ensure_ascii=False)}"
    for name, section in settings.items():
        if isinstance(section, Mapping) and section:
            yield ""
            yield f"[{name}]"
            for key, value in section.items():
                yield f"{_key(key)} = {_value(value)}"


def _key(name: str) -> str:
    return name if name.replace("_", "").isalnum() else json_text.dumps(name)


def _value(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{_key(key)} = {_value(inner)}" for key, inner in value.items()) + " }"
    return json_text.dumps(value, ensure_ascii=False)
