"""README's table of results: what the script makes of the committed summaries."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType

import pytest
from recorded_run import Play, record

from icd.cli.app import run as icd
from icd_memory.store import Store

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("readme_table", ROOT / "benchmarks/readme_table.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_readme_has_the_table_of_the_committed_results(script: ModuleType) -> None:
    readme = (ROOT / "README.md").read_text("utf-8")
    if not list((ROOT / "benchmarks/results").glob("*/summary.json")):
        assert script.BEGIN not in readme
        return
    assert script.with_block(readme, script.block(script.RESULTS)) == readme


def test_the_table_is_made_from_what_report_writes(
    script: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with Store.open(tmp_path / "icd.db") as store:
        record(
            store,
            {
                "in-context": [Play(True), Play(False)],
                "in-context[k=1]": [Play(True)],
                "in-context[strategies=2]": [Play(True)],
                "teacher": [Play(True, "tt"), Play(True, "tt")],
            },
        )
    assert icd(["report", "--store", str(tmp_path / "icd.db"), "--json"]) == 0
    shown = capsys.readouterr().out
    folder = tmp_path / "benchmarks/results/household"
    folder.mkdir(parents=True)
    (folder / "summary.json").write_text(shown, "utf-8")
    made = script.block(folder.parent, tmp_path)
    lines = made.splitlines()
    assert (lines[0], lines[-1]) == (script.BEGIN, script.END)
    assert "**household, test**: student student-model, teacher teacher-model, 4 demonstrations" in made
    assert "(benchmarks/results/household)" in made
    table = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines if line.startswith("| ")]
    assert [row[0] for row in table] == ["method", "in-context", "teacher", "in-context[strategies=2]"]
    (summary,) = json.loads(shown)
    success = summary["methods"][0]["success"]
    assert table[1][2] == f"{success['value']:.2f} [{success['low']:.2f}, {success['high']:.2f}]"
    assert table[2][3] == "100%"
    assert {len(row) for row in table} == {len(script.COLUMNS)}
    summary["methods"][0]["score"] = {"value": 7.5, "low": 6.25, "high": 8}
    (folder / "summary.json").write_text(json.dumps([summary]), "utf-8")
    head, _, first, second, _ = script.block(folder.parent, tmp_path).splitlines()[4:9]
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in (head, first, second)]
    assert [row[3] for row in cells] == ["score", "7.50 [6.25, 8.00]", ""]
    assert {len(row) for row in cells} == {len(script.COLUMNS) + 1}


def test_only_the_block_is_replaced(script: ModuleType) -> None:
    readme = f"# A\n\n{script.BEGIN}\nold\n{script.END}\n\nrest\n"
    made = f"{script.BEGIN}\nnew\n{script.END}"
    assert script.with_block(readme, made) == f"# A\n\n{made}\n\nrest\n"
    assert script.with_block(script.with_block(readme, made), made) == script.with_block(readme, made)
    with pytest.raises(ValueError, match="once each"):
        script.with_block("# A\n", made)
