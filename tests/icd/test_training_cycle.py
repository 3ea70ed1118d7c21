"""The offline path with a real trainer: traces, data set, training with episodes as validation, gate, registry."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from icd.cli.app import run
from icd.offline.active import read_pointer
from icd.offline.registry import damaged, students
from icd_memory.store import Store

pytestmark = pytest.mark.filterwarnings("default")

TRAINING = """
model = "{model}"
device = "cpu"
steps = 2
batch_size = 2
max_length = 2048
[lora]
r = 2
"""
SETTINGS = """
[student]
kind = "transformers"
path = "{model}"
model = "tiny"
temperature = 0.0
history = 0
max_tokens = 24
[memory]
store = "{folder}/icd.db"
embedder = "hashing"
[run]
max_steps = 2
"""


@pytest.fixture
def place(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    """A folder with a student, its settings and a store of the expert's episodes."""
    from tiny_students import write_student

    model = write_student(tmp_path / "tiny", positions=4096)
    (tmp_path / "icd.toml").write_text(SETTINGS.format(model=model, folder=tmp_path))
    (tmp_path / "training.toml").write_text(TRAINING.format(model=model))
    assert run(["collect", "household", "-n", "8", *by(tmp_path), "--max-steps", "40"]) == 0
    capsys.readouterr()
    return tmp_path


def by(place: Path) -> list[str]:
    return ["--config", str(place / "icd.toml")]


def test_a_round_from_traces_to_the_gate(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["offline", "cycle", "household", str(place / "rounds"), *by(place)]
    command += ["--training", str(place / "training.toml"), "--licence", "mit", "--method", "student"]
    command += ["--episodes", "2", "--split", "dev", "--json"]
    assert run(command) == 1, "a random student is kept out, for cause"
    told = json.loads(capsys.readouterr().out)
    assert told["decision"] == "kept"
    assert len(told["runs"]) == 2
    with Store.open(place / "icd.db") as store:
        (student,) = students(store)
        assert (student.id, student.dataset) == (told["student"], told["dataset"])
        assert student.metrics["steps"] == 2
        assert not damaged(student)
        assert {"model.safetensors", "tokenizer.json"} <= {file.name for file in student.files}
        assert read_pointer(store).active is None
        seats = [store.run(id) for id in told["runs"]]
        names = [seat.config["conditions"]["student"]["model"] for seat in seats if seat is not None]
        assert (names[0].startswith("tiny-"), names[1]) == (True, "tiny")
    assert run(command) == 1
    assert json.loads(capsys.readouterr().out)["words"][0].startswith("nothing new")


def test_validation_plays_what_was_kept_out_as_it_was_trained(place: Path) -> None:
    from icd.offline.training.config import load_config
    from icd.offline.training.loading import load_student
    from icd.offline.training.run import train
    from icd.offline.training.validation import evaluator_for, held_out, runtime_settings
    from icd_envs.table import suite

    data = place / "data"
    assert run(["offline", "dataset", str(data), *by(place), "--validation", "0.4"]) == 0
    validation = {"every": 1, "tasks": 2, "max_steps": 2, "patience": 1}
    config = load_config(
        place / "training.toml", {"data": data, "output": place / "run", "validation": validation}
    )
    settings = runtime_settings(config)
    assert (settings.k, settings.max_tokens, settings.student_prompt.history_steps) == (0, 24, 0)
    trained = {json.loads(line)["task"] for line in (data / "examples.train.jsonl").read_text().splitlines()}
    assert trained.isdisjoint(task.id for task in held_out(config, suite("household")))
    evaluator = evaluator_for(config)
    assert evaluator is not None
    loaded = load_student(config, lambda text: None)
    assert evaluator(loaded.model, loaded.tokenizer) == (0, 2)
    result = train(config, evaluator=evaluator)
    assert result.best_step == 1
    assert "stalled" in result.stopped
    assert "validation_won" in (place / "run/metrics.csv").read_text()
