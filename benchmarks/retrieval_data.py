"""The steps and queries that all contestants of the retrieval benchmark search, as files, and the true answers.

A folder holds ``states`` (a row a step), ``keys`` (goal, category and plan of each trajectory), ``owners`` (of each
step), ``instances``, the same of the queries, ``queries.json`` (their texts) and our index. Half of the queries are
steps of episodes that are stored, whose own instance the leak guard has to hide; the others are of other households.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
from retrieval import FAMILY, Ask, Watched, asks, enlarged, make_embedder
from step_texts import played, renamed

import icd_memory
from icd_memory.embedding import CachedEmbedder, normalised
from icd_memory.exact_index import ExactIndex
from icd_memory.index import Entry
from icd_memory.retrieval import Memory, RetrievalSettings
from icd_memory.store import Store
from icd_memory.trajectory import Trajectory

__all__ = ["Truth", "prepare"]

QUERIES = 200
STORED_STEPS = 100_000
"""A larger index is made from noisy copies of so many steps; the excerpts are read from their store."""
_PLAYED = 3_000
_NOISE = 0.25
"""Length of the noise; a vector has length 1."""
_TIE = 1e-4


def prepare(steps: int, embedder: str, cache: Path, distinct: bool = False) -> Path:
    """Return the folder of so many steps, made if it is not in `cache`; `distinct`: no two situations are alike."""
    name = f"retrieval-{steps}-{embedder}{'-distinct' if distinct else ''}"
    folder = cache / f"{name}-{_code_version()}"
    if folder.exists():
        return folder
    made = folder.with_suffix(".new")
    shutil.rmtree(made, ignore_errors=True)
    made.mkdir(parents=True)
    if distinct or steps > STORED_STEPS:
        stored = prepare(min(steps, STORED_STEPS), embedder, cache)
        _make_larger(made, stored, max(1, steps // STORED_STEPS), distinct)
    else:
        _make_stored(made, steps, embedder)
    for old in cache.glob(f"{name}-????????????"):
        if old != made:
            shutil.rmtree(old)
    return made.rename(folder)


def _make_stored(folder: Path, steps: int, embedder: str) -> None:
    trajectories = list(renamed(played("train", min(_PLAYED, steps)), steps))
    held: list[Watched] = []

    def make_index(_: object, used: CachedEmbedder) -> Watched:
        held.append(Watched(used.id, used.dimension, folder / "index"))
        return held[0]

    with Store.open(folder / "store.db") as store:
        with store.transaction():
            for trajectory in trajectories:
                store.add_trajectory(trajectory, status="demonstration")
        cached = CachedEmbedder(make_embedder(embedder), store, size=300_000)
        settings = RetrievalSettings()
        with Memory.open(store, cached, settings=settings, make_index=make_index) as memory:  # type: ignore[arg-type]
            memory.index(FAMILY)
            _write_queries(folder, _questions(trajectories), cached)
            about = {"embedder": cached.id, "dimension": cached.dimension, "store": "store.db"}
            _write(folder, held[0].held, {**about, "step_weight": settings.step_weight})


def _make_larger(folder: Path, stored: Path, copies: int, distinct: bool) -> None:
    about = json.loads((stored / "about.json").read_text())
    held = _entries(stored)
    entries = _varied(held, copies) if distinct else enlarged(held, copies)
    index = ExactIndex(about["embedder"], about["dimension"], folder / "index")
    index.add(entries)
    index.close()
    for name in ("query_states.npy", "query_keys.npy", "queries.json"):
        shutil.copy(stored / name, folder / name)
    _write(folder, entries, {**about, "store": str(stored / about["store"])})


def _varied(held: Sequence[Entry], copies: int) -> list[Entry]:
    """Return copies of the entries with noise on every vector, so that none is kept once for many."""
    rng = np.random.default_rng(0)

    def noisy(rows: np.ndarray) -> np.ndarray:
        noise = rng.standard_normal(rows.shape, dtype=np.float32) * (_NOISE / np.sqrt(rows.shape[-1]))
        return normalised(rows + noise)

    return [
        replace(
            entry,
            id=f"{entry.id}//{copy}",
            goal=noisy(entry.goal[None])[0],
            plan=noisy(entry.plan[None])[0],
            observation=noisy(entry.observation),
            reasoning=noisy(entry.reasoning),
        )
        for copy in range(copies)
        for entry in held
    ]


def _questions(trajectories: Sequence[Trajectory]) -> list[Ask]:
    """Return decisions in the order in which episodes ask for them."""
    half = QUERIES // 2
    others = asks(played("dev", half), "observation")[:half]
    return [*others, *asks(trajectories[:: max(1, len(trajectories) // 20)], "observation")[:half]]


def _write_queries(folder: Path, questions: Sequence[Ask], embedder: CachedEmbedder) -> None:
    queries = [asdict(ask.query) | {"exclude_splits": []} for ask in questions]
    keys = [embedder.embed([q["goal"], q["category"], q["plan"]]) for q in queries]
    np.save(folder / "query_keys.npy", np.stack(keys))
    np.save(folder / "query_states.npy", embedder.embed([q["state"] for q in queries]))
    (folder / "queries.json").write_text(json.dumps(queries))


def _write(folder: Path, held: Sequence[Entry], about: dict[str, object]) -> None:
    states = np.concatenate([entry.observation for entry in held])
    np.save(folder / "states.npy", states)
    np.save(folder / "reasonings.npy", np.concatenate([entry.reasoning for entry in held]))
    np.save(folder / "keys.npy", np.stack([np.stack([e.goal, e.category, e.plan]) for e in held]))
    counts = [len(entry.observation) for entry in held]
    np.save(folder / "owners.npy", np.repeat(np.arange(len(held)), counts))
    numbers: dict[str, int] = {}
    np.save(
        folder / "instances.npy",
        np.asarray([numbers.setdefault(entry.instance, len(numbers)) for entry in held]),
    )
    queries = json.loads((folder / "queries.json").read_text())
    np.save(
        folder / "query_instances.npy", np.asarray([numbers.get(query["instance"], -1) for query in queries])
    )
    distinct = len({row.tobytes() for row in states})
    names = [[entry.id, entry.version, entry.instance, entry.split] for entry in held]
    (folder / "trajectories.json").write_text(json.dumps(names))
    (folder / "about.json").write_text(
        json.dumps({**about, "steps": len(states), "trajectories": len(held), "distinct_states": distinct})
    )


def _entries(folder: Path) -> list[Entry]:
    keys, owners = np.load(folder / "keys.npy"), np.load(folder / "owners.npy")
    cuts = np.searchsorted(owners, np.arange(1, len(keys)))
    states = np.split(np.load(folder / "states.npy"), cuts)
    reasonings = np.split(np.load(folder / "reasonings.npy"), cuts)
    names = json.loads((folder / "trajectories.json").read_text())
    return [
        Entry(*name, *vectors, state, reasoning)
        for name, vectors, state, reasoning in zip(names, keys, states, reasonings, strict=True)
    ]


def _code_version() -> str:
    """Return a fingerprint of what the files hang on."""
    here = Path(__file__)
    sources = [*sorted(Path(icd_memory.__file__).parent.glob("*.py")), here, here.with_name("step_texts.py")]
    return hashlib.sha256(b"\0".join(source.read_bytes() for source in sources)).hexdigest()[:12]


@dataclass(frozen=True, slots=True, eq=False)
class Truth:
    """The exact answers, by comparing with every step; what ties with the k-th counts as right."""

    folder: Path
    k: int
    least_asked: np.ndarray
    """The k-th best total of a trajectory that the leak guard allows."""
    least_plain: np.ndarray
    """The k-th best cosine of any step's state."""

    @classmethod
    def of(cls, folder: Path, k: int) -> Truth:
        """Compare every query with every step."""
        states = np.load(folder / "states.npy", mmap_mode="r")
        keys, owners = np.load(folder / "keys.npy"), np.load(folder / "owners.npy")
        instances, own = np.load(folder / "instances.npy"), np.load(folder / "query_instances.npy")
        query_states, query_keys = np.load(folder / "query_states.npy"), np.load(folder / "query_keys.npy")
        weight = json.loads((folder / "about.json").read_text())["step_weight"]
        starts = np.searchsorted(owners, np.arange(len(keys)))
        asked, plain = [], []
        for first in range(0, len(query_states), 25):
            some = slice(first, first + 25)
            cosines = np.concatenate(
                [states[at : at + 50_000] @ query_states[some].T for at in range(0, len(states), 50_000)]
            )
            by_keys = np.einsum("tkd,qkd->tq", keys, query_keys[some], optimize=True) / 3
            by_keys[instances[:, None] == own[some][None]] = -np.inf
            totals = by_keys + weight * np.maximum.reduceat(cosines, starts, axis=0)
            asked.append(np.partition(totals, len(totals) - k, axis=0)[len(totals) - k])
            plain.append(np.partition(cosines, len(cosines) - k, axis=0)[len(cosines) - k])
        return cls(folder, k, np.concatenate(asked), np.concatenate(plain))

    def recalls(self, found: Sequence[Sequence[int]]) -> tuple[list[float], list[float]]:
        """Return for each query the share found of what is asked for, and of the plain nearest steps."""
        states = np.load(self.folder / "states.npy", mmap_mode="r")
        keys = np.load(self.folder / "keys.npy", mmap_mode="r")
        owners, instances = np.load(self.folder / "owners.npy"), np.load(self.folder / "instances.npy")
        own = np.load(self.folder / "query_instances.npy")
        query_states = np.load(self.folder / "query_states.npy")
        query_keys = np.load(self.folder / "query_keys.npy")
        weight = json.loads((self.folder / "about.json").read_text())["step_weight"]
        asked, plain = [], []
        for query, rows in enumerate(found):
            chosen = np.unique(np.asarray(rows, dtype=np.int64))
            chosen = chosen[chosen >= 0]
            cosines = states[chosen] @ query_states[query]
            plain.append(float(np.sum(cosines >= self.least_plain[query] - _TIE)) / self.k)
            whose = owners[chosen]
            totals = (
                np.einsum("tkd,kd->t", keys[whose], query_keys[query]) / 3 + weight * cosines
                if len(chosen)
                else cosines
            )
            right = (totals >= self.least_asked[query] - _TIE) & (instances[whose] != own[query])
            asked.append(len(np.unique(whose[right])) / self.k)
        return asked, plain
