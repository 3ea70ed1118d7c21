"""Retrieval: CPU time of a decision at 100,000 and 1,000,000 steps, recall, and the cold open of a store.

    python benchmarks/retrieval.py [--quick] [--json] [--embedder minilm] [--keep FOLDER]

What is measured, and on what:

- The steps are those of the expert in generated households, played here (all of them; with `--quick` 3,000,
and copies of them about other things in other places up to 100,000). The queries are steps of other
households (split `dev`), in the order in which an episode asks them, k = 6. - `cpu_ms_100k` is
`Retriever.for_step` as the runtime calls it, reading the excerpts from the store included; only the embedding
was done before (cached vectors are looked up). Mean over the decisions, all threads of the process. -
`cpu_ms_1m` is the same search in an index of 1,000,000 steps. Their texts are not played: they are the
100,000 with noise added to each distinct vector in each copy, so that there are ten times as many distinct
ones (in households the number of distinct situations hardly grows), plus the reading of the excerpts (from
memory as far as they were read lately). - `recall_100k` is the share of results that are among the k best of
all steps by the same score, computed by brute force without the cut to M; results that tie with the k-th
count. `recall_cut_100k` is what the cut would leave. - `cold_open_s` is the wall time from opening the store
to the first result in a new process (imports excluded, the files in the system's cache).
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from common import emit, interval
from retrieval_plain import chroma_peers, numpy_peer
from step_texts import played, renamed

from icd_memory.embedding import CachedEmbedder, Embedder, HashingEmbedder, normalised
from icd_memory.exact_index import ExactIndex
from icd_memory.index import Entry, Exclusion, StateKey, StepQuery
from icd_memory.retrieval import Family, Memory, Query, RetrievalSettings, state_text
from icd_memory.store import Store
from icd_memory.trajectory import Trajectory

K = 6
STEPS = 100_000
FAMILY = Family("default", "household")


@dataclass(frozen=True, slots=True)
class Ask:
    """One decision to retrieve for."""

    query: Query
    first: bool
    """The first of its episode: goal and plan were not asked for before."""


class Watched(ExactIndex):
    """An index that remembers what it was given, for the brute force."""

    def __init__(self, embedder_id: str, dimension: int, file: Path) -> None:
        super().__init__(embedder_id, dimension, file)
        self.held: list[Entry] = []

    def add(self, entries: Sequence[Entry]) -> None:
        self.held += entries
        super().add(entries)


def asks(trajectories: Sequence[Trajectory], key: StateKey) -> list[Ask]:
    """The decisions of these episodes, in order."""
    return [
        Ask(
            Query(
                goal=t.goal,
                environment=t.environment,
                category=t.category,
                plan=t.plan,
                state=state_text(step.observation, step.view, t.goal)
                if key == "observation"
                else step.reasoning,
                state_key=key,
                instance=t.instance,
            ),
            number == 0,
        )
        for t in trajectories
        for number, step in enumerate(t.steps)
    ]


def cpu_ms(work: Callable[[], object]) -> float:
    start = time.process_time()
    work()
    return (time.process_time() - start) * 1e3


def measure(memory: Memory, questions: Sequence[Ask]) -> list[float]:
    """CPU milliseconds of each decision, embedding excluded."""
    for ask in questions:
        texts = [ask.query.goal, ask.query.category, ask.query.plan, ask.query.state]
        memory.embedder.embed(texts)
    retriever = memory.retriever
    return [cpu_ms(lambda ask=ask: retriever.for_step(ask.query, K)) for ask in questions]  # type: ignore[misc]


def step_query(ask: Ask, embedder: Embedder, weight: float) -> StepQuery:
    q = ask.query
    goal, category, plan, state = embedder.embed([q.goal, q.category, q.plan, q.state])
    keys = {"goal": goal, "category": category, "plan": plan}
    return StepQuery(keys, state, q.state_key, weight, Exclusion(frozenset({q.instance})))  # type: ignore[arg-type]


class BruteForce:
    """The score of every trajectory by its definition."""

    def __init__(self, held: Sequence[Entry]) -> None:
        self.place = {entry.id: place for place, entry in enumerate(held)}
        self._instances = np.asarray([entry.instance for entry in held])
        self._keys = {
            key: _distinct([getattr(e, key)[None] for e in held]) for key in ("goal", "category", "plan")
        }
        self._states = {
            key: _distinct([getattr(e, key) for e in held]) for key in ("observation", "reasoning")
        }
        self._starts = np.cumsum([0] + [len(entry.observation) for entry in held])[:-1]

    def scores(self, query: StepQuery) -> tuple[np.ndarray, np.ndarray]:
        """The trajectories' scores by the keys, and their totals."""
        parts = [(vectors @ query.keys[key])[codes] for key, (vectors, codes) in self._keys.items()]  # type: ignore[index]
        by_keys = np.mean(parts, axis=0)
        by_keys[np.isin(self._instances, list(query.exclude.instances))] = -np.inf
        vectors, codes = self._states[query.state_key]
        best = np.maximum.reduceat((vectors @ query.state)[codes], self._starts)
        return by_keys, by_keys + query.step_weight * best


