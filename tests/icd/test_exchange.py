"""Trajectories as a file, and the mark of what must not be published: refused, kept, never dropped."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from published_double import make_double
from samples import NOW, trajectory

from icd.cli.app import run
from icd.errors import ConfigurationError
from icd.exchange import marked, read_file, restriction_of, write_file
from icd.testing import LoopbackServer
from icd_envs.table import RESTRICTIONS
from icd_memory.store import Store
from icd_memory.trajectory import Provenance

TERMS = RESTRICTIONS["appworld"]
HASHING = ("--embedder", "hashing")


def call(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = run(arguments)
    out, err = capsys.readouterr()
    return code, out, err


def call_json(capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    code, out, err = call(capsys, *arguments, "--json")
    assert code == 0, err + out
    return json.loads(out)


def restricted(id: str, why: str = "the library forbids it") -> Any:
    return trajectory(id, provenance=Provenance("tests", "expert", NOW, why))


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    written = [
        trajectory("a"),
        restricted("b"),
        trajectory("c", goal="ein Apfel \u00e0 \U0001f34e", outcome=None),
    ]
    assert write_file(path, written, include_unpublishable=True) == 3
    assert list(read_file(path)) == written


def test_one_that_is_marked_keeps_a_file_from_being_written(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    path.write_text("before")
    with pytest.raises(
        ConfigurationError, match=r"1 of 2 trajectories .*the library forbids it.*nothing was"
    ):
        write_file(path, [trajectory("a"), restricted("b")])
    assert [entry.name for entry in tmp_path.iterdir()] == ["out.jsonl"]
    assert path.read_text() == "before"


def test_an_environments_rule_holds_for_what_others_recorded_there(tmp_path: Path) -> None:
    live = trajectory("live", environment="appworld", split="live")
    assert (live.provenance.restriction, restriction_of(live)) == ("", TERMS)
    assert marked(live).provenance.restriction == TERMS
    with pytest.raises(ConfigurationError, match="AppWorld"):
        write_file(tmp_path / "out.jsonl", [live])
    assert restriction_of(replace(marked(live), environment="renamed")) == TERMS


@pytest.mark.parametrize(
    "line",
    ["", "[]", "{", '{"id": "x"}', "with another field", "with a number for a text", "with another mark"],
)
def test_a_line_that_is_no_trajectory_is_named(tmp_path: Path, line: str) -> None:
    path = tmp_path / "out.jsonl"
    write_file(path, [trajectory("a")])
    good = path.read_text()
    data = json.loads(good)
    if line == "with another field":
        line = json.dumps({**data, "mood": "good"})
    elif line == "with a number for a text":
        line = json.dumps({**data, "goal": 3})
    elif line == "with another mark":
        line = json.dumps({**data, "provenance": {**data["provenance"], "terms": "secret"}})
    path.write_text(f"{good}{line}\n")
    with pytest.raises(ConfigurationError, match="line 2 is no trajectory"):
        list(read_file(path))


def test_a_store_from_before_the_mark_is_read(tmp_path: Path) -> None:
    path = tmp_path / "old.jsonl"
    write_file(path, [trajectory("a")])
    data = json.loads(path.read_text())
    del data["provenance"]["restriction"]
    path.write_text(json.dumps(data))
    assert list(read_file(path)) == [trajectory("a")]


def test_import_goes_through_admission(workspace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = [
        trajectory("good"),
        trajectory("of dev", environment="appworld", split="dev"),
        trajectory("of a test", environment="appworld", split="test_normal"),
        trajectory("of train", environment="appworld"),
        trajectory("for choosing", environment="workspace", split="dev"),
        trajectory("unsure", outcome=None),
    ]
    write_file(Path("in.jsonl"), lines, include_unpublishable=True)
    came = call_json(capsys, "memory", "import", "in.jsonl", "--approve", "--store", "a.db", *HASHING)
    assert came == {"store": "a.db", "demonstration": 3, "rejected": 2, "quarantine": 1}
    again = call_json(capsys, "memory", "import", "in.jsonl", "--store", "a.db", *HASHING)
    assert again == {"store": "a.db", "known": 6}
    _, out, _ = call(capsys, "memory", "show", "of dev", "--store", "a.db")
    assert "rejected (of the test split dev)" in out
    assert f"do not publish: {TERMS}" in out
    shown = call_json(
        capsys, "memory", "search", "put an apple", "--state", "thing", "--store", "a.db", *HASHING
    )
    assert shown


def test_the_mark_of_appworld_stays_from_the_episode_to_every_copy(
    workspace: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    python, root = make_double(tmp_path)
    places = ("--appworld-python", str(python), "--appworld-root", str(root))
    done = ["I am done.\n```python\napis.supervisor.complete_task()\n```"]
    with LoopbackServer(lambda body: done * (body.get("n") or 1)) as teacher:
        model = ("--teacher", teacher.base_url, "--teacher-model", "claude-sonnet-4.5")
        collected = call_json(
            capsys, "collect", "appworld", "-n", "2", "--store", "a.db", *places, *model, *HASHING
        )
    assert collected["in_memory"] == 2
    code, _, err = call(capsys, "memory", "export", "out.jsonl", "--store", "a.db")
    assert code == 2
    assert "2 of 2 trajectories are not to be published" in err
    assert not Path("out.jsonl").exists()
    flag = "--include-unpublishable"
    assert call_json(capsys, "memory", "export", "out.jsonl", flag, "--store", "a.db")["trajectories"] == 2
    marks = [
        json.loads(line)["provenance"]["restriction"] for line in Path("out.jsonl").read_text().splitlines()
    ]
    assert marks == [TERMS, TERMS]
    call_json(capsys, "memory", "import", "out.jsonl", "--approve", "--store", "b.db", *HASHING)
    with Store.open("b.db") as copy:
        kept = Counter(one.provenance.restriction for one in copy.trajectories())
    assert kept == {TERMS: 2}
    assert call(capsys, "memory", "export", "again.jsonl", "--store", "b.db")[0] == 2
    assert not Path("again.jsonl").exists()
