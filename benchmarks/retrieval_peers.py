"""Retrieval beside its peers: latency, CPU, memory and recall at 10^4, 10^5 and 10^6 steps, in one run.

    python benchmarks/retrieval_peers.py [--quick] [--json] [--million] [--embedder minilm] [--no-install]

Who is compared (every contestant in a process of its own, with one thread; the peers in an environment of their own):

- `icd`: `Retriever.for_step`, excerpts read from the store (at 10^6: of the 10^5 that are stored); `icd-search`: its
index alone; `icd-state`: its index, asked by the state alone.
- `dspy-knn`: the retriever of DSPy's `KNNFewShot`; `langchain-flat`, `-hnsw`, `-chroma`: LangChain's
`SemanticSimilarityExampleSelector` over FAISS (exact; HNSW with M 32 and efSearch 16 or 256) and Chroma; `raw`: FAISS's
own search, without LangChain.

What they are asked for, k = 6:

- **asked**: what our retrieval is for, the best step of each of the k best trajectories by mean cosine of goal,
category and plan plus 3 times the state's, none of the query's own instance. Peers get `joint` vectors, whose inner
product is this very score (four times the dimensions), and eight times k, from which the best k trajectories are kept:
they know neither trajectories nor a guard that all of them could apply in the search.
- **plain**: the k nearest steps by the state's vector. Ours returns one step a trajectory, so of two steps of one
trajectory it misses one.

Recall is against comparison with every step; ties with the k-th count. Everybody is measured against both, whatever
vectors it has. All search the same vectors for the same 200 queries; the embedding is a look-up for all (`embed_ms`: what
it would take, per decision, the same for all). Blocks of ten queries go round among the contestants. Means over the
queries; ratios of means with bootstrap bounds over queries.

Two kinds of data: `played`, situations as households have them, in which few are distinct (`distinct_states`), which
our index uses; `distinct`, with noise on every vector, so that no two are alike. A million steps are noisy copies of the
played ones: ten of each. Peers' stores are built once and kept in the benchmark's cache, which takes about half an hour
with `--million`.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryFile

import numpy as np
from common import Figures, emit, machine
from peer_environment import CACHE, PeerMissingError, environment_python
from retrieval import K, make_embedder
from retrieval_data import QUERIES, Truth, prepare

from icd_memory.errors import IcdMemoryError

REQUIREMENTS = (
    # LiteLLM is not the newest: 1.107.0 is reported as compromised and withdrawn.
    "dspy==3.4.1",
    "litellm==1.102.4",
    "langchain-community==0.4.2",
    "langchain-chroma==1.1.0",
    "faiss-cpu==1.15.1",
)
PEERS = ("dspy-knn", "langchain-flat", "langchain-hnsw", "langchain-chroma")
OURS = ("icd", "icd-search", "icd-state")
_BLOCK = 10
_MAX_GB = 12.0
_SHARE = 0.75
"""Of the machine's memory, what all contestants together may take."""
_EQUAL = 0.005
"""Recalls nearer than this count as equal."""
_HERE = Path(__file__).parent
_THREADS = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


@dataclass(frozen=True, slots=True)
class Case:
    """One set of steps."""

    steps: int
    distinct: bool = False

    def __str__(self) -> str:
        return f"{self.steps} {'distinct' if self.distinct else 'played'}"


QUICK = (Case(10_000), Case(10_000, distinct=True))
FULL = (Case(10_000), Case(100_000), Case(100_000, distinct=True))
MILLION = (Case(1_000_000),)


@dataclass(slots=True)
class Samples:
    """What one contestant did in one mode, a value a query."""

    name: str
    wall_ms: list[float] = field(default_factory=list)
    cpu_ms: list[float] = field(default_factory=list)
    found: list[list[int]] = field(default_factory=list)
    asked: float = 0.0
    """Recall of what is asked for."""
    plain: float = 0.0
    """Recall of the plain nearest steps."""
    memory_mb: float = 0.0
    """Resident, less what was resident before anything was loaded."""
    build_cpu_s: float = 0.0


