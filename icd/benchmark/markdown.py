"""A report as Markdown: the tables and facts, without the charts."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator, Sequence

from icd.benchmark.findings import Findings
from icd.benchmark.sections import Section, section
from icd.benchmark.sheets import Cell, Sheet, overview_sheet

__all__ = ["document", "escaped", "markdown_table"]


def document(found: Sequence[Findings]) -> str:
    """Return the report of runs as one Markdown document."""
    lines = ["# icd report", ""]
    if len(found) > 1:
        lines += [*markdown_table(overview_sheet([one.summary for one in found])), ""]
    for one in found:
        lines += _section(section(one))
    return "\n".join(lines).rstrip() + "\n"


def _section(shown: Section) -> Iterator[str]:
    yield from (f"## {escaped(shown.title)}", "")
    for part in shown.parts:
        yield from (f"### {escaped(part.heading)}", "")
        for sentence in part.sentences:
            yield from (escaped(sentence), "")
        for sheet in part.sheets:
            if len(part.sheets) > 1:
                yield from (f"{escaped(sheet.caption)}:", "")
            yield from (*markdown_table(sheet), "")
        if part.points:
            yield from (*(f"- {escaped(point)}" for point in part.points), "")
    yield from ("### How it was made", "")
    yield from (f"- {escaped(name)}: {escaped(value)}" for name, value in shown.facts)
    yield ""


def markdown_table(sheet: Sheet) -> Iterator[str]:
    """Return the lines of a table."""
    yield f"| {' | '.join(map(escaped, sheet.columns))} |"
    yield f"|---|{'---:|' * (len(sheet.columns) - 1)}"
    for row in sheet.rows:
        # What is small beside a row's name explains it; beside a figure it is the interval.
        texts = [row[0].text, *map(_text, row[1:])]
        yield f"| {' | '.join(map(escaped, texts))} |"


def _text(cell: Cell) -> str:
    return f"{cell.text} ({cell.small})" if cell.small else cell.text


def escaped(text: str) -> str:
    """Return a text that Markdown shows as it is, in one line."""
    one_line = " ".join(html.escape(text, quote=False).split())
    # An underscore within a word is one, and brackets are a link only before what they would lead to.
    return re.sub(r"([\\`*|]|(?<!\w)_|_(?!\w)|\](?=[(:\[]))", r"\\\1", one_line)
