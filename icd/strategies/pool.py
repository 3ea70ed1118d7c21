"""The situations that a learning run draws its samples from, in two halves: strategies are written from one, and tested
on the other."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Literal

import numpy as np

from icd.strategies.situations import Situation
from icd_memory.embedding import Embedder

Half = Literal["writing", "testing"]
MOST = 2_000
"""Situations, the newest."""


class Pool:
    """Situations to be found by scenario. The halves share no instance of the environment."""

    def __init__(self, situations: Sequence[Situation], embedder: Embedder) -> None:
        """Keep the newest situations, each text once; embeds them."""
        known = {situation.key: situation for situation in situations}
        self.situations = list(known.values())[-MOST:]
        self._embedder = embedder
        self._rows = embedder.embed([situation.key for situation in self.situations])

    def half(self, which: Half) -> list[Situation]:
        """Return the situations of a half."""
        return [situation for situation in self.situations if half_of(situation) == which]

    def nearest(self, scenario: str, which: Half, most: int, least: float) -> list[Situation]:
        """Return the situations of a half that are most like a scenario, best first, at least with this similarity: one
        of each instance, so that they are independent of each other."""
        if not self.situations:
            return []
        scores = self._rows @ self._embedder.embed([scenario])[0]
        found: dict[str, Situation] = {}
        for at in np.argsort(-scores, kind="stable"):
            situation = self.situations[at]
            if scores[at] < least:
                break
            if half_of(situation) == which:
                found.setdefault(instance_of(situation), situation)
            if len(found) == most:
                break
        return list(found.values())


def instance_of(situation: Situation) -> str:
    """Return the key of the instance that a situation belongs to; an episode's id where the environment has none."""
    return situation.context.instance or situation.context.episode_id or situation.id


def half_of(situation: Situation) -> Half:
    """Return the half that a situation belongs to, by its instance: the same in every run."""
    digest = hashlib.sha256(instance_of(situation).encode("utf-8", "surrogatepass")).digest()
    return "testing" if digest[0] % 2 else "writing"