def _distinct(parts: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """The distinct rows, and which one each row is: only to save the brute force its memory."""
    seen: dict[bytes, int] = {}
    rows: list[np.ndarray] = []
    codes = []
    for row in np.concatenate(parts):
        code = seen.setdefault(row.tobytes(), len(rows))
        if code == len(rows):
            rows.append(row)
        codes.append(code)
    return np.stack(rows), np.asarray(codes)


def recall(memory: Memory, held: Sequence[Entry], questions: Sequence[Ask]) -> dict[str, float]:
    """Recall of the index, and of a cut to the first M by the keys, against brute force."""
    index = memory.index(FAMILY)
    truth = BruteForce(held)
    weight = memory.settings.step_weight
    kept: list[float] = []
    cut: list[float] = []
    for ask in questions:
        query = step_query(ask, memory.embedder, weight)
        by_keys, totals = truth.scores(query)
        least = np.partition(totals, len(totals) - K)[len(totals) - K] - 1e-4
        found = [truth.place[hit.trajectory_id] for hit in index.find_steps(query, K, 6 * K + 10)]
        kept.append(float(np.mean(totals[found] >= least)) if len(set(found)) == K else 0.0)
        first = np.argsort(-by_keys, kind="stable")[: 6 * K + 10]
        cut.append(min(1.0, float(np.sum(totals[first] >= least)) / K))
    return {"recall_100k": float(np.mean(kept)), "recall_cut_100k": float(np.mean(cut))}


def enlarged(held: Sequence[Entry], copies: int) -> list[Entry]:
    """The entries and noisy copies of them; equal vectors stay equal within a copy."""
    rng = np.random.default_rng(0)
    found = list(held)
    for copy in range(1, copies):
        known: dict[bytes, np.ndarray] = {}

        def noisy(row: np.ndarray, known: dict[bytes, np.ndarray] = known) -> np.ndarray:
            key = row.tobytes()
            if key not in known:
                noise = rng.standard_normal(row.shape, dtype=np.float32) * (0.25 / np.sqrt(len(row)))
                known[key] = normalised((row + noise)[None])[0] if row.any() else row
            return known[key]

        found += [
            replace(
                entry,
                id=f"{entry.id}//{copy}",
                goal=noisy(entry.goal),
                plan=noisy(entry.plan),
                observation=np.stack([noisy(row) for row in entry.observation]),
                reasoning=np.stack([noisy(row) for row in entry.reasoning]),
            )
            for entry in held
        ]
    return found


def measure_million(
    memory: Memory, held: Sequence[Entry], questions: Sequence[Ask]
) -> tuple[list[float], int]:
    """CPU milliseconds of each decision in an index ten times as large, and its number of steps."""
    index = ExactIndex(memory.embedder.id, memory.embedder.dimension)
    index.add(enlarged(held, 10))
    queries = [step_query(ask, memory.embedder, memory.settings.step_weight) for ask in questions]
    index.find_steps(queries[0], K, 0)  # makes what a first search makes

    def decide(query: StepQuery) -> None:
        hits = index.find_steps(query, K, 0)
        memory.trajectories_by_id([hit.trajectory_id.split("//")[0] for hit in hits])

    return [cpu_ms(lambda query=query: decide(query)) for query in queries], index.steps  # type: ignore[misc]


def cold_open(store: Path, index: Path) -> float:
    """Seconds from opening the store to the first result in a new process."""
    code = (
        "import sys, time, pathlib;"
        "from icd_memory.store import Store; from icd_memory.exact_index import ExactIndex;"
        "from icd_memory.retrieval import Memory, Query; from icd_memory.embedding import HashingEmbedder;"
        "start = time.perf_counter();"
        "noted = Store.open(sys.argv[1]);"
        "embedder = type('Known', (), {'id': noted.note('embedder'), 'dimension': 384,"
        " 'embed': lambda self, texts: HashingEmbedder().embed(texts)})();"
        "make = lambda family, e: ExactIndex(e.id, e.dimension, pathlib.Path(sys.argv[2]));"
        "memory = Memory.open(noted, embedder, make_index=make);"
        "found = memory.retriever.for_step(Query('find a mug', 'household', state='Here: shelf'), 6);"
        "print(time.perf_counter() - start if len(found) == 6 else 'nothing found')"
    )
    command = [sys.executable, "-c", code, str(store), str(index)]
    done = subprocess.run(
        command, capture_output=True, text=True, check=True, env={"PYTHONPATH": ":".join(sys.path)}
    )
    return float(done.stdout)


def make_embedder(name: str) -> Embedder:
    if name == "minilm":
        from icd_memory.minilm import MiniLMEmbedder

        return MiniLMEmbedder(threads=1)
    return HashingEmbedder()


def say(text: str) -> None:
    print(f"[{time.process_time():6.1f} CPU s] {text}", flush=True)


def prepare(folder: Path, arguments: argparse.Namespace) -> tuple[Memory, list[Entry], list[Trajectory]]:
    """Play, store, embed and index; return the memory, what its index holds, and the episodes to ask for."""
    if arguments.quick:
        trajectories = list(renamed(played("train", 3_000), STEPS))
    else:
        trajectories = played("train", STEPS, arguments.keep)
    questions = played("dev", 300 if arguments.quick else 1_000, arguments.keep)
    say(f"{len(trajectories)} episodes with {sum(len(t.steps) for t in trajectories)} steps")
    indexes: list[Watched] = []

    def make_index(family: Family, embedder: Embedder) -> Watched:
        indexes.append(Watched(embedder.id, embedder.dimension, folder / "index"))
        return indexes[0]

    store = Store.open(folder / "store.db")
    with store.transaction():
        for trajectory in trajectories:
            store.add_trajectory(trajectory, status="demonstration")
    memory = Memory.open(
        store,
        CachedEmbedder(make_embedder(arguments.embedder), store, size=300_000),
        settings=RetrievalSettings(),
        make_index=make_index,
    )
    memory.index(FAMILY)
    say(f"stored, embedded with {memory.embedder.id} and indexed")
    return memory, indexes[0].held, questions


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="under 50 s; without cpu_ms_1m and Chroma")
    parser.add_argument("--json", action="store_true", help="the last line is JSON")
    parser.add_argument("--embedder", choices=["hashing", "minilm"], default="hashing")
    parser.add_argument("--keep", type=Path, help="a folder to keep the played episodes in between runs")
    arguments = parser.parse_args()
    figures: dict[str, float | int | None] = {}
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        memory, held, played_questions = prepare(folder, arguments)
        by_view = asks(played_questions, "observation")
        samples = measure(memory, by_view)
        figures["cpu_ms_100k"] = float(np.mean(samples))
        figures["cpu_ms_100k_p95"] = float(np.percentile(samples, 95))
        firsts = [sample for sample, ask in zip(samples, by_view, strict=True) if ask.first]
        figures["cpu_ms_100k_first_of_episode"] = float(np.mean(firsts))
        by_reasoning = asks(played_questions, "reasoning")
        figures["cpu_ms_100k_reasoning"] = float(np.mean(measure(memory, by_reasoning)))
        say(f"CPU ms of a decision at 100,000 steps: median {interval(samples)}")
        figures |= recall(memory, held, [*by_view[::3], *by_reasoning[::3]])
        say("recall")
        figures["cold_open_s"] = cold_open(folder / "store.db", folder / "index")
        peers = {
            "numpy, all steps at 100k": numpy_peer(
                held, [step_query(a, memory.embedder, 3.0) for a in by_view[:40]], K
            )
        }
        if not arguments.quick:
            million, steps = measure_million(memory, held, by_view)
            figures["cpu_ms_1m"] = float(np.mean(million))
            figures["cpu_ms_1m_p95"] = float(np.percentile(million, 95))
            say(f"CPU ms of a decision at {steps} steps: median {interval(million)}")
            peers |= chroma_peers(
                folder, held, [step_query(a, memory.embedder, 3.0) for a in by_view[:40]], memory.embedder, K
            )
        memory.close()
    emit("retrieval", figures, peers, arguments.json)


if __name__ == "__main__":
    main()
