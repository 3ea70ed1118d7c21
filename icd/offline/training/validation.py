"""Held-out episodes played with a student in training: zero-shot, one sample a step, no teacher, prompted as the data
set's rows are.

The tasks are those that the data set kept out of training (`icd offline dataset`); of a lone file of rows, the last ones
of the split.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from icd.backends.transformers import TransformersBackend
from icd.calls import PricedModel
from icd.cascade import parse_policy
from icd.episode import play
from icd.errors import ConfigurationError
from icd.ledger import Budget
from icd.offline.card import CARD, read_card
from icd.offline.examples import EXAMPLES, Example, file_of, rows_of
from icd.offline.training.callbacks import Evaluator
from icd.offline.training.config import TrainingConfig
from icd.offline.training.loading import checkpoint
from icd.prices import Price
from icd.prompting import PromptSettings
from icd.runtime import Runtime
from icd.runtime_settings import RuntimeSettings
from icd_envs.base import Suite, Task
from icd_envs.table import suite


def evaluator_for(config: TrainingConfig) -> Evaluator | None:
    """Return what validates a run; None: it does not.

    Raises:
        ConfigurationError: the data set kept no task out of training.
    """
    if not config.validation.every:
        return None
    where = suite(config.validation.environment)
    tasks = held_out(config, where)
    folder = checkpoint(config.model, lambda text: None)

    def evaluate(model: Any, tokenizer: Any) -> tuple[int, int]:
        backend = TransformersBackend.of_loaded(model, tokenizer, folder, style=config.style)
        won = asyncio.run(_play(backend, where, tasks, config))
        return won, len(tasks)

    return evaluate


def held_out(config: TrainingConfig, where: Suite) -> Sequence[Task]:
    """Return the tasks of a validation. Raises as `evaluator_for`."""
    settings = config.validation
    tasks = where.tasks(settings.split)
    if not config.data.is_dir():
        return tasks[-settings.tasks :]
    kept_out = _kept_out(config.data)
    found = [task for task in tasks if task.id in kept_out]
    if not found:
        raise ConfigurationError(
            f"{config.data} keeps no task of {settings.environment}/{settings.split} out of training: make the data set "
            "with a validation part, or set validation.every = 0"
        )
    return found[: settings.tasks]


def runtime_settings(config: TrainingConfig) -> RuntimeSettings:
    """Return how the episodes are played: prompts show what those of the data set show, by its card."""
    settings = RuntimeSettings(policy=parse_policy("student"), k=0, plan_k=0, temperature=0.0)
    if not (config.data / CARD).is_file():
        return settings
    facts = read_card(config.data).prompt
    shown = {field.name: facts[field.name] for field in fields(PromptSettings) if field.name in facts}
    limits = {name: facts[name] for name in ("max_tokens", "max_code_tokens")}
    return replace(settings, student_prompt=PromptSettings(**shown), **limits)


def _kept_out(folder: Path) -> frozenset[str]:
    return frozenset(row.task for row in rows_of(Example, file_of(folder, EXAMPLES, "validation")))


async def _play(
    backend: TransformersBackend, where: Suite, tasks: Sequence[Task], config: TrainingConfig
) -> int:
    runtime = Runtime(student=PricedModel(backend, Price.free(), Budget()), settings=runtime_settings(config))
    world = where.environment(config.validation.max_steps)
    try:
        won = 0
        for task in tasks:
            episode = await play(runtime, world, task, episode_id=f"validation/{task.id}", seed=config.seed)
            won += episode.won
        return won
    finally:
        world.close()
