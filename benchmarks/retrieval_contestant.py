"""One peer that searches, in a process and an environment of its own: DSPy's KNN, or LangChain's example selector.

    python retrieval_contestant.py SYSTEM VECTORS FOLDER K BUILT

SYSTEM: dspy-knn, langchain-flat, langchain-hnsw, langchain-chroma. VECTORS: ``state`` (a step's state alone), or
``joint`` (goal, category, plan and state one after the other, so weighted that the inner product of two such vectors is
the score that our retrieval ranks by). FOLDER is what `retrieval_data.prepare` wrote. BUILT is kept between runs.

Every embedding is a look-up, so only search is measured. With ``joint`` vectors eight times as many are asked for, and
the best of each trajectory that the leak guard allows is kept here: none of them can be asked for that.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from retrieval_worker import Search, resident_mb, serve

OVERFETCH = 8
EF_SEARCH = (16, 256)
"""FAISS's default, and one with which its recall of the plain task is high."""
_ADD = 2_000


class Vectors:
    """What the peers are given, looked up by a text: ``s17`` is step 17, ``q3`` the third query."""

    def __init__(self, folder: Path, kind: str) -> None:
        def read(name: str) -> np.ndarray:
            return np.load(folder / f"{name}.npy", mmap_mode="r")

        self._joint = kind == "joint"
        self._weight = float(json.loads((folder / "about.json").read_text())["step_weight"])
        self._states, self._keys, self.owners = read("states"), read("keys"), np.array(read("owners"))
        self._query_states, self._query_keys = np.array(read("query_states")), np.array(read("query_keys"))
        self.instances, self.query_instances = np.array(read("instances")), np.array(read("query_instances"))
        self.steps = len(self._states)
        self.dimension = self._states.shape[1] * (4 if self._joint else 1)

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        names = [text.rsplit(" ", 1)[-1] for text in texts]
        numbers = np.fromiter((int(name[1:]) for name in names), dtype=np.int64)
        if names and names[0][0] == "q":
            return self._put_together(self._query_states[numbers], self._query_keys[numbers])
        keys = self._keys[self.owners[numbers]] if self._joint else self._keys[:0]
        return self._put_together(self._states[numbers], keys)

    def _put_together(self, states: np.ndarray, keys: np.ndarray) -> np.ndarray:
        if not self._joint:
            return np.array(states)
        parts = [*(keys[:, number] / np.sqrt(3) for number in range(3)), states * np.sqrt(self._weight)]
        return np.hstack(parts).astype(np.float32)

    def guarded(self, query: int, rows: Sequence[int], k: int) -> list[int]:
        """Return the first row of each trajectory, without those of the query's own instance."""
        kept: dict[int, int] = {}
        for row in rows:
            owner = int(self.owners[row])
            if row >= 0 and owner not in kept and self.instances[owner] != self.query_instances[query]:
                kept[owner] = row
                if len(kept) == k:
                    break
        return list(kept.values())


def dspy_knn(vectors: Vectors, k: int, _: Path) -> dict[str, Search]:
    """DSPy's retriever of `KNNFewShot`; its embedder does not cache, which would only take time here."""
    import dspy
    from dspy.predict.knn import KNN

    steps = [dspy.Example(state=f"s{row}").with_inputs("state") for row in range(vectors.steps)]
    found = KNN(k, steps, dspy.Embedder(vectors.embed, caching=False, batch_size=_ADD))
    return {"select": lambda query: [int(step.state[1:]) for step in found(state=f"q{query}")]}


def langchain(store: Callable[[object], object], vectors: Vectors, k: int) -> tuple[object, Search]:
    """LangChain's selector over a vector store, which `store` makes from the embedding."""
    from langchain_core.embeddings import Embeddings
    from langchain_core.example_selectors import SemanticSimilarityExampleSelector

    class Known(Embeddings):
        def embed_documents(self, texts: list[str]) -> list[list[float]]:
            return vectors.embed(texts)  # type: ignore[return-value]

        def embed_query(self, text: str) -> list[float]:
            return vectors.embed([text])[0].tolist()  # type: ignore[no-any-return]

    made = store(Known())
    selector = SemanticSimilarityExampleSelector(vectorstore=made, k=k, input_keys=["state"])
    return made, lambda query: [
        int(step["state"][1:]) for step in selector.select_examples({"state": f"q{query}"})
    ]


