"""What retrieval is compared with: one large matrix product, and a general vector store with a filter."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from icd_memory.embedding import Embedder
from icd_memory.index import Entry, StepQuery

Figures = dict[str, float | int | str | None]
_CHROMA_STEPS = 20_000
"""Chroma takes about a CPU-millisecond to add a step: more would take minutes."""


def numpy_peer(held: Sequence[Entry], queries: Sequence[StepQuery], k: int) -> Figures:
    """All steps in one matrix: nothing to build, every vector read at every decision."""
    keys = {key: np.stack([getattr(e, key) for e in held]) for key in ("goal", "category", "plan")}
    states = np.concatenate([entry.observation for entry in held])
    starts = np.cumsum([0] + [len(entry.observation) for entry in held])[:-1]
    samples = []
    for query in queries:
        start = time.process_time()
        by_keys = np.mean([keys[key] @ vector for key, vector in query.keys.items()], axis=0)
        totals = by_keys + query.step_weight * np.maximum.reduceat(states @ query.state, starts)
        np.argpartition(-totals, k)[:k]
        samples.append((time.process_time() - start) * 1e3)
    return {"cpu_ms_mean": float(np.mean(samples)), "steps": len(states)}


def chroma_peers(
    folder: Path, held: Sequence[Entry], queries: Sequence[StepQuery], embedder: Embedder, k: int
) -> dict[str, Figures]:
    """A Chroma collection of steps with a `where` filter, and our index in Chroma; none if it isn't
    installed."""
    try:
        from icd_memory import chroma_index

        client = chroma_index.embedded(folder / "chroma")
    except ImportError:
        return {}
    except chroma_index.IndexUnavailableError:
        return {}
    chosen: list[Entry] = []
    steps = 0
    for entry in held:
        if steps >= _CHROMA_STEPS:
            break
        chosen.append(entry)
        steps += len(entry.observation)
    index = chroma_index.ChromaIndex(client, "default", "household", embedder)
    index.add(chosen)
    ours = []
    for query in queries:
        start = time.process_time()
        index.find_steps(query, k, 6 * k + 10)
        ours.append((time.process_time() - start) * 1e3)
    return {
        "Chroma, step collection filtered by instance": _filtered(client, chosen, queries, k)
        | {"steps": steps},
        "our Chroma index": {"cpu_ms_mean": float(np.mean(ours)), "steps": steps},
    }


def _filtered(client: object, chosen: Sequence[Entry], queries: Sequence[StepQuery], k: int) -> Figures:
    collection = client.create_collection(  # type: ignore[attr-defined]
        "filtered", configuration={"hnsw": {"space": "ip"}}, embedding_function=None
    )
    rows = [(f"{e.id}#{n}", row, e.instance) for e in chosen for n, row in enumerate(e.observation)]
    for start in range(0, len(rows), 2_000):
        ids, vectors, instances = zip(*rows[start : start + 2_000], strict=True)
        about = [{"instance": instance} for instance in instances]
        collection.add(ids=list(ids), embeddings=list(vectors), metadatas=about)
    samples = []
    for query in queries:
        where = {"instance": {"$ne": next(iter(query.exclude.instances))}}
        start_s = time.process_time()
        collection.query(query_embeddings=[query.state], n_results=k, where=where)
        samples.append((time.process_time() - start_s) * 1e3)
    return {"cpu_ms_mean": float(np.mean(samples))}