class Contestant:
    """A process that searches."""

    def __init__(self, name: str, command: Sequence[str]) -> None:
        self.name = name
        environment = {**os.environ, **_THREADS, "PYTHONPATH": ":".join(path for path in sys.path if path)}
        if command[0] != sys.executable:
            del environment["PYTHONPATH"]
        self._said = TemporaryFile("w+")  # noqa: SIM115
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._said, text=True, env=environment
        )  # fmt: skip
        self.about = self._answer()
        self.modes: list[str] = self.about["modes"]  # type: ignore[assignment]

    def search(self, mode: str, queries: Sequence[int]) -> dict[str, list[object]]:
        """Search for the queries, one after the other."""
        return self._ask({"mode": mode, "queries": list(queries)})

    def memory_mb(self) -> float:
        """Return what it holds."""
        return float(self._ask({"mode": "memory"})["resident_mb"]) - float(self.about["before_mb"])

    def close(self) -> None:
        """End the process."""
        self._process.communicate()
        self._said.close()

    def _ask(self, request: dict[str, object]) -> dict:  # type: ignore[type-arg]
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> dict:  # type: ignore[type-arg]
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            self._process.wait()
            self._said.seek(0)
            said = self._said.read().strip().splitlines()[-1:]
            raise PeerMissingError(f"{self.name} ended: {''.join(said)[:300]}")
        return dict(json.loads(line))


def skipped(system: str, vectors: str, case: Case, left_gb: float) -> str:
    """Return why a peer is left out, empty if it is not; `left_gb` is the memory that the others have left."""
    dimension = 384 * (4 if vectors == "joint" else 1)
    # DSPy holds the vectors three times while it starts; a step's record takes about 1.5 kB.
    needed = case.steps * ((3 if system == "dspy-knn" else 1) * 4 * dimension + 1_500) / 1e9
    if needed > _MAX_GB:
        return f"needs about {needed:.0f} GB"
    if needed > left_gb:
        return f"needs about {needed:.0f} GB, {max(left_gb, 0):.0f} are left beside the others"
    if system == "langchain-chroma" and vectors == "joint" and case.steps > 100_000:
        return "adds a few hundred steps a second: an hour"
    return ""


def contestants(folder: Path, python: Path | None) -> Iterator[tuple[str, str, list[str]]]:
    """Yield system, vectors and command."""
    for system in OURS:
        yield system, "", [sys.executable, str(_HERE / "retrieval_icd.py"), system, str(folder), str(K)]
    # States alone first: they take a quarter of the memory, and what comes last may find none left.
    for vectors in ("state", "joint") if python is not None else ():
        for system in PEERS:
            script = str(_HERE / "retrieval_contestant.py")
            built = str(folder / "built" / f"{system}-{vectors}")
            yield system, vectors, [str(python), script, system, vectors, str(folder), str(K), built]


def say(text: str) -> None:
    print(f"[{time.strftime('%H:%M:%S')}] {text}", flush=True)


def measure(
    case: Case, arguments: argparse.Namespace, python: Path | None
) -> tuple[list[Samples], dict[str, str]]:
    """Measure everybody on one set of steps."""
    # In a process of its own: what it took is not given back before its end.
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        folder = pool.submit(prepare, case.steps, arguments.embedder, CACHE, case.distinct).result()
    count = QUERIES // 4 if arguments.quick else QUERIES
    say(f"{case}: {(folder / 'about.json').read_text()}")
    left_out: dict[str, str] = {}
    with ExitStack() as stack:
        running: list[Contestant] = []
        for system, vectors, command in contestants(folder, python):
            name = f"{system} {vectors}".strip()
            left = _SHARE * float(machine()["memory_gb"]) - sum(one.memory_mb() for one in running) / 1e3
            reason = skipped(system, vectors, case, left) if vectors else ""
            if not reason:
                try:
                    running.append(Contestant(name, command))
                    stack.callback(running[-1].close)
                    say(f"  {name}: built with {running[-1].about['build_cpu_s']:.1f} CPU s")
                    continue
                except PeerMissingError as error:
                    reason = str(error)
            left_out[f"{case}, {name}"] = reason
            say(f"  {name}: skipped, {reason}")
        samples = _rounds(running, count)
    truth = Truth.of(folder, K)
    for one in samples:
        asked, plain = truth.recalls(one.found)
        one.asked, one.plain = float(np.mean(asked)), float(np.mean(plain))
    return samples, left_out


