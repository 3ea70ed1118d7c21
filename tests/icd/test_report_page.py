"""The page and the Markdown of a report: valid, alone, escaped, true to the summary, whatever a run has."""

from __future__ import annotations

import html
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, NamedTuple
from xml.etree import ElementTree

import pytest
from recorded_run import ABOUT, Play, conditions, record

from icd.benchmark.findings import Findings, findings
from icd.benchmark.markdown import document, escaped
from icd.benchmark.sheets import Cell, figure, method_sheet
from icd.benchmark.statistics import Interval
from icd.cli.app import run as icd
from icd_memory.store import Store

pytest.importorskip("jinja2")
pytest.importorskip("matplotlib")

NOW = datetime(2026, 1, 1, tzinfo=UTC)
HOSTILE = "<script>alert('x')</script>\"><img src=x onerror=y> {{ 7 * 7 }} --> ]]> | `a` $\\frac{1}{0}$ &amp;"
VOID = {"meta", "link", "br", "img", "input", "hr"}
FULL: Mapping[str, list[Play]] = {
    "student": [Play(False, "sss"), Play(True, "ss", "heat"), Play(False, "s" * 25, "heat")],
    "in-context": [Play(True, "ss", cached=800), Play(True, "ss", "heat"), Play(False, "s" * 25, "heat")],
    "in-context[k=1]": [Play(False, "ss"), Play(True, "ss", "heat"), Play(False, "ss", "heat")],
    "cascade": [Play(True, "st"), Play(True, "sst", "heat"), Play(False, "tstts", "heat")],
    "teacher": [Play(True, "tt"), Play(True, "tt", "heat"), Play(True, "tttt", "heat")],
}


class Full(NamedTuple):
    found: Findings
    text: str


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Full:
    with Store.open(tmp_path_factory.mktemp("report") / "icd.db") as opened:
        found = found_in(opened)
    return Full(found, page_of(found))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "icd.db") as opened:
        yield opened


def found_in(store: Store, methods: Mapping[str, list[Play]] = FULL, **options: Any) -> Findings:
    return findings(store, record(store, methods, **options))


def page_of(*found: Findings) -> str:
    from icd.benchmark.report import page

    return page(found, NOW)


