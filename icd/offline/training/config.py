"""What a training run is: one model, read from a TOML file and arguments, the latter winning. Loads nothing heavy."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from icd.config_errors import explain, in_brief
from icd.errors import ConfigurationError

Objective = Literal["sft", "step_by_step", "redi", "dpo", "topk", "onpolicy", "crosstokenizer"]

_SLOW: frozenset[Objective] = frozenset({"dpo", "redi"})
"""Objectives that push probabilities down, and collapse at the rates at which others learn."""
_LORA_FACTOR = 10
"""Adapters take rates about ten times as high as whole models do."""


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class LoraSettings(_Table):
    """The adapter."""

    r: int = Field(default=16, ge=1)
    alpha: int = Field(default=32, ge=1)
    dropout: float = Field(default=0.0, ge=0, lt=1)
    targets: tuple[str, ...] = ()
    """Names of the adapted modules; none: every linear layer but the head."""


class StepByStepSettings(_Table):
    """Distilling step by step (arXiv 2305.02301)."""

    alpha: float = Field(default=0.5, ge=0, le=1)
    """Weight of the action's loss; the rationale's has the rest."""


class RediSettings(_Table):
    """Reinforcement distillation (arXiv 2505.24850)."""

    alpha: float = Field(default=0.8, ge=0, le=1)
    """Weight of the losing traces; 1 collapses."""
    collapse: float = Field(default=0.5, gt=0)
    """Stop when the winners' log-probability a token has fallen by so much, in nats."""


class DpoSettings(_Table):
    """Direct preference optimisation."""

    beta: float = Field(default=0.1, gt=0)


class TopkSettings(_Table):
    """FIRST (arXiv 2408.12168)."""

    k: int = Field(default=5, ge=1)
    temperature: float = Field(default=1.0, gt=0)
    """Recalibrates the teacher's k probabilities; above 1 is softer."""


class OnPolicySettings(_Table):
    """GKD's mix of texts with TAID's moving target (arXiv 2306.13649, 2501.16937)."""

    share: float = Field(default=0.5, ge=0, le=1)
    """Of batches whose answers the student writes itself."""
    max_new_tokens: int = Field(default=48, ge=1)
    """Of such an answer."""
    t_start: float = Field(default=0.4, ge=0, lt=1)
    """The teacher's share of the target at the beginning."""
    t_end: float = Field(default=1.0, gt=0, le=1)
    t_rate: float = Field(default=5e-4, ge=0, le=1)
    """How fast the share may run ahead of a straight line."""
    t_momentum: float = Field(default=0.99, ge=0, lt=1)


class CrossTokenizerSettings(_Table):
    """GOLD's universal logit distillation (arXiv 2402.12030)."""

    text_weight: float = Field(default=1.0, ge=0)
    """Weight of the plain next-token loss beside it: matching sorted probabilities alone does not say which token."""


class ValidationSettings(_Table):
    """Validation by episodes of held-out training tasks."""

    every: int = Field(default=0, ge=0)
    """Optimiser steps between two; 0: none."""
    environment: str = "household"
    split: str = "train"
    tasks: int = Field(default=8, ge=1)
    """Episodes of each validation. They are the last of the split: leave them out of the data set."""
    max_steps: int = Field(default=30, ge=1)
    patience: int = Field(default=3, ge=1)
    """Validations without more success, while imitation improves, after which the run stops."""
    fall: float = Field(default=0.25, gt=0, le=1)
    """Loss of success since the best validation at which it stops at once."""


