"""The benchmark of sequential sampling, on a store of which the answer is known."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from icd_memory.rows import DecisionRow, EpisodeRow, RunRow
from icd_memory.store import Store

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "sampling.py"
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def test_it_counts_what_is_saved_and_what_is_decided_otherwise(tmp_path: Path) -> None:
    recorded = ["aaaaa", "abaaa", "abcde", "aabbb", "aaa"]
    place = tmp_path / "store.db"
    with Store.open(str(place)) as store:
        store.add_run(RunRow("r", {}, NOW))
        store.add_episode(EpisodeRow("e", "r", "t", "m", 0, "done", NOW))
        for step, keys in enumerate(recorded):
            body = {"samples": [{"key": key} for key in keys]}
            store.add_decision(DecisionRow(f"d{step}", "e", step, body, NOW))
    done = subprocess.run(
        [sys.executable, str(SCRIPT), str(place), "--json"], capture_output=True, text=True, check=True
    )
    found = json.loads(done.stdout)
    figures, bolder = found["figures"], found["peers"]["sequential(5, 0.85)"]
    assert (figures["steps"], figures["steps without all samples"]) == (4, 1)
    # aaa, abaa, abcd and all of aabbb: whether a or b, three of them are needed.
    assert figures["samples saved"] == pytest.approx(1 - (3 + 4 + 4 + 5) / 20)
    assert figures["same decisions"] == 1
    assert bolder["same decisions"] == 0.75
    assert bolder["samples saved"] == pytest.approx(1 - (2 + 4 + 4 + 2) / 20)
