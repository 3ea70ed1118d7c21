"""A training run: put together, gone on with where it was cut off, and its result written down.

A run's folder holds ``run.json`` (what it is: the configuration, the data's and the model's fingerprints, the versions),
``checkpoints``, ``metrics.csv``, and, when it is done, ``student`` (the adapter or the whole model) and ``result.json``.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import time
import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import timedelta
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

from accelerate import PartialState
from transformers import PrinterCallback, set_seed

from icd.errors import ConfigurationError
from icd.offline.examples import EXAMPLES, PAIRS, file_of
from icd.offline.training.arguments import CHECKPOINTS, PATIENCE_S, arguments
from icd.offline.training.callbacks import (
    Evaluator,
    Metrics,
    Progressed,
    Validates,
    validations,
    write_metrics,
)
from icd.offline.training.config import Objective, TrainingConfig
from icd.offline.training.loading import adapter, in_bf16, load_student, on_cuda
from icd.offline.training.monitor import judge
from icd.offline.training.objectives import objective_module
from icd.offline.training.objectives.given import Given
from icd.offline.training.rows import read_rows

RUN, RESULT, METRICS, STUDENT = "run.json", "result.json", "metrics.csv", "student"

_FROM_PAIRS: frozenset[Objective] = frozenset({"dpo", "redi"})
_TOLD = ("torch", "transformers", "trl", "peft", "accelerate")
_MAY_CHANGE = ("output", "save_every", "log_every")
"""Settings that do not change what a run computes."""


@dataclass(frozen=True, slots=True)
class TrainingResult:
    """What came of a run."""

    student: str
    """The folder of the adapter or of the whole model."""
    tuning: Literal["lora", "full"]
    steps: int
    """Optimiser steps that were done, those before an interruption included."""
    examples: int
    loss: float
    """The last one logged."""
    first_loss: float
    seconds_per_step: float | None
    """Of the steps that this process did; None: it did none."""
    stopped: str
    """Why it ended early; empty: it did not."""
    best_step: int | None
    """Of the validation with most success; None: none was made."""


def data_file(config: TrainingConfig) -> Path:
    """Return the file of rows that a run learns from: as given, or the one in a data set's folder."""
    if not config.data.is_dir():
        return config.data
    return file_of(config.data, PAIRS if config.objective in _FROM_PAIRS else EXAMPLES, "train")


def train(
    config: TrainingConfig,
    *,
    evaluator: Evaluator | None = None,
    fresh: bool = False,
    on_step: Callable[[Progressed], None] = lambda progressed: None,
    say: Callable[[str], None] = lambda text: None,
) -> TrainingResult:
    """Train a student; a run that was cut off goes on from its last whole checkpoint.

    Where a launcher started several processes (`torchrun`, `accelerate launch`, Ray Train), each calls this, and they
    train together: the first claims the folder, validates, tells and writes. They share the folder.

    Args:
        config: the run.
        evaluator: plays held-out episodes; needed where the configuration validates.
        fresh: start anew in a folder that holds another run, or the same.
        on_step: is told of every optimiser step.
        say: is told what happens.

    Raises:
        ConfigurationError: the traces, the teacher, the device or the folder do not fit the configuration.
        ModelFilesError: weights are missing or cannot be read.
    """
    together = PartialState(cpu=not on_cuda(config), timeout=timedelta(seconds=PATIENCE_S))
    if not together.is_main_process:
        say = _silent
    file = data_file(config)
    # Whatever is refused, all processes refuse: none is left waiting for the others.
    given = Given(
        config, read_rows(file), load_student(config, say), _arguments(config), _adapter(config), say
    )
    set_seed(config.seed)
    trainer = objective_module(config.objective).prepare(given)
    identity = _identity(config, file, given.student.folder)
    if not fresh:
        _check_same(config, identity)
    together.wait_for_everyone()
    if together.is_main_process:
        _claim(config, identity, fresh)
    together.wait_for_everyone()
    _watch(trainer, config, given, evaluator, on_step)
    last = last_checkpoint(config.output / CHECKPOINTS)
    if last is not None:
        say(f"going on from {last}")
    before = int(last.name.rpartition("-")[2]) if last is not None else 0
    started = time.perf_counter()
    with warnings.catch_warnings():
        # PyTorch saves and reads its optimiser state in ways that later versions deprecate.
        warnings.simplefilter("ignore")
        trainer.train(resume_from_checkpoint=str(last) if last is not None else None)
    return _finish(trainer, config, given, time.perf_counter() - started, before)


