"""What watches a run: metrics as a file, progress, and the two reasons to stop early."""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from accelerate import PartialState
from accelerate.utils import broadcast_object_list
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from icd.offline.training.config import ValidationSettings
from icd.offline.training.monitor import Validation, collapsed, judge

WINNERS = "winners_logp"
"""The metric that REDI watches: log π(y⁺) a token."""


@dataclass(frozen=True, slots=True)
class Progressed:
    """An optimiser step is done."""

    step: int
    steps: int
    loss: float | None
    """None until the first was logged."""
    validation: tuple[int, int] | None = None
    """Held-out episodes that were won last, of how many; None: not yet."""


class Evaluator(Protocol):
    """Plays held-out episodes with the student as it is now."""

    def __call__(self, model: Any, tokenizer: Any) -> tuple[int, int]:
        """Return how many were won, and of how many."""


class Metrics(TrainerCallback):  # type: ignore[misc]
    """Writes every metric to a CSV file, and tells the progress.

    The file is made anew from the trainer's own history, so that a run that went on from a checkpoint has each step once.
    """

    def __init__(self, path: Path, on_step: Callable[[Progressed], None]) -> None:
        """Prepare; the file is written at the first metric."""
        self._path, self._on_step = path, on_step

    def on_log(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Write the file."""
        if state.is_world_process_zero:
            write_metrics(self._path, state.log_history)

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Tell the progress, once."""
        if not state.is_world_process_zero:
            return
        losses = [row["loss"] for row in state.log_history if "loss" in row]
        seen = validations(state.log_history)
        won = (seen[-1].won, seen[-1].episodes) if seen else None
        self._on_step(Progressed(state.global_step, state.max_steps, losses[-1] if losses else None, won))


class StopsCollapse(TrainerCallback):  # type: ignore[misc]
    """Stops when the winners' log-probability has fallen (REDI)."""

    def __init__(self, limit: float, stopped: list[str]) -> None:
        """Prepare; the reason to stop is added to `stopped`."""
        self._limit, self._stopped = limit, stopped

    def on_log(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Look at the winners."""
        seen = [row[WINNERS] for row in state.log_history if WINNERS in row]
        if collapsed(seen, self._limit) and not control.should_training_stop:
            self._stopped.append(
                f"the winners' log-probability a token fell from {seen[0]:.3f} to {seen[-1]:.3f}: more of this collapses"
            )
            control.should_training_stop = True


class Validates(TrainerCallback):  # type: ignore[misc]
    """Plays held-out episodes every so many steps, and stops when imitation improves while success does not."""

    def __init__(self, settings: ValidationSettings, evaluator: Evaluator, stopped: list[str]) -> None:
        """Prepare; the reason to stop is added to `stopped`."""
        self._settings, self._evaluator, self._stopped = settings, evaluator, stopped

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        model: Any = None,
        processing_class: Any = None,
        **_: Any,
    ) -> None:
        """Validate where it is time: at a log, so that this step's loss is known."""
        history = validations(state.log_history)
        due = state.global_step % self._settings.every == 0
        if not due or any(one.step == state.global_step for one in history):
            return
        last = history[-1].step if history else 0
        losses = [row["loss"] for row in state.log_history if "loss" in row and row["step"] > last]
        if not losses:
            return
        model.eval()
        played = [self._evaluator(model, processing_class) if PartialState().is_main_process else (0, 0)]
        won, episodes = broadcast_object_list(played)[0]  # All processes have to stop at the same step.
        model.train()
        state.log_history.append(
            {
                "step": state.global_step,
                "validation_imitation": sum(losses) / len(losses),
                "validation_won": won,
                "validation_episodes": episodes,
            }
        )
        verdict = judge(
            validations(state.log_history), patience=self._settings.patience, fall=self._settings.fall
        )
        if verdict.action == "stop":
            self._stopped.append(verdict.reason)
            control.should_training_stop = True


def validations(history: Sequence[dict[str, Any]]) -> list[Validation]:
    """Return the validations in a trainer's history."""
    return [
        Validation(
            row["step"], row["validation_imitation"], row["validation_won"], row["validation_episodes"]
        )
        for row in history
        if "validation_won" in row
    ]


def write_metrics(path: Path, history: Sequence[dict[str, Any]]) -> None:
    """Write a trainer's history as CSV, a row for each entry."""
    names = list(dict.fromkeys(["step", *(key for row in history for key in row)]))
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, names)
        writer.writeheader()
        writer.writerows(history)
