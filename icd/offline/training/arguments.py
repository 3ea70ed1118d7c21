"""The arguments of TRL's trainers, from the configuration. Pure: builds a dictionary, opens nothing."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

from icd.offline.training.config import TrainingConfig

CHECKPOINTS = "checkpoints"
_KEPT = 2
"""Checkpoints: the latest may have been cut off by a kill."""
PATIENCE_S = 6 * 3600
"""For which processes wait for each other: one of them plays the episodes of a validation."""


def arguments(config: TrainingConfig, *, cuda: bool, bf16: bool) -> dict[str, Any]:
    """Return the arguments that all objectives share."""
    return {
        "output_dir": str(config.output / CHECKPOINTS),
        "seed": config.seed,
        "data_seed": config.seed,
        "per_device_train_batch_size": config.batch_size,
        "gradient_accumulation_steps": config.accumulate,
        "max_steps": config.steps or -1,
        "num_train_epochs": config.epochs,
        "learning_rate": config.rate,
        "lr_scheduler_type": "cosine",
        "warmup_steps": config.warmup,
        "weight_decay": config.weight_decay,
        "max_length": config.max_length,
        "bf16": bf16,
        "use_cpu": not cuda,
        "dataloader_pin_memory": cuda,
        "gradient_checkpointing": config.gradient_checkpointing,
        "logging_steps": config.log_every,
        "logging_first_step": True,
        "save_steps": config.save_every,
        "save_total_limit": _KEPT,
        "ddp_timeout": PATIENCE_S,
        "report_to": ["tensorboard"] if find_spec("tensorboard") else [],
        "disable_tqdm": True,
    }
