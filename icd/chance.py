"""Chance that replays: numbers that look random and depend on names only."""

from __future__ import annotations

import hashlib


def uniform(*names: object) -> float:
    """Return a number in [0, 1) that the names alone decide."""
    digest = hashlib.sha256("|".join(map(str, names)).encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64
