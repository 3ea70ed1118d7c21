"""A vector index in Chroma, embedded in this process or in a Chroma server (extra ``chroma``).

Three collections for each family: its trajectories (goal, category and plan side by side in one vector, so
that one query ranks by their mean), and its steps by observation and by reasoning. Trajectories are searched;
steps are only read by id, since a filtered vector search is slow or wrong in a general store. Vectors are
always ours.

The embedded form is for one process: a second one silently reads stale vectors. Use the server for more.
"""

from __future__ import annotations

import hashlib
import re
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from icd_memory.embedding import Embedder, Vector
from icd_memory.errors import IndexUnavailableError, VectorIndexError
from icd_memory.index import (
    STATE_KEYS,
    TRAJECTORY_KEYS,
    Entry,
    Exclusion,
    Hit,
    StateKey,
    StepQuery,
    TrajectoryKey,
)

_BATCH = 2_000
_SPARE = 32
"""Fetched beyond what is asked for, in place of what is excluded."""
_SPACE = {"hnsw": {"space": "ip", "ef_construction": 200, "ef_search": 400}}


def embedded(folder: Path) -> Any:
    """Return a Chroma client that keeps its data in `folder`. Raises IndexUnavailableError."""
    chromadb, settings = _chromadb()
    try:
        return chromadb.PersistentClient(path=str(folder), settings=settings)
    except Exception as error:
        raise IndexUnavailableError(f"Chroma can't open {folder}: {error}") from error


def server(host: str = "localhost", port: int = 8000, **options: Any) -> Any:
    """Return a client of a running Chroma server (``chroma run``). Raises IndexUnavailableError."""
    chromadb, settings = _chromadb()
    try:
        return chromadb.HttpClient(host=host, port=port, settings=settings, **options)
    except Exception as error:
        raise IndexUnavailableError(
            f"no Chroma server answers at {host}:{port} ({error}): start one with `chroma run --port {port}`"
        ) from error


