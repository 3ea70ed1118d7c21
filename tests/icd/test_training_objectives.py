"""Every objective on a tiny random student: the loss falls, and what is missing is refused. Needs PyTorch and TRL."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("trl", reason="the extra `train` is not installed")

from tiny_students import example_rows, logprob_rows, pair_rows, write_rows, write_student

from icd.errors import ConfigurationError
from icd.offline.training.config import TrainingConfig, load_config
from icd.offline.training.run import train

pytestmark = pytest.mark.filterwarnings("default")
OBJECTIVES = ("sft", "step_by_step", "redi", "dpo", "topk", "onpolicy", "crosstokenizer")


@pytest.fixture(scope="module")
def student(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_student(tmp_path_factory.mktemp("student"))


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_student(tmp_path_factory.mktemp("teacher"), seed=7)


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_student(tmp_path_factory.mktemp("stranger"), seed=9, merges=("t a", "ta k", "o n", "d e"))


def rows_for(objective: str, student: Path) -> list[dict[str, Any]]:
    if objective in ("dpo", "redi"):
        return pair_rows()
    return logprob_rows(student) if objective == "topk" else example_rows()


def config_for(objective: str, tmp_path: Path, student: Path, **changed: Any) -> TrainingConfig:
    data = tmp_path / f"{objective}.jsonl"
    if not data.exists():
        write_rows(data, rows_for(objective, student))
    values = {
        "objective": objective,
        "model": str(student),
        "data": str(data),
        "output": str(tmp_path / "run"),
        "device": "cpu",
        "max_length": 256,
        "batch_size": 4,
        "steps": 12,
        "learning_rate": 1e-2,
        "warmup": 0,
        "save_every": 6,
        "onpolicy": {"share": 0.5, "max_new_tokens": 6, "t_start": 0.4},
        **changed,
    }
    return load_config(None, values)


@pytest.mark.parametrize("tuning", ["lora", "full"])
@pytest.mark.parametrize("objective", OBJECTIVES)
def test_the_loss_falls(
    objective: str, tuning: str, tmp_path: Path, student: Path, teacher: Path, stranger: Path
) -> None:
    whose = {"onpolicy": str(teacher), "crosstokenizer": str(stranger)}.get(objective)
    # A target and texts that stay the same, so that losses can be compared.
    still = {"share": 0.0, "t_start": 0.9, "t_end": 0.9} if objective == "onpolicy" else {}
    config = config_for(objective, tmp_path, student, teacher=whose, tuning=tuning, onpolicy=still)
    result = train(config)
    with (tmp_path / "run/metrics.csv").open(newline="") as file:
        losses = [float(row["loss"]) for row in csv.DictReader(file) if row["loss"]]
    assert len(losses) == 12
    assert losses[-1] < losses[0], losses
    assert result.loss == losses[-1]
    assert json.loads((tmp_path / "run/result.json").read_text())["steps"] == 12
    saved = "adapter_model.safetensors" if tuning == "lora" else "model.safetensors"
    assert (tmp_path / "run/student" / saved).is_file()


@pytest.mark.parametrize(
    ("objective", "rows", "said"),
    [
        ("sft", pair_rows, "learns from conversations"),
        ("dpo", example_rows, "learns from pairs"),
        ("redi", example_rows, "learns from pairs"),
        ("topk", example_rows, "needs the teacher's log-probabilities"),
        ("onpolicy", example_rows, "give teacher = "),
        ("crosstokenizer", example_rows, "give teacher = "),
    ],
)
def test_what_the_traces_or_the_teacher_lack_is_refused(
    objective: str, rows: Any, said: str, tmp_path: Path, student: Path
) -> None:
    write_rows(tmp_path / f"{objective}.jsonl", rows())
    with pytest.raises(ConfigurationError, match=said):
        train(config_for(objective, tmp_path, student))


def test_reasoning_that_is_not_there_is_refused(tmp_path: Path, student: Path) -> None:
    rows = example_rows()
    for row in rows:
        row["messages"][-1]["content"] = "Action: look"
        row["reasoning"] = ""
    write_rows(tmp_path / "step_by_step.jsonl", rows)
    with pytest.raises(ConfigurationError, match="has both"):
        train(config_for("step_by_step", tmp_path, student))


def test_teachers_are_for_their_objectives(
    tmp_path: Path, student: Path, teacher: Path, stranger: Path
) -> None:
    with pytest.raises(ConfigurationError, match="vocabularies differ: take crosstokenizer"):
        train(config_for("onpolicy", tmp_path, student, teacher=str(stranger)))
    with pytest.raises(ConfigurationError, match="has the student's: take onpolicy"):
        train(config_for("crosstokenizer", tmp_path, student, teacher=str(teacher)))


def test_log_probabilities_of_another_tokenizer_are_refused(tmp_path: Path, student: Path) -> None:
    rows = logprob_rows(student)
    for row in rows:
        for token in row["messages"][-1]["logprobs"]["content"]:
            token["token"] = "??"
    write_rows(tmp_path / "topk.jsonl", rows)
    with pytest.raises(ConfigurationError, match="student's own tokenizer"):
        train(config_for("topk", tmp_path, student))


def test_long_examples_are_left_out_and_counted(tmp_path: Path, student: Path) -> None:
    rows = example_rows()
    rows[0]["messages"][1]["content"] = "a long story " * 60
    write_rows(tmp_path / "sft.jsonl", rows)
    said: list[str] = []
    config = config_for("sft", tmp_path, student, steps=1)
    assert train(config, say=said.append).examples == 3
    assert said[0].startswith("1 of 4 examples left out")
    with pytest.raises(ConfigurationError, match="none of 4 examples"):
        train(config_for("sft", tmp_path, student, max_length=8, output=str(tmp_path / "other")))


def test_packed_examples_do_not_see_one_another(tmp_path: Path, student: Path) -> None:
    """The loss of one packed batch is that of the examples apart."""
    both = [
        train(
            config_for(
                "sft",
                tmp_path,
                student,
                steps=1,
                packing=packing,
                max_length=512,
                output=str(tmp_path / name),
            )
        ).first_loss
        for name, packing in (("apart", False), ("packed", True))
    ]
    assert both[1] == pytest.approx(both[0], rel=1e-3)


def test_the_same_seed_gives_the_same_run_and_another_folder_is_asked_for(
    tmp_path: Path, student: Path
) -> None:
    losses = [
        train(
            config_for("sft", tmp_path, student, steps=3, output=str(tmp_path / name), lora={"dropout": 0.1})
        ).loss
        for name in ("first", "second")
    ]
    assert losses[0] == losses[1]
    with pytest.raises(ConfigurationError, match="holds a run with other settings"):
        train(config_for("sft", tmp_path, student, steps=3, output=str(tmp_path / "first"), seed=1))


def test_collapsing_winners_stop_redi(tmp_path: Path, student: Path) -> None:
    config = config_for(
        "redi",
        tmp_path,
        student,
        tuning="full",
        learning_rate=0.3,
        steps=40,
        redi={"alpha": 1.0, "collapse": 0.1},
    )
    result = train(config)
    assert "collapses" in result.stopped
    assert result.steps < 40


def test_teacher_hacking_stops_the_run(tmp_path: Path, student: Path) -> None:
    """Imitation improves, episodes do not: the run stops, says so, and names the best checkpoint."""
    played: list[int] = []

    def evaluator(model: Any, tokenizer: Any) -> tuple[int, int]:
        assert not model.training
        assert tokenizer.pad_token_id is not None
        played.append(len(played))
        return (5, 8) if len(played) == 1 else (1, 8)

    config = config_for("sft", tmp_path, student, steps=30, validation={"every": 3})
    result = train(config, evaluator=evaluator)
    assert len(played) == 2
    assert result.steps == 6
    assert result.best_step == 3
    assert "success fell (5 of 8 at step 3, 1 of 8 at step 6)" in result.stopped
