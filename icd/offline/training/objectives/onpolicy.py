"""On the student's own texts, towards a target that moves from the student to the teacher.

TRL's GKD writes the texts (arXiv 2306.13649); the target is TAID's (arXiv 2501.16937). Needs conversations, and a teacher
whose weights are here and whose vocabulary is the student's.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import torch
from trl.experimental.gkd import GKDConfig, GKDTrainer

from icd.errors import ConfigurationError
from icd.offline.training.loading import load_teacher
from icd.offline.training.losses import TaidState, taid
from icd.offline.training.masks import IGNORED, mask_turns
from icd.offline.training.objectives.given import Given, dataset, masked_columns, padded

_STATE = "taid"


def prepare(given: Given) -> Any:
    """Return the trainer. Raises `ConfigurationError` where there is no teacher, or none with the same vocabulary."""
    config, tokenizer = given.config, given.student.tokenizer
    teacher = load_teacher(config, given.say)
    if teacher.tokenizer.get_vocab() != tokenizer.get_vocab():
        raise ConfigurationError(
            "onpolicy compares the student's and the teacher's whole distributions, and their vocabularies differ: take "
            "crosstokenizer"
        )
    made = [(one,) for row in given.conversations() for one in mask_turns(row, tokenizer, config.style)]
    examples = [one for (one,) in given.short_enough(made)]
    return _TaidTrainer(given, teacher.model, dataset(masked_columns(examples)))


class _TaidTrainer(GKDTrainer):  # type: ignore[misc]
    """TRL's GKD, with TAID's target; its t is kept in the trainer's own state, and so in every checkpoint."""

    def __init__(self, given: Given, teacher: Any, examples: Any) -> None:
        settings, pad = given.config.onpolicy, given.student.tokenizer.pad_token_id
        super().__init__(
            given.student.model,
            teacher,
            GKDConfig(
                **given.arguments,
                lmbda=settings.share,
                temperature=1.0,
                max_new_tokens=settings.max_new_tokens,
            ),
            data_collator=lambda rows: _batch(rows, pad),
            train_dataset=examples,
            processing_class=given.student.tokenizer,
            peft_config=given.adapter,
        )
        self._taid = settings
        self.model_accepts_loss_kwargs = False

    def compute_loss(
        self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """Return the KL from the moving target."""
        places = {"input_ids": inputs["input_ids"], "attention_mask": inputs["attention_mask"]}
        out = model(**places, use_cache=False)
        self.teacher_model.eval()
        with torch.no_grad():
            teacher = self.teacher_model(**places, use_cache=False)
        learnt = inputs["labels"][:, 1:] != IGNORED
        now = self._now()
        loss = taid(out.logits[:, :-1], teacher.logits[:, :-1], learnt, now.t)
        if model.training:
            self._metrics["train"]["taid_t"].append(now.t)
            self._move(now, float(loss.detach()))
        return (loss, out) if return_outputs else loss

    def _now(self) -> TaidState:
        kept = self.state.stateful_callbacks.get(_STATE)
        return TaidState(**kept) if kept else TaidState(self._taid.t_start)

    def _move(self, now: TaidState, loss: float) -> None:
        settings = self._taid
        moved = now.moved(
            loss,
            self.state.global_step / max(self.state.max_steps, 1),
            start=settings.t_start,
            end=settings.t_end,
            rate=settings.t_rate,
            beta=settings.t_momentum,
        )
        self.state.stateful_callbacks[_STATE] = asdict(moved)


def _batch(rows: list[dict[str, Any]], pad: int) -> dict[str, Any]:
    batch = padded([(row["input_ids"], row["labels"]) for row in rows], pad)
    prompts = []
    for row in rows:
        length = next(i for i, label in enumerate(row["labels"]) if label != IGNORED)
        prompts.append(row["input_ids"][:length])
    longest = max(map(len, prompts))
    # Prompts end together, since the student writes on from there.
    ids = torch.tensor([[pad] * (longest - len(one)) + one for one in prompts])
    mask = torch.tensor([[0] * (longest - len(one)) + [1] * len(one) for one in prompts])
    return {**batch, "prompts": ids, "prompt_attention_mask": mask}
