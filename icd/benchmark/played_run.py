"""What a run has played so far, read once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from icd.benchmark.played import Result, results_by_method
from icd_memory.rows import EpisodeRow, JsonObject
from icd_memory.store import Store

__all__ = ["PlayedRun", "Prompt"]


class Prompt(NamedTuple):
    """What is known of a task before it is played."""

    goal: str
    category: str


@dataclass(frozen=True)
class PlayedRun:
    """A comparison, with its finished episodes."""

    store: Store
    run_id: str
    conditions: JsonObject

    @cached_property
    def episodes(self) -> Sequence[EpisodeRow]:
        """Those begun, too."""
        return self.store.episodes(self.run_id)

    @cached_property
    def results(self) -> Mapping[str, list[Result]]:
        """The finished episodes by method."""
        return results_by_method(self.episodes, self.store.ledger(self.run_id), self.conditions)

    @cached_property
    def prompts(self) -> Mapping[str, Prompt]:
        """The goals and categories of the tasks that were finished, by task."""
        return {
            row.task_id: Prompt(row.outcome["goal"], row.outcome["category"])
            for row in self.episodes
            if row.status == "done" and row.outcome
        }

    def by_task(self, method: str) -> dict[tuple[str, int], Result]:
        """Return a method's episodes by task and seed."""
        return {(result.task_id, result.seed): result for result in self.results.get(method, ())}
