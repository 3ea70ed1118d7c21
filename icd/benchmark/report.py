"""Runs as one page that needs nothing else: no network, no scripts, light and dark."""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path

from icd.benchmark.findings import Findings, findings
from icd.benchmark.sections import section
from icd.benchmark.sheets import overview_sheet
from icd.benchmark.summary import RunSummary
from icd.errors import MissingExtraError
from icd_memory.store import Store

__all__ = ["page", "write_page", "write_whole"]


def write_page(summaries: Sequence[RunSummary], store: Store, path: Path) -> None:
    """Write the page of runs of one store to `path`, its folder too.

    Raises:
        MissingExtraError: the extra ``report`` is not installed.
        OSError: it cannot be written.
    """
    write_whole(page([findings(store, summary.run_id) for summary in summaries], datetime.now(UTC)), path)


def write_whole(text: str, path: Path) -> None:
    """Write a file at once: nobody sees half of it.

    Raises:
        OSError: it cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}")
    part.write_text(text, "utf-8")
    part.replace(path)


def page(found: Sequence[Findings], now: datetime) -> str:
    """Return the page of these runs.

    Raises:
        MissingExtraError: the extra ``report`` is not installed.
    """
    try:
        import jinja2
    except ImportError as error:
        raise MissingExtraError("the HTML report", "report") from error
    environment = jinja2.Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    return environment.from_string(_data("report.html.jinja")).render(
        sections=[section(one) for one in found],
        overview=overview_sheet([one.summary for one in found]) if len(found) > 1 else None,
        css=_data("report.css").strip(),
        made=f"{now:%Y-%m-%d %H:%M} UTC",
    )


def _data(name: str) -> str:
    return resources.files("icd").joinpath(f"data/{name}").read_text("utf-8")
