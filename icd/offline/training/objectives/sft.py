"""Supervised fine-tuning on the student's own turns: TRL's trainer on our masks. Needs conversations."""

from __future__ import annotations

from typing import Any

from trl import SFTConfig, SFTTrainer

from icd.offline.training.masks import mask
from icd.offline.training.objectives.given import Given, dataset, masked_columns


def prepare(given: Given) -> Any:
    """Return the trainer. Raises `ConfigurationError` where there is nothing to learn from."""
    made = [
        (one,)
        for row in given.conversations()
        for one in mask(row, given.student.tokenizer, given.config.style)
    ]
    examples = [one for (one,) in given.short_enough(made)]
    return SFTTrainer(
        given.student.model,
        SFTConfig(**given.arguments, packing=given.config.packing),
        train_dataset=dataset(masked_columns(examples)),
        processing_class=given.student.tokenizer,
        peft_config=given.adapter,
    )
