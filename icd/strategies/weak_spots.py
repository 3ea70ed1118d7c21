"""Weak spots: kinds of situation in which the student is often helped or fails, found by grouping such situations by
meaning."""

from __future__ import annotations

from collections.abc import Sequence

from icd.errors import MissingExtraError
from icd_memory.embedding import Embedder

LEAST_ALIKE = 0.7
"""Mean cosine of two groups from which they are joined."""
_MOST = 2_000
"""Situations that are grouped, the newest: the time grows with the square of their number."""


def groups(texts: Sequence[str], embedder: Embedder, *, least: float = LEAST_ALIKE) -> list[list[int]]:
    """Return the places of texts that are alike (average link), the largest group first; alone is no group.

    Raises:
        MissingExtraError: scikit-learn is not installed.
    """
    first = max(0, len(texts) - _MOST)
    rows = embedder.embed(texts[first:])
    places = [at for at, row in enumerate(rows) if row.any()]
    if len(places) < 2:
        return []
    try:
        from sklearn.cluster import AgglomerativeClustering
    except ImportError as error:
        raise MissingExtraError("finding weak spots", "report") from error
    model = AgglomerativeClustering(
        n_clusters=None, metric="cosine", linkage="average", distance_threshold=1 - least
    )
    found: dict[int, list[int]] = {}
    for label, at in zip(model.fit_predict(rows[places]), places, strict=True):
        found.setdefault(int(label), []).append(first + at)
    return sorted((group for group in found.values() if len(group) > 1), key=lambda g: (-len(g), g[0]))
