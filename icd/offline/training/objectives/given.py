"""What an objective is given, and the examples that several of them make."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from datasets import Dataset

from icd.errors import ConfigurationError
from icd.offline.training.config import TrainingConfig
from icd.offline.training.loading import Loaded
from icd.offline.training.masks import IGNORED, Masked
from icd.offline.training.rows import Conversation, Pair, Row


@dataclass(frozen=True, slots=True)
class Given:
    """The parts of a run."""

    config: TrainingConfig
    rows: Sequence[Row]
    student: Loaded
    arguments: dict[str, Any]
    """Of TRL's configuration."""
    adapter: Any
    """PEFT's configuration; None: the whole model is trained."""
    say: Callable[[str], None]
    stopped: list[str] = field(default_factory=list)
    """Reasons for which the run was stopped before its end."""

    def conversations(self) -> list[Conversation]:
        """Return the conversations. Raises `ConfigurationError` where the file holds none."""
        found = [row for row in self.rows if isinstance(row, Conversation)]
        if not found:
            raise ConfigurationError(
                f"{self.config.objective} learns from conversations, and {self.config.data} holds only pairs"
            )
        return found

    def pairs(self) -> list[Pair]:
        """Return the pairs. Raises `ConfigurationError` where the file holds none."""
        found = [row for row in self.rows if isinstance(row, Pair)]
        if not found:
            raise ConfigurationError(
                f"{self.config.objective} learns from pairs of a better and a worse answer (prompt, chosen, rejected), "
                f"and {self.config.data} holds none: `icd offline dataset` makes them of steps at which the teacher "
                "corrected the student"
            )
        return found

    def short_enough(self, made: Sequence[tuple[Masked, ...]]) -> list[tuple[Masked, ...]]:
        """Return the examples that fit and teach something; say how many do not.

        Raises:
            ConfigurationError: none is left.
        """
        longest = self.config.max_length
        kept = [
            parts
            for parts in made
            if all(len(one.input_ids) <= longest and one.prompt_length < len(one.labels) for one in parts)
        ]
        if not kept:
            raise ConfigurationError(
                f"none of {len(made)} examples has at most max_length = {longest} tokens and an answer to learn"
            )
        if len(kept) < len(made):
            self.say(
                f"{len(made) - len(kept)} of {len(made)} examples left out: longer than max_length = {longest} tokens"
            )
        return kept


def dataset(columns: dict[str, list[Any]]) -> Dataset:
    """Return columns as a data set."""
    return Dataset.from_dict(columns)


def masked_columns(examples: Sequence[Masked], prefix: str = "") -> dict[str, list[Any]]:
    """Return sequences as the columns that `padded` reads."""
    return {
        f"{prefix}input_ids": [list(one.input_ids) for one in examples],
        f"{prefix}labels": [list(one.labels) for one in examples],
    }


def padded(rows: Sequence[tuple[Sequence[int], Sequence[int]]], pad: int) -> dict[str, Any]:
    """Return sequences of (ids, labels) as a batch, padded on the right."""
    import torch

    longest = max(len(ids) for ids, _ in rows)
    ids = torch.full((len(rows), longest), pad)
    labels = torch.full((len(rows), longest), IGNORED)
    attention = torch.zeros((len(rows), longest), dtype=torch.long)
    for number, (tokens, learnt) in enumerate(rows):
        ids[number, : len(tokens)] = torch.tensor(tokens)
        labels[number, : len(learnt)] = torch.tensor(learnt)
        attention[number, : len(tokens)] = 1
    return {"input_ids": ids, "labels": labels, "attention_mask": attention}
