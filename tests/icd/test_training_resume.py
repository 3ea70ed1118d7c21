"""A run killed with SIGKILL goes on from its last checkpoint, and ends where an uninterrupted one does."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("trl", reason="the extra `train` is not installed")

from tiny_students import example_rows, write_rows, write_student

from icd.offline.training.config import load_config
from icd.offline.training.run import last_checkpoint, train

pytestmark = pytest.mark.filterwarnings("default")


def values(tmp_path: Path, output: str, **changed: Any) -> dict[str, Any]:
    return {
        "model": str(tmp_path / "student"),
        "data": str(tmp_path / "rows.jsonl"),
        "output": str(tmp_path / output),
        "device": "cpu",
        "max_length": 256,
        "batch_size": 2,
        "steps": 8,
        "learning_rate": 1e-2,
        "save_every": 2,
        "lora": {"dropout": 0.1},
        "onpolicy": {"share": 0.5, "max_new_tokens": 6},
        **changed,
    }


def losses(folder: Path) -> list[tuple[int, float]]:
    with (folder / "metrics.csv").open(newline="") as file:
        return [(int(row["step"]), float(row["loss"])) for row in csv.DictReader(file) if row["loss"]]


@pytest.fixture
def prepared(tmp_path: Path) -> Path:
    write_student(tmp_path / "student")
    write_student(tmp_path / "teacher", seed=7)
    write_rows(tmp_path / "rows.jsonl", example_rows())
    return tmp_path


@pytest.mark.slow
@pytest.mark.parametrize("objective", ["sft", "onpolicy"])
def test_a_killed_run_ends_as_an_uninterrupted_one(objective: str, prepared: Path) -> None:
    teacher = {"teacher": str(prepared / "teacher")} if objective == "onpolicy" else {}
    whole = values(prepared, "whole", objective=objective, **teacher)
    killed = values(prepared, "killed", objective=objective, **teacher)
    (prepared / "killed.json").write_text(json.dumps(killed))
    script = Path(__file__).with_name("killed_training.py")
    command = [sys.executable, str(script), str(prepared / "killed.json")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if int(line) == 5:
                process.send_signal(signal.SIGKILL)
                break
    assert process.returncode == -signal.SIGKILL
    assert last_checkpoint(prepared / "killed/checkpoints") is not None
    assert not (prepared / "killed/result.json").exists()
    said: list[str] = []
    resumed = train(load_config(None, killed), say=said.append)
    assert said[0].startswith("going on from")
    uninterrupted = train(load_config(None, whole))
    assert resumed.loss == uninterrupted.loss
    assert losses(prepared / "killed") == losses(prepared / "whole")
    assert [step for step, _ in losses(prepared / "killed")] == list(range(1, 9))


def test_a_checkpoint_that_was_cut_off_is_passed_over(tmp_path: Path) -> None:
    for number, state in ((2, "{}"), (4, '{"global_st'), (10, None)):
        folder = tmp_path / f"checkpoint-{number}"
        folder.mkdir()
        if state is not None:
            (folder / "trainer_state.json").write_text(state)
    found = last_checkpoint(tmp_path)
    assert found is not None
    assert found.name == "checkpoint-2"
    assert last_checkpoint(tmp_path / "none") is None