def _rounds(running: Sequence[Contestant], count: int) -> list[Samples]:
    found = {
        (one.name, mode): Samples(f"{one.name} {mode}".removesuffix(" select").replace(" select", ""))
        for one in running
        for mode in one.modes
    }
    for one in running:
        for mode in one.modes:
            one.search(mode, [0])
    rng = random.Random(0)
    # Ours is asked in the order in which episodes ask, so that what an episode repeats is known.
    for start in range(0, count, _BLOCK):
        block = range(start, min(start + _BLOCK, count))
        for one in rng.sample(running, len(running)):
            for mode in one.modes:
                answer, samples = one.search(mode, block), found[one.name, mode]
                samples.wall_ms += answer["wall_ms"]  # type: ignore[arg-type]
                samples.cpu_ms += answer["cpu_ms"]  # type: ignore[arg-type]
                samples.found += answer["found"]  # type: ignore[arg-type]
    for one in running:
        held = one.memory_mb()
        for mode in one.modes:
            found[one.name, mode].memory_mb = held
            found[one.name, mode].build_cpu_s = float(one.about["build_cpu_s"])  # type: ignore[arg-type]
    return list(found.values())


def ratio(other: Sequence[float], ours: Sequence[float]) -> tuple[float, float, float]:
    """Return how many times longer the other takes, with bootstrap bounds over the queries (95 %)."""
    theirs, mine = np.asarray(other), np.asarray(ours)
    rows = np.random.default_rng(0).integers(0, len(mine), (1000, len(mine)))
    low, high = np.percentile(theirs[rows].mean(1) / mine[rows].mean(1), [2.5, 97.5])
    return float(theirs.mean() / mine.mean()), float(low), float(high)


def verdicts(case: Case, samples: Sequence[Samples], embed_ms: float) -> dict[str, float | str]:
    """Return our figures, and the ratios to the best peer of each task; only our bare search is held against FAISS's."""
    by_name = {one.name: one for one in samples}
    tag = f"{case.steps}{'_distinct' if case.distinct else ''}"
    found: dict[str, float | str] = {}
    for name, task, bare in (
        ("icd", "asked", False),
        ("icd-search", "asked", True),
        ("icd-state", "plain", False),
    ):
        mine = by_name[name]
        key = f"{name.replace('-', '_')}_{tag}"
        found |= {f"{key}_cpu_ms": float(np.mean(mine.cpu_ms)), f"{key}_recall_{task}": getattr(mine, task)}
        others = [one for one in samples if one.name not in OURS and (bare or " raw" not in one.name)]
        equal = [one for one in others if getattr(one, task) >= getattr(mine, task) - _EQUAL]
        for label, rivals in (("equal_recall", equal), ("any_recall", others)):
            if rivals:
                best = min(rivals, key=lambda one: float(np.mean(one.cpu_ms)))
                found[f"{key}_best_{label}"] = f"{best.name} (recall {getattr(best, task):.3f})"
                found |= _ratios(f"{key}_best_{label}", best, mine, embed_ms)
    return found