def langchain_faiss(vectors: Vectors, k: int, built: Path, hnsw: bool) -> dict[str, Search]:
    """FAISS in LangChain, and the index of FAISS alone (``raw``)."""
    import faiss
    from langchain_community.docstore.in_memory import InMemoryDocstore
    from langchain_community.vectorstores import FAISS
    from langchain_core.documents import Document

    index = _faiss_index(vectors, built, hnsw)
    steps = {
        str(r): Document(page_content=f"s{r}", metadata={"state": f"s{r}"}) for r in range(vectors.steps)
    }
    names = {row: str(row) for row in range(vectors.steps)}
    made = langchain(lambda known: FAISS(known, index, InMemoryDocstore(steps), names), vectors, k)
    faiss.omp_set_num_threads(1)
    searches: dict[str, Search] = {}
    for ef in EF_SEARCH if hnsw else (0,):
        suffix = f" ef {ef}" if ef else ""
        raw: Search = lambda query: index.search(vectors.embed([f"q{query}"]), k)[1][0]  # noqa: E731
        for mode, search in (("select", made[1]), ("raw", raw)):
            searches[mode + suffix] = _with_ef(index, ef, search) if ef else search
    return searches


def _with_ef(index: object, ef: int, search: Search) -> Search:
    def searched(query: int) -> Sequence[int]:
        index.hnsw.efSearch = ef  # type: ignore[attr-defined]
        return search(query)

    return searched


def _faiss_index(vectors: Vectors, built: Path, hnsw: bool) -> object:
    import faiss

    if hnsw and built.exists():
        return faiss.read_index(str(built))
    metric = faiss.METRIC_INNER_PRODUCT
    index = (
        faiss.IndexHNSWFlat(vectors.dimension, 32, metric)
        if hnsw
        else faiss.IndexFlat(vectors.dimension, metric)
    )
    for start in range(0, vectors.steps, _ADD):
        rows = range(start, min(start + _ADD, vectors.steps))
        index.add(vectors.embed([f"s{row}" for row in rows]))
    if hnsw:
        built.parent.mkdir(parents=True, exist_ok=True)
        faiss.write_index(index, f"{built}.new")
        Path(f"{built}.new").rename(built)
    return index


def langchain_chroma(vectors: Vectors, k: int, built: Path) -> dict[str, Search]:
    """Chroma in LangChain, in a folder."""
    from chromadb.config import Settings
    from langchain_chroma import Chroma

    def store(known: object) -> object:
        made = Chroma(
            "steps",
            known,  # type: ignore[arg-type]
            persist_directory=str(built),
            client_settings=Settings(anonymized_telemetry=False, is_persistent=True),
            collection_configuration={"hnsw": {"space": "ip"}},
        )
        for start in range(made._collection.count(), vectors.steps, _ADD):
            names = [f"s{row}" for row in range(start, min(start + _ADD, vectors.steps))]
            made.add_texts(names, metadatas=[{"state": name} for name in names], ids=names)
        return made

    return {"select": langchain(store, vectors, k)[1]}


def main() -> None:
    system, kind, folder, k, built = sys.argv[1:]
    vectors = Vectors(Path(folder), kind)
    asked = int(k) * (OVERFETCH if kind == "joint" else 1)
    make = {
        "dspy-knn": dspy_knn,
        "langchain-flat": lambda *args: langchain_faiss(*args, hnsw=False),
        "langchain-hnsw": lambda *args: langchain_faiss(*args, hnsw=True),
        "langchain-chroma": langchain_chroma,
    }[system]
    before, start = resident_mb(), time.process_time()
    searches = make(vectors, asked, Path(built))
    if kind == "joint":
        searches = {
            mode: lambda query, search=search: vectors.guarded(query, search(query), int(k))  # type: ignore[misc]
            for mode, search in searches.items()
        }
    serve(searches, {"build_cpu_s": time.process_time() - start, "before_mb": before})


if __name__ == "__main__":
    main()