def last_checkpoint(folder: Path) -> Path | None:
    """Return the last checkpoint that was written whole: the trainer's state is the last file of each."""
    whole = [path for path in folder.glob("checkpoint-*") if _is_whole(path)]
    return max(whole, key=lambda path: int(path.name.rpartition("-")[2]), default=None)


def _is_whole(checkpoint: Path) -> bool:
    try:
        json.loads((checkpoint / "trainer_state.json").read_text("utf-8"))
    except (OSError, ValueError):
        return False
    return True


def _arguments(config: TrainingConfig) -> dict[str, Any]:
    cuda = on_cuda(config)
    return arguments(config, cuda=cuda, bf16=in_bf16(config, cuda))


def _adapter(config: TrainingConfig) -> Any:
    return adapter(config.lora) if config.tuning == "lora" else None


def _watch(
    trainer: Any,
    config: TrainingConfig,
    given: Given,
    evaluator: Evaluator | None,
    on_step: Callable[[Progressed], None],
) -> None:
    trainer.remove_callback(PrinterCallback)
    if config.validation.every:
        if evaluator is None:
            raise ConfigurationError("validation.every is set, and nothing was given that plays the episodes")
        trainer.add_callback(Validates(config.validation, evaluator, given.stopped))
    trainer.add_callback(Metrics(config.output / METRICS, on_step))


def _identity(config: TrainingConfig, file: Path, folder: Path) -> dict[str, Any]:
    """Return what makes a run this run, and what it was made with."""
    settings = config.model_dump(mode="json")
    same = {key: value for key, value in settings.items() if key not in _MAY_CHANGE}
    data = hashlib.sha256(file.read_bytes()).hexdigest()
    weights = hashlib.sha256((folder / "config.json").read_bytes()).hexdigest()
    key = hashlib.sha256(json.dumps([same, data, weights], sort_keys=True).encode()).hexdigest()
    versions = {name: version(name) for name in _TOLD}
    return {"fingerprint": key, "data_sha256": data, "config": settings, "versions": versions}


def _check_same(config: TrainingConfig, identity: dict[str, Any]) -> None:
    """Refuse a folder that holds another run."""
    path = config.output / RUN
    if path.is_file() and json.loads(path.read_text("utf-8"))["fingerprint"] != identity["fingerprint"]:
        raise ConfigurationError(
            f"{config.output} holds a run with other settings or other data: name another folder, "
            "or --fresh to replace it"
        )


def _claim(config: TrainingConfig, identity: dict[str, Any], fresh: bool) -> None:
    """Take the run's folder."""
    if fresh:
        forget(config)
    config.output.mkdir(parents=True, exist_ok=True)
    (config.output / RUN).write_text(json.dumps(identity, indent=2) + "\n", "utf-8")


def forget(config: TrainingConfig) -> None:
    """Remove what a run would go on from."""
    shutil.rmtree(config.output / CHECKPOINTS, ignore_errors=True)
    (config.output / RUN).unlink(missing_ok=True)


def _silent(text: str) -> None:
    pass


def _finish(
    trainer: Any, config: TrainingConfig, given: Given, seconds: float, before: int
) -> TrainingResult:
    """Save the student and write the result down."""
    history = trainer.state.log_history
    losses = [row["loss"] for row in history if "loss" in row]
    played = validations(history)
    settings = config.validation
    verdict = judge(played, patience=settings.patience, fall=settings.fall) if played else None
    done = trainer.state.global_step - before
    result = TrainingResult(
        student=str(config.output / STUDENT),
        tuning=config.tuning,
        steps=trainer.state.global_step,
        examples=len(trainer.train_dataset),
        loss=losses[-1],
        first_loss=losses[0],
        seconds_per_step=seconds / done if done > 0 else None,
        stopped="; ".join(given.stopped),
        best_step=verdict.best.step if verdict else None,
    )
    trainer.save_model(str(config.output / STUDENT))
    if trainer.is_world_process_zero():
        given.student.tokenizer.save_pretrained(config.output / STUDENT)
        write_metrics(config.output / METRICS, history)
        (config.output / RESULT).write_text(json.dumps(asdict(result), indent=2) + "\n", "utf-8")
    return result