class TrainingConfig(_Table):
    """A training run."""

    objective: Objective = "sft"
    model: str
    """The student: a checkpoint folder, a GGUF file, or a name of the catalogue."""
    data: Path
    """A data set's folder, or a file of its rows (JSON lines or Parquet)."""
    output: Path
    """A folder for checkpoints, metrics and the result."""
    teacher: str | None = None
    """A white-box teacher, given as `model` is; for `onpolicy` and `crosstokenizer`."""
    style: Literal["plain", "chat"] = "plain"
    """How messages become a prompt: as the student's backend does it."""
    tuning: Literal["lora", "full"] = "lora"
    lora: LoraSettings = LoraSettings()
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """auto: CUDA where there is one."""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """auto: bf16 on CUDA, fp32 on a CPU."""
    load_4bit: bool = False
    """Hold the base in 4 bits (bitsandbytes, CUDA, with `lora`)."""
    packing: bool = False
    """Put several examples into one sequence (`sft`)."""
    gradient_checkpointing: bool = False
    """Compute activations twice instead of keeping them."""
    max_length: int = Field(default=1024, ge=8)
    """Tokens; longer examples are left out, and counted."""
    batch_size: int = Field(default=8, ge=1)
    """Examples a device and forward pass."""
    accumulate: int = Field(default=1, ge=1)
    """Forward passes an optimiser step."""
    steps: int | None = Field(default=None, ge=1)
    """Optimiser steps; by default as many as `epochs` are."""
    epochs: float = Field(default=1.0, gt=0)
    learning_rate: float | None = Field(default=None, gt=0)
    """By default 2e-4 with an adapter; 1e-5 for `dpo` and `redi`; a tenth of it without."""
    warmup: float = Field(default=0.05, ge=0, lt=1)
    """Share of the steps in which the rate rises; then it falls along a cosine."""
    weight_decay: float = Field(default=0.0, ge=0)
    seed: int = Field(default=0, ge=0)
    save_every: int = Field(default=50, ge=1)
    """Optimiser steps between two checkpoints, from which a killed run goes on."""
    log_every: int = Field(default=1, ge=1)
    step_by_step: StepByStepSettings = StepByStepSettings()
    redi: RediSettings = RediSettings()
    dpo: DpoSettings = DpoSettings()
    topk: TopkSettings = TopkSettings()
    onpolicy: OnPolicySettings = OnPolicySettings()
    crosstokenizer: CrossTokenizerSettings = CrossTokenizerSettings()
    validation: ValidationSettings = ValidationSettings()

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.load_4bit and self.tuning != "lora":
            raise ValueError("load_4bit needs tuning = 'lora': weights of 4 bits are not trained")
        if self.load_4bit and self.device == "cpu":
            raise ValueError("load_4bit needs CUDA (bitsandbytes)")
        if self.packing and self.objective != "sft":
            raise ValueError(f"packing is for sft: {self.objective} needs its examples apart")
        if self.onpolicy.t_start > self.onpolicy.t_end:
            raise ValueError("onpolicy.t_start is above onpolicy.t_end")
        return self

    @property
    def rate(self) -> float:
        """The learning rate: as given, or the objective's own."""
        if self.learning_rate is not None:
            return self.learning_rate
        with_adapter = 1e-5 if self.objective in _SLOW else 2e-4
        return with_adapter if self.tuning == "lora" else with_adapter / _LORA_FACTOR


def load_config(file: Path | None, arguments: Mapping[str, Any]) -> TrainingConfig:
    """Read a run's configuration; `arguments` win over the file, nested as in it.

    Relative paths count from the current folder.

    Raises:
        ConfigurationError: a key is unknown, missing or wrong; it is named, with where it was set.
    """
    values: dict[str, Any] = {}
    if file is not None:
        try:
            values = tomllib.loads(file.read_text("utf-8"))
        except (OSError, ValueError, RecursionError) as error:
            raise ConfigurationError(f"{file} cannot be read: {in_brief(error)}") from error
    try:
        return TrainingConfig.model_validate(_merged(values, arguments))
    except ValidationError as error:
        raise ConfigurationError(explain(error, TrainingConfig, file, arguments)) from error


def _merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(below)
    for key, value in above.items():
        inner = merged.get(key)
        if isinstance(value, Mapping):
            merged[key] = _merged(inner if isinstance(inner, Mapping) else {}, value)
        else:
            merged[key] = value
    return merged
