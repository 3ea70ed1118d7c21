"""Our retrieval in a process of its own, beside its peers: whole decisions, the search alone, or by the state alone.

    python retrieval_icd.py SYSTEM FOLDER K

SYSTEM: ``icd`` (`Retriever.for_step`: the excerpts are read from the store, vectors of texts looked up), ``icd-search``
(the index alone, for the same question), ``icd-state`` (the index, asked for the nearest states).
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import numpy as np
from retrieval_worker import Search, resident_mb, serve

from icd_memory.embedding import Matrix
from icd_memory.exact_index import ExactIndex
from icd_memory.index import TRAJECTORY_KEYS, Exclusion, StepQuery
from icd_memory.retrieval import Memory, Query, RetrievalSettings
from icd_memory.store import Store


class Known:
    """Looks vectors up by their text."""

    def __init__(self, id: str, folder: Path) -> None:
        self.id = id
        keys, states = np.load(folder / "query_keys.npy"), np.load(folder / "query_states.npy")
        self.dimension = states.shape[1]
        self._rows: dict[str, Matrix] = {}
        for query, vectors, state in zip(_queries(folder), keys, states, strict=True):
            texts = (query.goal, query.category, query.plan, query.state)
            self._rows.update(zip(texts, (*vectors, state), strict=True))

    def embed(self, texts: list[str]) -> Matrix:
        """Return the known rows."""
        return np.stack([self._rows[text] for text in texts])


class Contestant:
    """Our index, and the store that its excerpts come from."""

    def __init__(self, folder: Path, k: int) -> None:
        self._k = k
        about = json.loads((folder / "about.json").read_text())
        self._weight = about["step_weight"]
        self._index = ExactIndex(about["embedder"], about["dimension"], folder / "index")
        self._queries = _queries(folder)
        self._keys, self._states = np.load(folder / "query_keys.npy"), np.load(folder / "query_states.npy")
        owners = np.load(folder / "owners.npy")
        names = json.loads((folder / "trajectories.json").read_text())
        starts = np.searchsorted(owners, np.arange(len(names))).tolist()
        self._starts = {name[0]: start for name, start in zip(names, starts, strict=True)}
        store = Store.open(folder / about["store"])
        self._memory = Memory.open(
            store,
            Known(about["embedder"], folder),  # type: ignore[arg-type]
            settings=RetrievalSettings(keep_queries=False),
            make_index=lambda *_: self._index,
        )
        self._larger = about["store"] != "store.db"
        if not self._larger:
            for query in self._queries:
                self._memory.embedder.embed([query.goal, query.category, query.plan, query.state], keep=False)
        self._index.find_steps(self._asked(0), 1, 0)

    def for_step(self, number: int) -> list[int]:
        """Retrieve excerpts as the runtime does."""
        if self._larger:
            hits = self._index.find_steps(self._asked(number), self._k, 0)
            self._memory.trajectories_by_id([hit.trajectory_id.split("//")[0] for hit in hits])
            return [self._starts[hit.trajectory_id] + hit.step for hit in hits]
        found = self._memory.retriever.for_step(self._queries[number], self._k)
        return [self._starts[excerpt.trajectory_id] + excerpt.step for excerpt in found]

    def search(self, number: int) -> list[int]:
        """Ask the index alone."""
        hits = self._index.find_steps(self._asked(number), self._k, 0)
        return [self._starts[hit.trajectory_id] + hit.step for hit in hits]

    def by_state(self, number: int) -> list[int]:
        """Ask the index for the nearest states, one a trajectory."""
        hits = self._index.find_steps(StepQuery({}, self._states[number], "observation"), self._k, 0)
        return [self._starts[hit.trajectory_id] + hit.step for hit in hits]

    def _asked(self, number: int) -> StepQuery:
        keys = dict(zip(TRAJECTORY_KEYS, self._keys[number], strict=True))
        own = Exclusion(frozenset({self._queries[number].instance}))
        return StepQuery(keys, self._states[number], "observation", self._weight, own)


def _queries(folder: Path) -> list[Query]:
    fields = json.loads((folder / "queries.json").read_text())
    return [Query(**{**one, "exclude_splits": frozenset()}) for one in fields]


def main() -> None:
    """Serve one way of searching."""
    system, folder, k = sys.argv[1:]
    before, start = resident_mb(), time.process_time()
    contestant = Contestant(Path(folder), int(k))
    searches: dict[str, Search] = {
        "icd": contestant.for_step,
        "icd-search": contestant.search,
        "icd-state": contestant.by_state,
    }
    serve({"select": searches[system]}, {"build_cpu_s": time.process_time() - start, "before_mb": before})


if __name__ == "__main__":
    main()