def _ratios(key: str, best: Samples, mine: Samples, embed_ms: float) -> dict[str, float | str]:
    cpu, low, high = ratio(best.cpu_ms, mine.cpu_ms)
    wall = ratio(best.wall_ms, mine.wall_ms)[0]
    embedded = (float(np.mean(best.cpu_ms)) + embed_ms) / (float(np.mean(mine.cpu_ms)) + embed_ms)
    return {
        f"{key}_times": cpu,
        f"{key}_times_interval": f"[{low:.3g}, {high:.3g}]",
        f"{key}_times_wall": wall,
        f"{key}_times_with_embedding": embedded,
    }


def row(one: Samples, ours: Sequence[Samples]) -> Figures:
    """Return what is printed of a contestant; `times_...`: its CPU time over ours."""
    times = {f"times_{mine.name}": ratio(one.cpu_ms, mine.cpu_ms)[0] for mine in ours if mine is not one}
    return times | {
        "cpu_ms": float(np.mean(one.cpu_ms)),
        "wall_ms": float(np.mean(one.wall_ms)),
        "wall_ms_p50": float(np.median(one.wall_ms)),
        "wall_ms_p95": float(np.percentile(one.wall_ms, 95)),
        "recall_asked": one.asked,
        "recall_plain": one.plain,
        "memory_mb": one.memory_mb,
        "build_cpu_s": one.build_cpu_s,
    }


def table(case: Case, samples: Sequence[Samples]) -> str:
    """Return everybody's row."""
    heads = ("CPU ms", "wall ms", "p95", "asked", "plain", "MB", "build CPU s")
    lines = [f"{case!s:36}" + "".join(f"{head:>12}" for head in heads)]
    for one in sorted(samples, key=lambda one: float(np.mean(one.cpu_ms))):
        values = row(one, ())
        chosen = (
            "cpu_ms",
            "wall_ms",
            "wall_ms_p95",
            "recall_asked",
            "recall_plain",
            "memory_mb",
            "build_cpu_s",
        )
        lines.append(f"{one.name:36}" + "".join(f"{values[name]:12.3f}" for name in chosen))
    return "\n".join(lines)


def embedding_ms(name: str) -> float | None:
    """Return CPU milliseconds of embedding one state, None if the embedder is not on this machine."""
    try:
        embedder = make_embedder(name)
    except IcdMemoryError:
        return None
    texts = [
        f"goal: put a mug in cabinet {number}. here: shelf {number}, mug 1, vase 2" for number in range(20)
    ]
    embedder.embed(texts[:1])
    start = time.process_time()
    for text in texts:
        embedder.embed([text])
    return (time.process_time() - start) / len(texts) * 1e3


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="10,000 steps, 50 queries")
    parser.add_argument(
        "--million", action="store_true", help="1,000,000 steps instead (20 GB of disk, 20 GB of memory)"
    )
    parser.add_argument("--json", action="store_true", help="the last line is JSON")
    parser.add_argument("--embedder", choices=["hashing", "minilm"], default="hashing")
    parser.add_argument("--no-install", dest="install", action="store_false", help="install no peer")
    arguments = parser.parse_args()
    figures: dict[str, float | int | str | None] = {
        f"embed_ms_{name}": embedding_ms(name) for name in ("hashing", "minilm")
    }
    python = None
    try:
        python = environment_python(CACHE / "retrieval-peers", REQUIREMENTS, arguments.install)
    except PeerMissingError as error:
        figures["peers_not_run"] = str(error)
    peers: dict[str, Figures] = {}
    for case in QUICK if arguments.quick else MILLION if arguments.million else FULL:
        samples, left_out = measure(case, arguments, python)
        print("\n" + table(case, samples) + "\n")
        figures |= verdicts(case, samples, figures[f"embed_ms_{arguments.embedder}"] or 0.0)  # type: ignore[arg-type]
        ours = [one for one in samples if one.name in OURS]
        peers |= {f"{case}, {one.name}": row(one, ours) for one in samples}
        peers |= {name: {"not_run": reason} for name, reason in left_out.items()}
    emit("retrieval_peers", figures, peers if arguments.json else {}, arguments.json)


if __name__ == "__main__":
    main()
