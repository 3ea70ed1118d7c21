"""Templates: every value is escaped, unless it is an SVG that was drawn here."""

from __future__ import annotations

import hashlib
from datetime import datetime
from functools import cache
from importlib import resources
from typing import Any
from urllib.parse import quote, urlencode

import jinja2

from icd.console.figures import dollars, interval_text, share

__all__ = ["BASE", "asset", "asset_version", "render", "segment"]

BASE = "/ui"
"""Where the console stands in its server."""


@cache
def _environment() -> jinja2.Environment:
    found = jinja2.Environment(
        loader=jinja2.PackageLoader("icd.console"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    found.filters.update(
        dollars=dollars, share=share, interval=interval_text, moment=_moment, segment=segment, query=_query
    )
    found.globals.update(base=BASE, asset_version=asset_version)
    return found


def render(template: str, **values: Any) -> str:
    """Return a page."""
    # Unpaired surrogates, which models can write, have no bytes.
    text = _environment().get_template(template).render(**values)
    return text.encode("utf-8", "replace").decode()


def asset(name: str) -> bytes:
    """Return a file of the console. Raises `FileNotFoundError`."""
    return resources.files("icd.console").joinpath("assets", name).read_bytes()


@cache
def asset_version(name: str) -> str:
    """Return what changes with an asset's content, so that browsers may keep it."""
    return hashlib.sha256(asset(name)).hexdigest()[:12]


def _moment(value: datetime | None) -> str:
    return "" if value is None else f"{value:%Y-%m-%d %H:%M}"


def segment(value: str) -> str:
    """Return a text as part of a path: ids of episodes hold slashes, which stay."""
    return quote(value.encode("utf-8", "replace"), safe="/:@")


def _query(values: dict[str, Any]) -> str:
    """Return the query of a link, without what is empty."""
    kept = {name: value for name, value in values.items() if value not in (None, "")}
    return urlencode(kept, errors="replace")
