"""A data set made by the settings: the store and the memory opened, prompts composed for the student that they name."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from icd import assembly
from icd.config import Settings
from icd.errors import ConfigurationError
from icd.offline.card import Card
from icd.offline.composing import Composer
from icd.offline.dataset import Wishes, make_dataset, write_dataset
from icd.offline.registry import register_dataset
from icd.offline.traces import kept_out
from icd_envs.table import SUITES
from icd_memory.store import Store

__all__ = ["make_folder"]


def make_folder(
    settings: Settings,
    folder: Path,
    wishes: Wishes,
    now: datetime | None = None,
    kept: Callable[[str], Path] | None = None,
) -> Card:
    """Make a data set's folder from the store of the settings, and enter it there.

    `kept` says under which folder a data set of this id will be found, if not in the one that it is made in.

    Raises:
        ConfigurationError: there is no store, or nothing in it to learn from.
        IcdMemoryError: the store or the embedder cannot be used.
    """
    place = settings.memory.store
    if "://" not in place and not Path(place).expanduser().is_file():
        raise ConfigurationError(f"there is no store at {place}: `icd collect` or `icd serve` makes one")
    with ExitStack() as opened:
        store = opened.enter_context(Store.open(place))
        runtime = assembly.runtime_settings(settings)
        retriever, ks = None, wishes.excerpts or (runtime.k,)
        if any(ks):
            splits = {split for name in SUITES for split in kept_out(name)}
            memory = opened.enter_context(assembly.open_memory(settings, store, test_splits=splits))
            retriever = memory.retriever
        context = settings.student.effective_context
        composers = [Composer(replace(runtime, k=k), context, retriever) for k in ks]
        wishes = replace(wishes, chat_tokens=settings.serve.max_tokens)
        made = make_dataset(store, wishes, *composers)
        card = write_dataset(made, folder, wishes, composers, now or datetime.now(UTC))
        register_dataset(store, card, made, kept(card.id) if kept else folder)
        return card
