"""A naive agent: it promises what the customer wants to hear, and acts on what it was told first.

It reads no policy, looks nothing up, checks nobody and never refuses: the other end of the scale from the expert.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from icd_envs.base import ExpertMove
from icd_envs.service_desk.acts import SAY
from icd_envs.service_desk.commands import CLOSE
from icd_envs.service_desk.knowledge import Knowledge
from icd_envs.service_desk.options import options

_TALK: Final = (
    "promise a refund",
    "ask for the reference number",
    "ask what happened",
    "ask for the new details",
)
_FIRST_CHOICES: Final = ("refund order", "rebook", "cancel", "assist", "change", "delete", "reissue")


class NaiveAgent:
    """Serves the customer of the episode whose knowledge it shares, badly."""

    def __init__(self, knowledge: Knowledge) -> None:
        self.knowledge = knowledge
        self._moves = self._script()

    def plan(self) -> str:
        """Return a plan in one line."""
        return "1. promise the customer a refund 2. do what they ask for 3. close"

    def move(self) -> ExpertMove:
        """Return the move for the present step."""
        return next(self._moves, ExpertMove("I am done.", CLOSE))

    def _script(self) -> Iterator[ExpertMove]:
        for act in _TALK:
            yield ExpertMove("I keep the customer happy.", SAY + act)
        for thing, number in self.knowledge.references[:1]:
            if thing == "order":
                yield ExpertMove("They shall have their money.", f"refund order {number} full")
                continue
            possible = options(self.knowledge)
            tools = [tool for verb in _FIRST_CHOICES for tool in possible if tool.startswith(verb)]
            yield from (ExpertMove("I do what they seem to want.", tool) for tool in tools[:1])
        yield ExpertMove("I say that it is done.", f"{SAY}tell what was done")
