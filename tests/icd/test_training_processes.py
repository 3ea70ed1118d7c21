"""Several processes that train together compute what one does with the same rows in a step."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("trl", reason="the extra `train` is not installed")

from tiny_students import example_rows, pair_rows, write_rows, write_student

from icd.errors import ConfigurationError
from icd.offline.training.config import TrainingConfig, load_config
from icd.offline.training.run import train

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("default")]

ICD = "import sys, torch; torch.set_num_threads(1); from icd.cli import main; sys.exit(main())"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_student(tmp_path / "student")
    write_rows(tmp_path / "rows.jsonl", example_rows())
    write_rows(tmp_path / "pairs.jsonl", pair_rows())
    return tmp_path


def configured(folder: Path, output: str, objective: str, batch_size: int) -> TrainingConfig:
    values: dict[str, Any] = {
        "model": str(folder / "student"),
        "data": str(folder / ("rows.jsonl" if objective == "sft" else "pairs.jsonl")),
        "output": str(folder / output),
        "objective": objective,
        "device": "cpu",
        "max_length": 256,
        "batch_size": batch_size,
        "steps": 4,
        "learning_rate": 1e-2,
    }
    return load_config(None, values)


def losses(config: TrainingConfig) -> list[float]:
    with (config.output / "metrics.csv").open(newline="") as file:
        return [float(row["loss"]) for row in csv.DictReader(file) if row["loss"]]


def started(folder: Path, config: TrainingConfig) -> str:
    """Train in two processes of torchrun; return what they said."""
    (folder / "icd_here.py").write_text(ICD)
    given = config.model_dump(mode="json", exclude_defaults=True)
    settings = [f"--set={name}={json.dumps(value)}" for name, value in given.items()]
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    done = subprocess.run(
        [*command, str(folder / "icd_here.py"), "offline", "train", *settings],
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3_000:]
    return done.stdout


@pytest.mark.parametrize("objective", ["sft", "redi", "dpo"])
def test_two_processes_learn_what_one_does_with_twice_the_batch(objective: str, folder: Path) -> None:
    one = configured(folder, "one", objective, 4)
    train(one)
    two = configured(folder, "two", objective, 2)
    said = started(folder, two)
    assert losses(two) == pytest.approx(losses(one), rel=1e-4)
    assert said.count("4 steps on") == 1, "the result is told once"
    assert (two.output / "student" / "adapter_config.json").is_file()


def test_ray_starts_the_same_processes(folder: Path) -> None:
    pytest.importorskip("ray.train", reason="the extra `ray` is not installed")
    from icd.offline.training.on_ray import train_on_ray
    from icd.ray_cluster import joined

    one = configured(folder, "one", "sft", 4)
    train(one)
    two = configured(folder, "two", "sft", 2)
    with joined("local", 2):
        result = train_on_ray(two, 2)
        assert losses(two) == pytest.approx(losses(one), rel=1e-4)
        assert result == type(result)(**json.loads((two.output / "result.json").read_text()))
        other = two.model_copy(update={"seed": 7})
        with pytest.raises(ConfigurationError, match="holds a run with other settings"):
            train_on_ray(other, 2)
