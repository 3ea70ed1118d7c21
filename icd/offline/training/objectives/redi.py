"""Reinforcement distillation: winning traces up, losing traces less than that down (arXiv 2505.24850).

Needs pairs. Meant after `sft`, with a low rate; stops when the winners' own log-probability falls.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor

from icd.offline.training.callbacks import WINNERS, StopsCollapse
from icd.offline.training.losses import mean_log_prob, redi
from icd.offline.training.masks import mask_turns
from icd.offline.training.objectives.given import Given
from icd.offline.training.objectives.paired import Halves, PairedTrainer


def prepare(given: Given) -> Any:
    """Return the trainer. Raises `ConfigurationError` where there are no losing traces."""
    tokenizer, style = given.student.tokenizer, given.config.style
    made = [
        (better, worse)
        for pair in given.pairs()
        for better, worse in zip(
            mask_turns(pair.better, tokenizer, style), mask_turns(pair.worse, tokenizer, style), strict=True
        )
    ]
    settings = given.config.redi

    def loss(winners: Halves, losers: Halves) -> tuple[Tensor, dict[str, float]]:
        up, down = mean_log_prob(*winners), mean_log_prob(*losers)
        told = {WINNERS: float(up.mean().detach()), "losers_logp": float(down.mean().detach())}
        return redi(up, down, settings.alpha), told

    trainer = PairedTrainer(given, given.short_enough(made), loss)
    trainer.add_callback(StopsCollapse(settings.collapse, given.stopped))
    return trainer
