"""A case: one customer with one need, as data. What is right follows from it; nobody who plays reads it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from icd_envs.service_desk.acts import Question
from icd_envs.service_desk.database import Tables

Ending: TypeAlias = Literal["done", "refused", "declined"]
"""done: the records change; refused: they must not, and the customer must be told why; declined: the customer does not
agree to the fee, so that nothing changes."""
Answer: TypeAlias = Literal["", "yes", "no"]


@dataclass(frozen=True, slots=True)
class Case:
    """A customer's hidden need, what they say when asked, and what the policies make of it."""

    family: str
    area: str
    """What one can tell from the opening: order, booking, ..."""
    opening: str
    """What the customer writes first; it does not tell the need."""
    replies: Mapping[Question, str]
    """Facts, told only when asked. What is not among them need not be asked."""
    topic: str
    """Of the policy that governs it."""
    tables: Tables
    commands: tuple[str, ...] = ()
    """The tool commands whose effect on the records is what is due."""
    ending: Ending = "done"
    reason: str = ""
    """Of the refusal, where one is due."""
    identity: bool = False
    """The customer's identity must be checked before anything changes."""
    consent: Answer = ""
    """What they say to the fee; empty: there is none."""
    pause: Answer = ""
    """What they say to a pause; not empty: it must be offered before anything changes."""
    private: frozenset[Question] = frozenset()
    """What the policy forbids to ask."""
    mood: int = 0
    """At the start, 0 (calm) to 3 (angry)."""
    patience: int = 8
    """What they bear before they leave."""
