"""Satisfaction: what a conversation was worth to the customer, from 1 to 10. A pure function.

The rubric, in words (docs/service_desk.md holds the same table, from `RULES`):

start at 10 where the need was met; at 9 where it was refused honestly, as the policy demands, and at 10 if the
alternatives were named too; at 9 where the customer declined a fee that was stated; at 4 otherwise. Then take off what
`RULES` says. A customer who left gives at most 2. The result lies between 1 and 10.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

Result: TypeAlias = Literal["met", "refused", "declined", "missed"]
"""refused: honestly, as the policy demands; declined: the customer did not agree to a fee that was stated."""

LOWEST, HIGHEST = 1.0, 10.0
GOOD: Final = 7.0
"""The least satisfaction of an episode that is won."""
_LEFT: Final = 2.0
_START: Final[Mapping[Result, float]] = {"met": 10.0, "refused": 9.0, "declined": 9.0, "missed": 4.0}

RULES: Final[Mapping[str, tuple[float, str]]] = {
    "needless": (1.0, "each question that was needless, or asked before, and each guess that was wrong"),
    "waits": (0.5, "each tool call beyond four in a row without a word to the customer"),
    "unsoothed": (1.0, "an upset customer (annoyed or angry at the start) heard no apology"),
    "untold": (1.5, "the need was met, but the customer was not told what was done"),
    "false_promises": (2.5, "each promise that the records do not keep at the end"),
    "violations": (1.0, "each other violation of a policy"),
}
"""What is taken off for what, by the field of `Conversation` that counts it."""


@dataclass(frozen=True, slots=True)
class Conversation:
    """What the rubric looks at."""

    result: Result
    needless: int = 0
    waits: int = 0
    unsoothed: bool = False
    untold: bool = False
    false_promises: int = 0
    violations: int = 0
    alternatives: bool = False
    """Named after an honest refusal."""
    left: bool = False
    """The customer's patience was used up."""


def satisfaction(seen: Conversation) -> float:
    """Return the score of a conversation, 1 to 10."""
    score = _START[seen.result] + (seen.result == "refused" and seen.alternatives)
    counts = {
        "needless": seen.needless,
        "waits": seen.waits,
        "unsoothed": seen.unsoothed,
        "untold": seen.result in ("met", "declined") and seen.untold,
        "false_promises": seen.false_promises,
        "violations": seen.violations,
    }
    score -= sum(RULES[name][0] * count for name, count in counts.items())
    return max(LOWEST, min(score, _LEFT if seen.left else HIGHEST))
