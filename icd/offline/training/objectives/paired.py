"""A trainer whose examples are two sequences each: TRL's, with another loss of the two halves of a batch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor
from trl import SFTConfig, SFTTrainer

from icd.offline.training.losses import token_log_probs
from icd.offline.training.masks import Masked
from icd.offline.training.objectives.given import Given, dataset, masked_columns, padded

Halves = tuple[Tensor, Tensor]
"""Log-probabilities of a half's next tokens, and where one is learnt."""


class PairedTrainer(SFTTrainer):  # type: ignore[misc]
    """Computes a loss of the first and of the second sequences of its examples."""

    def __init__(
        self,
        given: Given,
        pairs: Sequence[tuple[Masked, ...]],
        loss: Callable[[Halves, Halves], tuple[Tensor, dict[str, float]]],
    ) -> None:
        """Prepare; `loss` returns the loss and metrics."""
        first, second = zip(*pairs, strict=True)
        pad = given.student.tokenizer.pad_token_id
        super().__init__(
            given.student.model,
            SFTConfig(
                **given.arguments,
                remove_unused_columns=False,
                dataset_kwargs={"skip_prepare_dataset": True},
            ),
            data_collator=lambda rows: _batch(rows, pad),
            train_dataset=dataset(masked_columns(first, "first_") | masked_columns(second, "second_")),
            processing_class=given.student.tokenizer,
            peft_config=given.adapter,
        )
        self._loss = loss
        # The loss is a mean of pairs: the trainer divides it by the passes that it accumulates.
        self.model_accepts_loss_kwargs = False

    def compute_loss(
        self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """Return the loss of a batch: its first half are the first sequences."""
        out = model(input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"], use_cache=False)
        log_probs, learnt = token_log_probs(out.logits, inputs["labels"])
        half = len(log_probs) // 2
        loss, metrics = self._loss((log_probs[:half], learnt[:half]), (log_probs[half:], learnt[half:]))
        # The same in every process: one of them may stop the run.
        means = self.accelerator.reduce(loss.new_tensor(list(metrics.values())), reduction="mean").tolist()
        for name, value in zip(metrics, means, strict=True):
            self._metrics["train" if model.training else "eval"][name].append(value)
        return (loss, out) if return_outputs else loss


def _batch(rows: list[dict[str, Any]], pad: int) -> dict[str, Any]:
    halves = [
        (row[f"{which}input_ids"], row[f"{which}labels"]) for which in ("first_", "second_") for row in rows
    ]
    return padded(halves, pad)
