"""A process of its own that writes to a store and says on its output what was acknowledged; killed by the
tests."""

from __future__ import annotations

import sys

from samples import NOW, trajectory

from icd_memory.embedding import HashingEmbedder
from icd_memory.retrieval import Memory
from icd_memory.rows import EpisodeRow, LedgerRow
from icd_memory.store import Store


def main(place: str, name: str, count: int) -> None:
    with Store.open(place) as store:
        memory = Memory.open(store, HashingEmbedder())
        for number in range(count):
            id = f"{name}-{number}"
            with store.transaction():
                store.add_ledger(
                    [
                        LedgerRow(f"{id}/{row}", "r", "teacher", "m", 1, 0, 1, 0.5, f"e-{id}")
                        for row in range(5)
                    ]
                )
                memory.store.add_trajectory(trajectory(id), status="demonstration")
                store.add_episode(EpisodeRow(f"e-{id}", "r", id, "teacher", 0, "done", NOW))
            memory.index_added([trajectory(id)])
            print(id, flush=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
