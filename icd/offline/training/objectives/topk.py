"""FIRST: the teacher's k likeliest tokens at each place instead of one (arXiv 2408.12168).

Needs conversations whose answers carry ``logprobs`` with ``top_logprobs``, of a teacher with the student's tokenizer:
each of its tokens must be one of the student's.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from trl import SFTConfig, SFTTrainer

from icd.errors import ConfigurationError
from icd.offline.training.losses import topk_kl
from icd.offline.training.masks import IGNORED, Masked, Written, mask_written, written
from icd.offline.training.objectives.given import Given, dataset, masked_columns, padded
from icd.offline.training.rows import TokenLogprob


@dataclass(frozen=True, slots=True)
class TopTokens:
    """The teacher's likeliest tokens at each learnt place, (places, k); -inf and 0 fill up."""

    ids: tuple[tuple[int, ...], ...]
    log_probs: tuple[tuple[float, ...], ...]


def prepare(given: Given) -> Any:
    """Return the trainer. Raises `ConfigurationError` where the traces have no usable log-probabilities."""
    tokenizer, k = given.student.tokenizer, given.config.topk.k
    turns = [
        one
        for row in given.conversations()
        for one in written(row, tokenizer, given.config.style)
        if one.turn.logprobs is not None and any(token.top_logprobs for token in one.turn.logprobs.content)
    ]
    if not turns:
        raise ConfigurationError(
            f"topk needs the teacher's log-probabilities (logprobs.content[].top_logprobs of its answers), and "
            f"{given.config.data} has none: collect them from an endpoint that returns them, or take sft"
        )
    made: dict[Masked, TopTokens] = {}
    for one in turns:
        example, tops = aligned(one, tokenizer, k)
        made[example] = tops
    examples = [one for (one,) in given.short_enough([(one,) for one in made])]
    columns = masked_columns(examples) | {
        "top_ids": [made[one].ids for one in examples],
        "top_logprobs": [made[one].log_probs for one in examples],
    }
    return _TopkTrainer(given, columns)


def aligned(one: Written, tokenizer: Any, k: int) -> tuple[Masked, TopTokens]:
    """Return a turn's sequence and the teacher's tokens at its learnt places; only those places are learnt.

    A teacher's tokens that the cue covers, or that come after the answer's end, are left out.

    Raises:
        ConfigurationError: the teacher's tokens are not the student's.
    """
    example = mask_written(one, tokenizer)
    places = [i for i, label in enumerate(example.labels) if label != IGNORED]
    content = one.turn.logprobs.content if one.turn.logprobs is not None else ()
    shift = _beginning(content, [example.labels[i] for i in places], tokenizer)
    labels = [IGNORED] * len(example.labels)
    ids, log_probs = [], []
    for place, token in zip(places, content[shift:], strict=False):
        best = sorted(token.top_logprobs, key=lambda top: -top.logprob)[:k]
        known = [(found, top.logprob) for top in best if (found := _one_id(top.token, tokenizer)) is not None]
        if not known or _one_id(token.token, tokenizer) != example.labels[place]:
            continue
        labels[place] = example.labels[place]
        filled = known + [(0, -math.inf)] * (k - len(known))
        ids.append(tuple(found for found, _ in filled))
        log_probs.append(tuple(value for _, value in filled))
    if not ids:
        raise _other_tokens(content)
    return Masked(example.input_ids, tuple(labels)), TopTokens(tuple(ids), tuple(log_probs))


def _beginning(content: Sequence[TokenLogprob], learnt: Sequence[int], tokenizer: Any) -> int:
    """Return after how many of the teacher's tokens the learnt ones begin: those of the cue."""
    theirs = [_one_id(token.token, tokenizer) for token in content]
    wanted = list(learnt[: min(len(learnt), len(theirs)) or None])
    for shift in range(len(theirs)):
        length = min(len(theirs) - shift, len(wanted))
        # What the student's text ends with, a line or a turn, the teacher need not have written.
        if theirs[shift : shift + length] == wanted[:length] and length >= len(learnt) - 1:
            return shift
    raise _other_tokens(content)


def _one_id(text: str, tokenizer: Any) -> int | None:
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    return int(ids[0]) if len(ids) == 1 else None


def _other_tokens(content: Sequence[TokenLogprob]) -> ConfigurationError:
    shown = [token.token for token in content[:6]]
    return ConfigurationError(
        f"topk needs a teacher with the student's own tokenizer: its tokens {shown} are not how the student writes the "
        "same answer. With the teacher's weights at hand take crosstokenizer, else sft"
    )


class _TopkTrainer(SFTTrainer):  # type: ignore[misc]
    """TRL's, with the KL of the k tokens."""

    def __init__(self, given: Given, columns: dict[str, list[Any]]) -> None:
        pad, k = given.student.tokenizer.pad_token_id, given.config.topk.k
        super().__init__(
            given.student.model,
            SFTConfig(
                **given.arguments,
                remove_unused_columns=False,
                dataset_kwargs={"skip_prepare_dataset": True},
            ),
            data_collator=lambda rows: _batch(rows, pad, k),
            train_dataset=dataset(columns),
            processing_class=given.student.tokenizer,
            peft_config=given.adapter,
        )
        self._temperature = given.config.topk.temperature
        self.model_accepts_loss_kwargs = False

    def compute_loss(
        self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """Return the forward KL at the learnt places."""
        out = model(input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"], use_cache=False)
        learnt = inputs["labels"][:, 1:] != IGNORED
        loss = topk_kl(
            out.logits[:, :-1],
            inputs["top_ids"][:, 1:],
            inputs["top_logprobs"][:, 1:],
            learnt,
            self._temperature,
        )
        return (loss, out) if return_outputs else loss


def _batch(rows: list[dict[str, Any]], pad: int, k: int) -> dict[str, Any]:
    batch = padded([(row["input_ids"], row["labels"]) for row in rows], pad)
    ids = torch.zeros((*batch["labels"].shape, k), dtype=torch.long)
    log_probs = torch.full((*batch["labels"].shape, k), -math.inf)
    for number, row in enumerate(rows):
        places = batch["labels"][number] != IGNORED
        ids[number, places] = torch.tensor(row["top_ids"])
        log_probs[number, places] = torch.tensor(row["top_logprobs"])
    return {**batch, "top_ids": ids, "top_logprobs": log_probs}
