"""Tables, notes and the page of a run."""

from __future__ import annotations

import io
import math
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from xml.etree import ElementTree

import pytest
from rich.console import Console
from scenario import play_everything, workplace

from icd.benchmark.charts.pareto import Point, pareto
from icd.benchmark.findings import findings
from icd.benchmark.statistics import Interval
from icd.benchmark.summary import RunSummary
from icd.benchmark.table import episodes, headline, notes, rows, share, signed, table
from icd.ledger import BreakEven
from icd_memory.store import Store

pytest.importorskip("jinja2")
pytest.importorskip("matplotlib")


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[RunSummary, Store]]:
    path = tmp_path_factory.mktemp("report") / "icd.db"
    summary = play_everything(path)
    place = workplace(path)
    yield summary, place.store
    place.close()


def text_of(renderable: Any, width: int) -> str:
    written = io.StringIO()
    Console(width=width, file=written).print(renderable)
    return written.getvalue()


@pytest.mark.parametrize("width", [80, 100, 160])
def test_the_table_fits(played: tuple[RunSummary, Store], width: int) -> None:
    lines = text_of(table(played[0], width), width).splitlines()
    assert max(map(len, lines)) <= width
    assert len(lines) == 1 + len(played[0].methods)
    assert "…" not in "".join(lines)


def test_a_methods_settings_are_no_markup(played: tuple[RunSummary, Store]) -> None:
    summary = played[0]
    first = summary.methods[0]
    changed = replace(first, method=replace(first.method, name="student[strategies=global]"))
    text = text_of(table(replace(summary, methods=(changed,)), 160), 160)
    assert "student[strategies=global]" in text


def test_the_notes_say_what_the_figures_depend_on(played: tuple[RunSummary, Store]) -> None:
    said = " ".join(notes(played[0]))
    for part in (
        "split test",
        "at most 12 steps",
        "temperature 0.2",
        "nominal",
        "2025-12-02",
        "estimates",
        "attempts",
    ):
        assert part in said
    assert any("teacher's success" in line for line in headline(played[0]))


def test_the_page_stands_alone(played: tuple[RunSummary, Store]) -> None:
    from icd.benchmark.report import page

    summary, store = played
    text = page([findings(store, summary.run_id)] * 2, datetime(2026, 1, 1, tzinfo=UTC))
    assert text == page([findings(store, summary.run_id)] * 2, datetime(2026, 1, 1, tzinfo=UTC))
    assert not re.findall(r"(?:src|href)=\"(?!#)", text)
    assert "url(http" not in text
    for texts in rows(summary):
        assert texts[0] in text
    for name in summary.methods[0].by_category:
        assert name in text
    svg = text[text.index("<svg") : text.index("</svg>") + 6]
    ElementTree.fromstring(svg)
    assert "var(--ink)" in svg
    for part in ("command", "versions", "Python", "step cap", summary.run_id):
        assert part in text


def test_the_page_escapes_what_it_is_given(played: tuple[RunSummary, Store]) -> None:
    from icd.benchmark.report import page

    summary, store = played
    store.set_note(f"command {summary.run_id}", "icd run '<script>alert(1)</script>'")
    assert "<script>" not in page([findings(store, summary.run_id)], datetime(2026, 1, 1, tzinfo=UTC))


def test_figures_as_texts() -> None:
    assert share(Interval(0.5, 0.25, 0.75)) == "0.50 [0.25, 0.75]"
    assert share(Interval(math.nan, 0, 1)) == ""
    assert signed(Interval(0.5, -0.1, 0.75)) == "+0.50 [-0.10, +0.75]"
    assert episodes(BreakEven(10.4, 7.0, math.inf, 0.95)) == "10 [7, never]"


def test_the_best_are_those_that_no_cheaper_one_beats() -> None:
    points = [Point("a", 1, 0.5), Point("b", 2, 0.4), Point("c", 3, 0.9), Point("d", 3, 0.8)]
    assert [point.name for point in pareto(points)] == ["a", "c"]