class ChromaIndex:
    """The index of one family in Chroma. Finds approximately in large families, exactly in small ones."""

    def __init__(self, client: Any, tenant: str, environment: str, embedder: Embedder) -> None:
        """Open the family's collections, which are made when missing. Raises VectorIndexError."""
        self.embedder_id = embedder.id
        self.dimension = embedder.dimension
        self._lock = threading.RLock()
        self._refs: dict[str, int] = {}
        self._steps: dict[str, int] = {}
        about = {"tenant": tenant, "environment": environment, "embedder": embedder.id}
        with _boundary("open its collections"):
            self._trajectories, *states = (
                client.get_or_create_collection(
                    _name(tenant, environment, embedder.id, what),
                    metadata=about,
                    configuration=_SPACE,
                    embedding_function=None,
                )
                for what in ("trajectories", *STATE_KEYS)
            )
        self._states = dict(zip(STATE_KEYS, states, strict=True))

    def __len__(self) -> int:
        with _boundary("count"):
            return int(self._trajectories.count())

    def contents(self) -> dict[str, str]:
        """Return the version of each trajectory by id."""
        found: dict[str, str] = {}
        while True:
            with _boundary("list its contents"):
                page = self._trajectories.get(include=["metadatas"], limit=_BATCH, offset=len(found))
            self._learn(page["ids"], page["metadatas"])
            found.update({id: about["version"] for id, about in _pairs(page["ids"], page["metadatas"])})
            if len(page["ids"]) < _BATCH:
                return found

    def add(self, entries: Sequence[Entry]) -> None:
        """Add trajectories; those whose id is there already are left as they are."""
        with self._lock, _boundary("add"):
            offered = {entry.id: entry for entry in reversed(entries)}
            known = set(self._trajectories.get(ids=list(offered), include=[])["ids"]) if offered else set()
            new = [entry for id, entry in reversed(offered.items()) if id not in known]
            for entry in new:
                if len(entry.observation) == 0:
                    raise ValueError(f"trajectory {entry.id!r} needs a step")
            for key, collection in self._states.items():
                ids = [_step_id(entry.id, step) for entry in new for step in range(len(entry.observation))]
                rows = [row for entry in new for row in getattr(entry, key)]
                for part in _batches(len(ids)):
                    collection.upsert(ids=ids[part], embeddings=rows[part])
            # Last: a trajectory that can be found has all its steps, even if this process is killed now.
            abouts = [
                {
                    "version": entry.version,
                    "instance": entry.instance,
                    "split": entry.split,
                    "steps": len(entry.observation),
                }
                for entry in new
            ]
            names = [entry.id for entry in new]
            keys = [np.concatenate([entry.goal, entry.category, entry.plan]) for entry in new]
            for part in _batches(len(new)):
                self._trajectories.add(ids=names[part], embeddings=keys[part], metadatas=abouts[part])
            self._learn(names, abouts)

    def remove(self, ids: Iterable[str]) -> None:
        """Remove trajectories; unknown ids are ignored."""
        with self._lock, _boundary("remove"):
            wanted = list(ids)
            if not wanted:
                return
            found = self._trajectories.get(ids=wanted, include=["metadatas"])
            if not found["ids"]:
                return
            self._trajectories.delete(ids=found["ids"])
            steps = [
                _step_id(id, step)
                for id, about in _pairs(found["ids"], found["metadatas"])
                for step in range(about["steps"])
            ]
            for collection in self._states.values():
                for part in _batches(len(steps)):
                    collection.delete(ids=steps[part])

    def find_trajectories(
        self, keys: Mapping[TrajectoryKey, Vector], k: int, exclude: Exclusion
    ) -> list[Hit]:
        """Return the k best trajectories by their mean cosine over `keys`, equals in the order they came."""
        ranked = sorted(self._by_keys(keys, k, exclude).items(), key=lambda found: -round(found[1], 5))
        return [Hit(id, 0, score, 0.0) for id, score in ranked[: max(0, k)]]

    def find_steps(self, query: StepQuery, k: int, candidates: int) -> list[Hit]:
        """Return the k best trajectories by their best step, equals in the order they came.

        Looks at the steps of the best `candidates` by the keys.
        """
        if k < 1:
            return []
        scores = self._by_keys(query.keys, candidates, query.exclude)
        hits = [
            Hit(id, step, scores[id], found)
            for id, (step, found) in self._best_steps(list(scores), query.state, query.state_key).items()
        ]

        def total(hit: Hit) -> float:
            return hit.trajectory_score + query.step_weight * hit.step_score

        return sorted(hits, key=lambda hit: -round(total(hit), 5))[:k]

    def save(self) -> None:
        """Nothing to do: Chroma keeps what it is given."""

    def close(self) -> None:
        """Nothing to free: the client belongs to the caller."""

    def _by_keys(
        self, keys: Mapping[TrajectoryKey, Vector], limit: int, exclude: Exclusion
    ) -> dict[str, float]:
        """Return up to `limit` best trajectories by their mean cosine over `keys`, in the order they came."""
        blank = np.zeros(self.dimension, dtype=np.float32)
        wanted = np.concatenate([keys.get(key, blank) for key in TRAJECTORY_KEYS]) / max(1, len(keys))
        total = len(self)
        fetch = min(total, limit + _SPARE)
        while limit > 0 and fetch > 0:
            with _boundary("search"):
                answer = self._trajectories.query(
                    query_embeddings=[wanted], n_results=fetch, include=["metadatas", "distances"]
                )
            ids, abouts, distances = (answer[part][0] for part in ("ids", "metadatas", "distances"))
            self._learn(ids, abouts)
            kept = [
                (id, 1.0 - distance)
                for id, about, distance in zip(ids, abouts, distances, strict=True)
                if about["instance"] not in exclude.instances and about["split"] not in exclude.splits
            ]
            # Filtered here and not by Chroma: its filters cost tens of milliseconds in a large collection.
            if len(kept) >= limit or fetch >= total:
                kept = sorted(kept, key=lambda found: (-round(found[1], 5), self._refs[found[0]]))[:limit]
                return dict(sorted(kept, key=lambda found: self._refs[found[0]]))
            fetch = min(total, 2 * fetch)
        return {}

    def _best_steps(
        self, names: Sequence[str], vector: Vector, state_key: StateKey
    ) -> dict[str, tuple[int, float]]:
        """Return each trajectory's best step, the first of equals, and its cosine."""
        ids = [_step_id(id, step) for id in names for step in range(self._steps[id])]
        rows: dict[str, Any] = {}
        for part in _batches(len(ids)):
            with _boundary("read steps"):
                page = self._states[state_key].get(ids=ids[part], include=["embeddings"])
            rows.update(zip(page["ids"], page["embeddings"], strict=True))
        best = {}
        for id in names:
            held = [rows.get(_step_id(id, step)) for step in range(self._steps[id])]
            if all(row is not None for row in held):  # else another process removed it just now
                found = np.asarray(held, dtype=np.float32) @ vector
                step = int(np.argmax(np.round(found, 5)))
                best[id] = (step, float(found[step]))
        return best

    def _learn(self, ids: Sequence[str], abouts: Sequence[Mapping[str, Any]]) -> None:
        """Number trajectories in the order they are met."""
        with self._lock:
            for id, about in _pairs(ids, abouts):
                if id not in self._refs:
                    self._refs[id] = len(self._refs)
                self._steps[id] = int(about["steps"])


def chroma_factory(client: Any) -> Callable[[tuple[str, str], Embedder], ChromaIndex]:
    """Return what `Memory.open` takes as `make_index` for indexes in this client."""

    def make(family: tuple[str, str], embedder: Embedder) -> ChromaIndex:
        return ChromaIndex(client, *family, embedder)

    return make


class _boundary:
    """Turn Chroma's errors into this package's; a class because Chroma raises types of many kinds."""

    def __init__(self, doing: str) -> None:
        self._doing = doing

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        if isinstance(error, Exception) and not isinstance(error, (VectorIndexError, ValueError)):
            raise VectorIndexError(
                f"Chroma could not {self._doing} ({type(error).__name__}: {error}): "
                "if its data is damaged, delete it; it is rebuilt from the store"
            ) from error


def _chromadb() -> tuple[Any, Any]:
    try:
        import chromadb
        from chromadb.config import Settings
    except ImportError as error:
        raise IndexUnavailableError("Chroma is not installed: pip install 'icd-runtime[chroma]'") from error
    return chromadb, Settings(anonymized_telemetry=False)


def _name(*parts: str) -> str:
    """Return a collection name that Chroma accepts and that is different for different parts."""
    digest = hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).hexdigest()[:16]
    readable = re.sub(r"[^a-zA-Z0-9]+", "-", f"{parts[1]}-{parts[-1]}")[:40].strip("-")
    return f"icd-{readable}-{digest}"


def _step_id(trajectory_id: str, step: int) -> str:
    return f"{trajectory_id}#{step}"


def _batches(count: int) -> list[slice]:
    return [slice(start, start + _BATCH) for start in range(0, count, _BATCH)]


def _pairs(
    ids: Sequence[str], abouts: Sequence[Mapping[str, Any]]
) -> Iterable[tuple[str, Mapping[str, Any]]]:
    return zip(ids, abouts, strict=True)
