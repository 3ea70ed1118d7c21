"""Whether sampled actions are the same action: canonical forms and votes. Pure functions.

An action that cannot be read has no canonical form (None) and agrees with nothing, not even with another of its kind.
Source: exact match of the action text, arXiv 2512.02543 (ALFWorld); shares as in 2310.03094.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple


class Vote(NamedTuple):
    """The outcome of comparing samples."""

    key: str | None
    """Canonical form of the largest group; None if no sample could be read."""
    votes: int
    share: float
    """`votes` over all samples, unreadable ones included; 0 for no samples."""


def text_key(action: str) -> str | None:
    """Return the canonical form of a text action: case and spaces do not count; None for an empty one."""
    return " ".join(action.lower().split()).rstrip(". ") or None


def vote(keys: Sequence[str | None]) -> Vote:
    """Count equal samples. Does not depend on their order: of equally large groups the least key leads."""
    counts = Counter(key for key in keys if key is not None)
    if not counts:
        return Vote(None, 0, 0.0)
    key = min(counts, key=lambda k: (-counts[k], k))
    return Vote(key, counts[key], counts[key] / len(keys))
