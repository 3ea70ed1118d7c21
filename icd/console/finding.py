"""Looking for demonstrations by what they mean."""

from __future__ import annotations

from typing import NamedTuple

from icd.console.site import Site
from icd_memory.curation import ListedDemonstration
from icd_memory.retrieval import Query

__all__ = ["Found", "by_meaning"]

_MOST = 25


class Found(NamedTuple):
    """A demonstration that fits."""

    demonstration: ListedDemonstration
    similarity: float


def by_meaning(site: Site, tenant: str, environment: str, text: str) -> list[Found] | None:
    """Return the demonstrations whose tasks are nearest to a text, best first; None: there is no embedder.

    These are what a student would be shown for such a task.
    """
    memory = site.memory()
    if memory is None:
        return None
    query = Query(goal=text, environment=environment, tenant=tenant)
    near = {one.trajectory_id: one.similarity for one in memory.retriever.for_plan(query, _MOST)}
    listed = site.store.curation.some(tenant, list(near))
    return [Found(one, near[one.id]) for one in listed]
