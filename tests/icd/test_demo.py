"""The demo with the real small model, in its smallest form."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from icd import models
from icd.benchmark import demo

ICD = (sys.executable, "-c", "from icd.cli import main; main()")
SMALL = ("demo", "--yes", "-n", "1", "--demonstrations", "12", "--html", "page.html", "--json")


def test_the_demo_asks_for_no_file_that_is_not_in_the_catalogue() -> None:
    for name in demo.FETCHED:
        assert models.find(name)
    settings = demo.demo_settings("somewhere.db")
    assert settings.run.max_steps == demo.MAX_STEPS
    assert settings.memory.store == "somewhere.db"


@pytest.mark.model
def test_the_demo_plays_every_method_and_goes_on_offline(workspace: Path) -> None:
    if not all(models.is_pulled(models.find(name)) for name in demo.FETCHED):
        pytest.skip(f"the files are not on this machine: icd models pull {' '.join(demo.FETCHED)}")
    first = subprocess.run(
        [*ICD, *SMALL], cwd=workspace, capture_output=True, text=True, timeout=600, check=False
    )
    assert first.returncode == 0, first.stderr
    summary = json.loads(first.stdout)
    methods = {m["method"]["name"]: m for m in summary["methods"]}
    assert list(methods) == list(demo.METHODS)
    assert all(m["episodes"] == 1 for m in methods.values())
    assert methods["teacher"]["success"]["value"] == 1.0
    assert methods["student"]["cost"]["value"] > 0
    assert methods["copy"]["cost"]["value"] == 0
    assert "<svg" in (workspace / "page.html").read_text()
    again = subprocess.run(
        [*ICD, *SMALL], cwd=workspace, capture_output=True, text=True, timeout=60, check=False
    )
    assert json.loads(again.stdout) == summary
    assert "5 of 5 episodes are done" in again.stderr
