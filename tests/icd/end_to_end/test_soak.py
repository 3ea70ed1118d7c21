"""The soak in its shortest form: what it would find in hours it can find at all, and a moment of load leaks nothing."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

SOAK = Path(__file__).parents[3] / "benchmarks" / "trust_soak.py"


@pytest.mark.slow
def test_half_a_minute_of_mixed_load(tmp_path: Path) -> None:
    out = tmp_path / "result.json"
    done = subprocess.run(
        [sys.executable, SOAK, "--minutes", "0.5", "--json", "--out", out],
        capture_output=True,
        text=True,
        check=False,
    )
    result = json.loads(out.read_text())
    assert (result["wrong"], result["failed"]) == ([], []), done.stderr[-2000:]
    figures = result["figures"]
    assert figures["answers"] > 0
    assert figures["restarts"] >= 2
    must_be_nothing = (
        "receipts_missing", "unclean_ends", "over_budget_cents", "leaked_processes", "leaked_reserved_dollars"
    )  # fmt: skip
    assert {name: figures[name] for name in must_be_nothing} == dict.fromkeys(must_be_nothing, 0)
    assert done.returncode == 0, done.stderr[-2000:]
