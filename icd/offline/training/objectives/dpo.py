"""Direct preference optimisation: TRL's trainer on our masks. Needs pairs; meant after `sft`, with a low rate."""

from __future__ import annotations

from typing import Any

from trl import DPOConfig, DPOTrainer

from icd.offline.training.masks import Masked, mask_turns
from icd.offline.training.objectives.given import Given, dataset


class _MaskedDpoTrainer(DPOTrainer):  # type: ignore[misc]
    """TRL's, on examples that have their tokens already."""

    def _prepare_dataset(self, given: Any, *_: Any) -> Any:
        return given


def prepare(given: Given) -> Any:
    """Return the trainer. Raises `ConfigurationError` where there are no pairs."""
    tokenizer, style = given.student.tokenizer, given.config.style
    made = [
        (better, worse)
        for pair in given.pairs()
        for better, worse in zip(
            mask_turns(pair.better, tokenizer, style), mask_turns(pair.worse, tokenizer, style), strict=True
        )
    ]
    kept = given.short_enough(made)
    columns: dict[str, list[Any]] = {"prompt_ids": [], "chosen_ids": [], "rejected_ids": []}
    for better, worse in kept:
        start = _shared_prompt(better, worse)
        columns["prompt_ids"].append(list(better.input_ids[:start]))
        columns["chosen_ids"].append(list(better.input_ids[start:]))
        columns["rejected_ids"].append(list(worse.input_ids[start:]))
    return _MaskedDpoTrainer(
        given.student.model,
        args=DPOConfig(**given.arguments, beta=given.config.dpo.beta),
        train_dataset=dataset(columns),
        processing_class=tokenizer,
        peft_config=given.adapter,
    )


def _shared_prompt(better: Masked, worse: Masked) -> int:
    """Return how many tokens both answers come after."""
    shared = min(better.prompt_length, worse.prompt_length)
    return next((i for i in range(shared) if better.input_ids[i] != worse.input_ids[i]), shared)