class Page(HTMLParser):
    """Reads a page, and fails where it is not well-formed or not alone."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.pointed: list[str] = []
        self.headings: list[int] = []
        self.texts: list[str] = []
        self.feed(text)
        self.close()
        assert not self.open, f"never closed: {self.open}"
        assert max(Counter(self.ids).values()) == 1, Counter(self.ids).most_common(3)
        assert set(self.pointed) <= set(self.ids), set(self.pointed) - set(self.ids)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag not in VOID:
            self.open.append(tag)
        assert tag not in {"script", "iframe", "object", "img", "link", "base", "form"}
        assert not {"src", "srcset", "action", "data", "poster"} & set(given)
        assert not [name for name in given if name.startswith("on")]
        if tag == "th":
            assert given.get("scope") in ("col", "row")
        if tag[0] == "h" and tag[1:].isdecimal():
            self.headings.append(int(tag[1:]))
        if "id" in given:
            self.ids.append(given["id"] or "")
        for name, value in given.items():
            self._check_reference(name, value or "")

    def _check_reference(self, name: str, value: str) -> None:
        if name in ("href", "xlink:href"):
            assert value.startswith("#"), value
            self.pointed.append(value[1:])
        if name in ("aria-labelledby", "aria-describedby"):
            self.pointed += value.split()
        for address in re.findall(r"url\(([^)]*)\)", value):
            assert address.startswith("#"), address
            self.pointed.append(address[1:])
        assert name.startswith("xmlns") or "://" not in value or name == "aria-label", (name, value)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "style":
            assert "@import" not in data
            assert "url(" not in data
        else:
            self.texts.append(data)


def check(text: str) -> Page:
    read = Page(text)
    assert read.headings[0] == 1
    assert read.headings.count(1) == 1
    for before, after in zip(read.headings, read.headings[1:], strict=False):
        assert after <= before + 1, read.headings
    for svg in re.findall(r"<svg.*?</svg>", text, re.DOTALL):
        drawn = ElementTree.fromstring(svg)
        space = "{http://www.w3.org/2000/svg}"
        assert drawn.get("role") == "img"
        assert all(len(drawn.findtext(f"{space}{part}") or "") > 10 for part in ("title", "desc"))
        assert not re.search(r"#0[147]0[258]", svg), "a stand-in colour is left"
    return read


def test_a_full_run_gives_a_valid_page_that_stands_alone(full: Full) -> None:
    text = full.text
    check(text)
    assert text.startswith("<!doctype html>")
    for part in (
        "Success against cost",
        "paid for themselves",
        "Paired differences",
        "By kind of task",
        "Where the teacher acts",
        "in-context: k",
        "Whether agreement says who is right",
        "caching",
        "How it was made",
    ):
        assert part in text, part
    assert "prefers-color-scheme: dark" in text


def test_the_page_tells_what_the_run_was_made_with(full: Full) -> None:
    said = html.unescape(full.text)
    for part in (
        "icd run household",
        "household-test-1",
        "order of tasks 0; episodes 0",
        "step cap",
        "student-model (openai)",
        f"student.gguf, sha256 {'ab' * 32}",
        "$0.4 in / $0.1 cached / $1.6 out per million tokens (a table, 2025-12-02)",
        "4, fingerprint b187663718c5e219, from collected",
        "icd-runtime 0.1.0, Python 3.11.7",
        "0123456789ab",
        "engine",
    ):
        assert part in said, part


def test_the_figures_of_page_and_markdown_are_the_summary_s(full: Full) -> None:
    found = full.found
    texts = [text.strip() for text in check(full.text).texts]
    written = document([found])
    for method in found.summary.methods:
        row = texts[texts.index(method.method.name, texts.index("Methods on the same tasks and seeds")) :]
        cells = [
            figure(interval, form)
            for interval, form in (
                (method.success, ".2f"),
                (method.cost, ".4f"),
                (method.cost_per_success, ".4f"),
                (method.against.relative_cost, ".2f"),
            )
        ]
        places = [(row.index(cell.text), row.index(cell.small)) for cell in cells if cell.text]
        assert all(place < 40 for pair in places for place in pair)
        line = next(line for line in written.splitlines() if line.startswith(f"| {method.method.name} |"))
        assert all(f"{cell.text} ({cell.small})" in line for cell in cells if cell.text)
    kinds = {name: share for name, share in found.summary.methods[0].by_category.items()}
    assert {name: (share.won, share.episodes) for name, share in kinds.items()} == {
        "heat": (1, 2),
        "put": (0, 1),
    }


def test_the_differences_are_paired(full: Full) -> None:
    found = {(d.first, d.second): d for d in full.found.differences}
    gained = found["in-context", "student"]
    assert (gained.tasks, gained.only_first, gained.only_second, gained.p) == (3, 1, 0, 1.0)
    assert gained.success.value == pytest.approx(1 / 3)
    changed = found["in-context[k=1]", "in-context"]
    assert changed.success.value == pytest.approx(-1 / 3)
    assert ("in-context[k=1]", "teacher") not in found
    assert ("student", "in-context") not in found


def test_the_map_counts_every_step_once(full: Full) -> None:
    (shown,) = full.found.escalations
    assert shown.method == "cascade"
    cells = [cell for row in shown.categories.values() for cell in row if cell]
    assert sum(cell.steps for cell in cells) == sum(cell.steps for cell in shown.total if cell) == 10
    assert shown.total[0] is not None
    assert shown.total[0].share.value == pytest.approx(2 / 6)
    assert sum(shown.reasons.values()) == 10
    assert shown.reasons["teacher: disagreed"] == 5


def test_an_ablation_has_the_unchanged_method_among_its_values(full: Full) -> None:
    (ablation,) = full.found.ablations
    assert (ablation.base, ablation.setting, ablation.numeric) == ("in-context", "k", True)
    assert [(p.value, p.unchanged) for p in ablation.points] == [("0", False), ("1", False), ("2", True)]


def test_memories_of_several_sizes_say_whether_more_demonstrations_pay(store: Store) -> None:
    plays = {
        "student": [Play(False, "s" * 9)] * 4,
        "in-context[memory_size=2]": [Play(True), *[Play(False, "s" * 9)] * 3],
        "in-context": [Play(True)] * 4,
        "teacher": [Play(True, "tt")] * 4,
    }
    found = found_in(store, plays)
    assert [(p.value, p.unchanged) for a in found.ablations for p in a.points] == [
        ("2", False),
        ("all", True),
    ]
    assert found.stopping is not None
    assert found.stopping.tasks == 4
    assert "For 1,000 more episodes, " in document([found])
    assert found_in(store, FULL, run_id="other").stopping is None


def test_without_a_cache_every_token_has_the_fresh_price(full: Full) -> None:
    shown = full.found.summary.of("in-context")
    assert shown is not None
    discount = 2 * 800 * (0.4 - 0.1) / 1e6 / 3
    assert shown.uncached_cost.value == pytest.approx(shown.cost.value + discount)
    teacher = full.found.summary.of("teacher")
    assert teacher is not None
    assert teacher.uncached_cost == teacher.cost


def test_whatever_was_recorded_is_shown_as_text(store: Store) -> None:
    about = {**ABOUT, "command": f"icd run {HOSTILE}", "machine": HOSTILE, "versions": {HOSTILE: HOSTILE}}
    seat = conditions()["student"]
    found = found_in(
        store,
        {name: [replace(play, category=HOSTILE) for play in plays] for name, plays in FULL.items()},
        about=about,
        environment=HOSTILE,
        split=HOSTILE,
        student={**seat, "model": HOSTILE, "price": {**seat["price"], "source": HOSTILE, "note": HOSTILE}},
    )
    text = page_of(found)
    check(text)
    assert "7 * 7" in text
    assert "49" not in re.sub(r"<style.*?</style>|<svg.*?</svg>", "", text, flags=re.DOTALL)
    written = document([found])
    assert "<script" not in written
    assert "<img" not in written
    for table in re.findall(r"(?:^\|.*\n)+", written, re.MULTILINE):
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines()}) == 1, table


@pytest.mark.parametrize("name", ["teacher", "student", "cascade"])
def test_one_method_is_enough(store: Store, name: str) -> None:
    found = found_in(store, {name: FULL[name]})
    assert found.differences == ()
    check(page_of(found))
    assert f"| {name} |" in document([found])


def test_nothing_finished_yet(store: Store) -> None:
    from icd_memory.rows import EpisodeRow

    run = record(store, {})
    for number, status in enumerate(("running", "failed")):
        store.add_episode(EpisodeRow(f"{run}/{number}", run, "task", "student", number, status, NOW))  # type: ignore[arg-type]
    found = findings(store, run)
    text = page_of(found)
    check(text)
    assert "<svg" not in text
    assert "1 failed, 1 unfinished" in text
    assert "| nan" not in document([found])


def test_demonstrations_that_cost_nothing(store: Store) -> None:
    found = found_in(store, collection_cost=0.0)
    check(page_of(found))
    shown = found.summary.of("in-context")
    assert shown is not None
    assert shown.against.break_even is not None
    assert shown.against.break_even.episodes == 0


def test_a_run_without_demonstrations_has_no_break_even(store: Store) -> None:
    found = found_in(
        store,
        {name: FULL[name] for name in ("student", "teacher")},
        demonstrations=0,
        memory="",
        sources=[],
        collection_cost=0.0,
    )
    text = page_of(found)
    check(text)
    assert "paid for themselves" not in text


def test_code_worlds_show_tgc_and_sgc(store: Store) -> None:
    plays = {
        name: [replace(play, scenario=f"scenario-{number // 2}") for number, play in enumerate(plays)]
        for name, plays in FULL.items()
    }
    found = found_in(store, plays)
    assert method_sheet(found.summary).columns[2:4] == ("TGC", "SGC")
    text = page_of(found)
    check(text)
    assert '<th scope="col">SGC</th>' in text


def test_several_runs_share_a_page_with_an_overview(store: Store) -> None:
    first = found_in(store, {"student": FULL["student"]})
    second = found_in(store, {"teacher": FULL["teacher"]}, run_id="other", environment="alfworld")
    text = page_of(first, second)
    check(text)
    assert "All runs" in text
    assert text.count("<h2") == 2
    assert document([first, second]).count("\n## ") == 2


def test_what_is_not_known_is_an_empty_cell() -> None:
    assert figure(Interval(float("nan"), 0, 1), ".2f") == Cell("")
    assert figure(None, ".2f") == Cell("")
    assert figure(Interval(0.5, 0.25, float("inf")), ".2f") == Cell("0.50", "0.25 to ∞")
    assert figure(Interval(-0.00001, -1, 1), "+z.2f").text == "+0.00"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("valid_seen", "valid_seen"),
        ("a|b", "a\\|b"),
        ("<b>", "&lt;b&gt;"),
        ("[x](y)", "[x\\](y)"),
        ("in-context[k=1]", "in-context[k=1]"),
        ("two\nlines", "two lines"),
    ],
)
def test_markdown_shows_texts_as_they_are(text: str, shown: str) -> None:
    assert escaped(text) == shown


def test_the_command_writes_page_markdown_and_json(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("one", "two"):
        with Store.open(f"{name}.db") as made:
            record(made, {"copy": FULL["student"]}, run_id=name)
    stores = ["--store", "one.db", "--store", "two.db"]
    assert icd(["report", *stores, "--markdown", "-", "--html", "pages/all.html"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("# icd report\n")
    assert "one" in out
    assert "two" in out
    check(Path("pages/all.html").read_text("utf-8"))
    assert icd(["report", "two", *stores, "--markdown", "two.md", "--json"]) == 0
    (shown,) = json.loads(capsys.readouterr().out)
    assert shown["run_id"] == "two"
    assert {"differences", "escalations", "ablations", "agreement", "facts", "methods"} <= set(shown)
    assert Path("two.md").read_text("utf-8").count("\n## ") == 1
    assert icd(["report", *stores, "--markdown", "-", "--json"]) == 2
    assert icd(["report", "three", *stores]) == 2
    assert icd(["report", "--list", *stores]) == 0
    assert "two" in capsys.readouterr().out
