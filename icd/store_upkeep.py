"""Looking after a store with what lies beside it: its indexes; and forgetting an episode."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, NamedTuple

from icd.assembly import index_file, index_folder
from icd.episode_facts import recount
from icd.errors import UnknownEpisodeError
from icd_memory.chain import Head
from icd_memory.checks import StoreCheck, check
from icd_memory.database import Database
from icd_memory.index_file import versions_in
from icd_memory.retrieval import Family
from icd_memory.situation import recipe
from icd_memory.store import Store

__all__ = ["Erased", "IndexState", "erase_episode", "index_states", "verify_store"]


@dataclass(frozen=True, slots=True)
class IndexState:
    """How an index beside a store stands. It is a cache: what is not fresh is mended when it is next opened."""

    file: str
    state: Literal["fresh", "stale", "damaged"]
    changed: int
    """Trajectories that it lacks, or holds though they are no longer shown."""


class Erased(NamedTuple):
    """What was forgotten of an episode."""

    receipts: int
    trajectories: int
    comments: int


def verify_store(
    place: str, expected: Mapping[str, Head] | None = None
) -> tuple[StoreCheck, list[IndexState]]:
    """Check a store and the exact indexes beside it; `expected` as in `ReceiptChain.verify`.

    Raises:
        MemoryStoreError: it cannot be opened or read.
    """
    database = Database.open(place)
    try:
        store = Store(database)
        return check(store, database, expected), index_states(store)
    finally:
        database.close()


def index_states(store: Store) -> list[IndexState]:
    """Return how the exact indexes beside a store stand; a family without one has it made when it is used."""
    folder, embedder = index_folder(store.place), store.note("embedder")
    if folder is None or embedder is None:
        return []
    found = []
    for family in [Family(*names) for names in store.families()]:
        path = index_file(folder, family, embedder)
        if not path.exists():
            continue
        held = versions_in(path, embedder)
        if held is None:
            found.append(IndexState(path.name, "damaged", 0))
            continue
        shown = store.listing(tenant=family.tenant, environment=family.environment, status="demonstration")
        wanted = {row.id: f"{row.content_hash}-{recipe()}" for row in shown}
        changed = len({*held.items()} ^ {*wanted.items()})
        found.append(IndexState(path.name, "stale" if changed else "fresh", changed))
    return found


def erase_episode(store: Store, tenant: str, episode_id: str, now: datetime) -> Erased:
    """Forget what was said in an episode: its receipts become tombstones, what was learned from it is removed.

    The bill stays: it has amounts and no content. So do texts until `icd store gc`, since other episodes may share them,
    and copies that were made before.

    Raises:
        UnknownEpisodeError: the tenant has no such episode.
    """
    rows = store.of(tenant).decisions(episode_id)
    if not rows:
        raise UnknownEpisodeError(f"tenant {tenant} has no receipt of episode {episode_id!r}")
    with store.transaction():
        receipts = store.chain.erase(tenant, [row.id for row in rows], now.isoformat())
        comments = store.of(tenant).erase_feedback(episode_id)
        trajectories = store.remove_trajectories_of(tenant, episode_id)
        recount(store, [(tenant, episode_id)])
    return Erased(receipts, trajectories, comments)
