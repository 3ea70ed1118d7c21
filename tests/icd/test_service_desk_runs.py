"""The service desk on the command line: collected, run, and its scores shown."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from icd.cli.app import run

HASHING = ("--embedder", "hashing")


@pytest.fixture(autouse=True)
def _place(workspace: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ICD_MODELS_DIR", str(tmp_path / "models"))
    monkeypatch.setenv("COLUMNS", "200")


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert run(arguments) == 0
    return capsys.readouterr().out


def test_scores_stand_beside_success(capsys: pytest.CaptureFixture[str]) -> None:
    said(capsys, "collect", "service-desk", "-n", "9", *HASHING)
    arguments = ("bench", "service-desk", "-n", "5", "--methods", "teacher,copy", *HASHING)
    table = said(capsys, *arguments)
    assert "score [95 %]" in table
    summary = json.loads(said(capsys, *arguments, "--json"))
    by_name = {method["method"]["name"]: method for method in summary["methods"]}
    assert by_name["teacher"]["success"]["value"] == 1.0
    assert by_name["teacher"]["score"]["value"] >= 9.0
    assert by_name["copy"]["score"]["value"] < 7.0


def test_no_scores_where_they_say_no_more_than_success(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ("run", "household", "-n", "1", "--policy", "teacher", "--max-steps", "2", *HASHING)
    assert "score" not in said(capsys, *arguments)


def test_demonstrations_come_from_train_only(capsys: pytest.CaptureFixture[str]) -> None:
    for split in ("dev", "test", "test_seen"):
        assert run(["collect", "service-desk", "--split", split, *HASHING]) == 2
        assert "is a test split" in capsys.readouterr().err
