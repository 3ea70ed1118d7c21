"""The agent backend in front of a mock model server, beside its peers.

    python benchmarks/backend.py [--quick] [--json] [--only NAME]... [--peers-dir FOLDER] [--no-install]

What is measured, and on what:

- Every server stands in front of the same mock model server and is sent the same conversations: a household agent with
nine tools, one request a step, each conversation new. Servers are measured in turn, round by round, the order turned
round each time, and so is the mock without anything before it. The server under test has one core, the mock and the load
generator have another one (`..._cpu_share_16` say how busy they are: the server's near 1, or something else held it back;
those of the other two near 1 together, and they did).
- `icd` does the whole work: the student's 3 samples in one upstream request, agreement, the teacher where they disagree
(one call of ten), 6 excerpts from 100,000 steps (embedder `hashing`, texts embedded before), a durable receipt.
`icd-plain` is the same server as a plain proxy, as the peers are: one call of the student, no retrieval; its receipts
are durable too. `does` says what each peer does.
- `added_ms_*` is the latency less that of the mock alone at the same percentile, concurrency and round; without a
number: one request at a time, `_16`: sixteen. `cpu_ms_per_request` (user and system, all threads) and `requests_per_s`
are at sixteen, `..._alone` at one. Medians over the rounds, with bootstrap bounds.
- `start_s`: from the start of the process to the first 200 of its readiness path. `idle_mb`: resident memory before the
first call, `first_call_mb` after it, `loaded_mb` after everything; `..._pss_mb` counts shared pages in parts.
- `requests_per_s_new_texts`: goals and observations were never seen before, so they are embedded; `..._minilm` with
the MiniLM embedder (over a store of 1,000 steps: the embedding is what bounds it).

It takes about 8 minutes. Peers are installed at the first run, each into an environment of its own in `--peers-dir`.
What cannot be installed or does not answer is listed with the reason instead of figures.
"""

from __future__ import annotations

import argparse
import json
import os
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

_ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(_ROOT / "benchmarks")]

from backend_load import Load, Measured  # noqa: E402
from backend_peers import Contestant, installed, ours, peers  # noqa: E402
from backend_process import Server, ServerFailedError, cpu_seconds, get  # noqa: E402
from backend_report import LEVELS, Record, Sample, figures, percentile, ratio, table  # noqa: E402
from backend_requests import conversation  # noqa: E402
from backend_store import store_with  # noqa: E402
from common import Figures, emit  # noqa: E402
from peer_environment import CACHE, PeerMissingError  # noqa: E402
from step_texts import played  # noqa: E402

from icd.assembly import make_embedder  # noqa: E402
from icd.config import MemorySettings  # noqa: E402
from icd.errors import ConfigurationError, IcdMemoryError  # noqa: E402

STEPS = 100_000
MINILM_STEPS = 1_000
_MOST_REQUESTS = 100_000

_SEATS = """
[student]
kind = "openai"
model = "mock"
base_url = "UPSTREAM"
api_key_env = ""
price = 0

[teacher]
kind = "openai"
model = "mock-large"
base_url = "UPSTREAM"
api_key_env = ""
price = 0
"""
_CASCADE = 'policy = "unanimity(3)"\n' + _SEATS + '\n[memory]\nstore = "icd.db"\nembedder = "EMBEDDER"\n'
_PLAIN = (
    'policy = "student"\n'
    + _SEATS
    + '\n[memory]\nstore = "icd.db"\nembedder = "hashing"\n\n[retrieval]\nk = 0\n'
)


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much is measured."""

    rounds: int
    seconds: float
    """Of each load."""
    starts: int
    """Of each server."""
    conversations: int
    """Different ones; each has up to 8 requests."""


FULL = Sizes(rounds=10, seconds=2.0, starts=3, conversations=40)
QUICK = Sizes(rounds=2, seconds=1.2, starts=1, conversations=10)


class Bench:
    """The mock and the load generator, and what is measured with them."""

    def __init__(self, folder: Path, conversations: list[list[bytes]]) -> None:
        """Start both; the last core is theirs."""
        cores = sorted(os.sched_getaffinity(0))
        self.server_cores = {cores[0]} if len(cores) > 1 else None
        self._cores = {cores[-1]}
        file = folder / "conversations.json"
        file.write_text(json.dumps([[body.decode() for body in c] for c in conversations]), encoding="utf-8")
        self.requests = sum(map(len, conversations))
        self._upstream = self._start("backend_upstream.py")
        self.upstream_port = int(_line(self._upstream))
        self._load = self._start("backend_load.py", str(file))
        _line(self._load)

    def _start(self, script: str, *arguments: str) -> subprocess.Popen[str]:
        command = [sys.executable, str(Path(__file__).with_name(script)), *arguments]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        os.sched_setaffinity(process.pid, self._cores)
        return process

    def send(self, load: Load) -> Measured:
        """Send a load and wait for its end."""
        assert self._load.stdin is not None
        self._load.stdin.write(json.dumps(asdict(load)) + "\n")
        self._load.stdin.flush()
        return Measured(**json.loads(_line(self._load)))

    def sample(self, load: Load, server: Server | None) -> Sample:
        """Measure a server under a load; None: the mock alone.

        Raises:
            ServerFailedError: it answered nothing.
        """
        before = self._clocks(server)
        measured = self.send(load)
        spent = [after - at for after, at in zip(self._clocks(server), before, strict=True)]
        answered = len(measured.latencies_ms)
        if not answered:
            raise ServerFailedError(f"it answers: {measured.failure}")
        return Sample(
            answered=answered,
            p50_ms=percentile(measured.latencies_ms, 0.5),
            p99_ms=percentile(measured.latencies_ms, 0.99),
            requests_per_s=answered / measured.seconds,
            cpu_ms=1e3 * spent[0] / answered,
            server_cpu=spent[0] / measured.seconds,
            load_cpu=spent[1] / measured.seconds,
            upstream_cpu=spent[2] / measured.seconds,
            upstream_requests=spent[3] / answered,
            failed=measured.failed,
            tool_calls=measured.tool_calls / answered,
        )

    def _clocks(self, server: Server | None) -> tuple[float, float, float, float]:
        """CPU seconds of server, load generator and mock, and the requests that the mock answered."""
        return (
            server.cpu_seconds() if server is not None else 0.0,
            cpu_seconds(self._load.pid),
            cpu_seconds(self._upstream.pid),
            float(get(self.upstream_port, "/count")[1]),
        )

    def close(self) -> None:
        """Stop both."""
        for process in (self._load, self._upstream):
            process.terminate()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    pipe.close()


class Running:
    """A contestant that is up."""

    def __init__(self, contestant: Contestant, bench: Bench, folder: Path) -> None:
        self.contestant = contestant
        self.record = Record(contestant.name, contestant.does)
        self.server: Server | None = None
        self._bench = bench
        self._folder = folder
        self._place = folder
        self._answers = 0

    def start(self, starts: int) -> None:
        """Start it so many times; the last one stays.

        Raises:
            ServerFailedError: it is not ready, or does not answer.
        """
        for number in range(starts):
            if self.server is not None:
                self.server.stop()
            self._place = self._folder / f"{self.contestant.name}-{number}"
            self._place.mkdir()
            launch = self.contestant.launch(self._place, self._bench.upstream_port)
            self.server = Server(launch, self._bench.server_cores, self.contestant.name)
            self.record.start_s.append(self.server.wait_ready(self.contestant.ready))
        assert self.server is not None
        self.record.idle = self.server.memory()
        self.sample(1, 60.0, 1)
        self.record.after_first = self.server.memory()
        self.sample(4, 120.0, self._bench.requests)

    def sample(
        self, concurrency: int, seconds: float, requests: int = _MOST_REQUESTS, new_texts: bool = False
    ) -> Sample:
        """Measure it under a load."""
        assert self.server is not None
        one = self.contestant
        load = Load(self.server.port, one.path, one.model, concurrency, seconds, requests, new_texts)
        sample = self._bench.sample(load, self.server)
        self._answers += sample.answered
        return sample

    def finish(self) -> None:
        """Note what it has come to."""
        if self.server is None or self.record.not_run:
            return
        self.record.after_all = self.server.memory()
        self.record.loads_torch = self.server.maps("torch")
        if self.contestant.receipts:
            self.record.more["answers"] = self._answers
            with closing(sqlite3.connect(self._place / self.contestant.receipts)) as database:
                self.record.more["receipts"] = database.execute("SELECT count(*) FROM decisions").fetchone()[
                    0
                ]

    def stop(self) -> None:
        """Stop it."""
        if self.server is not None:
            self.server.stop()

    @contextmanager
    def failing(self) -> Iterator[None]:
        """A server that fails is no figure, and no end of the benchmark."""
        try:
            yield
        except (PeerMissingError, ServerFailedError) as error:
            self.record.not_run = " ".join(str(error).split())[-300:]
            say(f"{self.contestant.name}: not run: {self.record.not_run}")


def say(text: str) -> None:
    print(text, flush=True)


def _line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        raise SystemExit(f"{process.args!r} ended")
    return line


def contestants(cache: Path, with_minilm: bool) -> Iterator[Contestant]:
    """Ours and the peers."""
    store = partial(store_with, STEPS, "hashing", cache)
    does = f"cascade: 3 samples, agreement, 6 excerpts of {STEPS:,} steps, durable receipt"
    yield ours("icd", does, _CASCADE.replace("EMBEDDER", "hashing"), store)
    yield ours("icd-plain", "plain proxy, durable receipt", _PLAIN)
    if with_minilm:
        store = partial(store_with, MINILM_STEPS, "minilm", cache)
        yield ours(
            "icd-minilm",
            f"as icd, MiniLM, {MINILM_STEPS:,} steps",
            _CASCADE.replace("EMBEDDER", "minilm"),
            store,
        )
    yield from peers(cache)


def has_minilm() -> bool:
    """Say whether the embedder's weights are on this machine."""
    try:
        make_embedder(MemorySettings(embedder="minilm"))
    except (ConfigurationError, IcdMemoryError) as error:
        say(f"without MiniLM: {error}")
        return False
    return True


def measure_rounds(runners: list[Running], bench: Bench, direct: Record, sizes: Sizes) -> None:
    """Measure all in turn, in every round."""
    for number in range(sizes.rounds):
        for level in LEVELS:
            alone = Load(
                bench.upstream_port,
                "/v1/chat/completions",
                "mock",
                level,
                sizes.seconds,
                _MOST_REQUESTS,
                False,
            )
            direct.samples[level].append(bench.sample(alone, None))
            # Forth and back: a machine whose speed changes slowly favours nobody.
            for one in runners if number % 2 == 0 else reversed(runners):
                if not one.record.not_run:
                    with one.failing():
                        one.record.samples[level].append(one.sample(level, sizes.seconds))
        say(f"round {number + 1} of {sizes.rounds}")


def measure_new_texts(runners: list[Running], sizes: Sizes) -> None:
    """Measure ours with texts that must be embedded."""
    for one in runners:
        if one.contestant.name in ("icd", "icd-minilm") and not one.record.not_run:
            with one.failing():
                found = [one.sample(LEVELS[-1], sizes.seconds, new_texts=True) for _ in range(sizes.rounds)]
                rates = sorted(sample.requests_per_s for sample in found)
                one.record.more["requests_per_s_new_texts"] = rates[len(rates) // 2]
                costs = sorted(sample.cpu_ms for sample in found)
                one.record.more["cpu_ms_per_request_new_texts"] = costs[len(costs) // 2]


def run(folder: Path, arguments: argparse.Namespace, sizes: Sizes) -> list[Record]:
    """Measure everything; the first record is the mock alone."""
    cache: Path = arguments.peers_dir
    everybody = list(contestants(cache, has_minilm()))
    chosen = [one for one in everybody if not arguments.only or one.name in arguments.only]
    if not chosen:
        raise SystemExit(f"--only: there are {', '.join(one.name for one in everybody)}")
    episodes = played("dev", 20 * sizes.conversations)[: sizes.conversations]
    bench = Bench(folder, [conversation(episode, 8) for episode in episodes])
    direct = Record("direct", "the mock without anything before it")
    with ExitStack() as stack:
        stack.callback(bench.close)
        runners = [Running(one, bench, folder) for one in chosen]
        for one in runners:
            stack.callback(one.stop)
            with one.failing():
                installed(one.contestant, cache, arguments.install)
                one.start(sizes.starts)
                say(f"{one.contestant.name}: started in {one.record.start_s[-1]:.2f} s")
        measure_rounds(runners, bench, direct, sizes)
        measure_new_texts(runners, sizes)
        for one in runners:
            one.finish()
    return [direct, *(one.record for one in runners)]


def summary(records: list[Record]) -> tuple[Figures, dict[str, Figures]]:
    """Return our figures, and everybody's."""
    direct, *others = records
    rows: dict[str, Figures] = {record.name: figures(record, direct) for record in others}
    known = {record.name: record for record in others if not record.not_run}
    found = dict(rows.pop("icd", {}))
    if "icd" in known and "litellm" in known:
        found["litellm_requests_per_s"] = rows["litellm"]["requests_per_s"]
        found |= ratio(known["icd"], known["litellm"])
    if "icd-plain" in known and "litellm" in known:
        plain = ratio(known["icd-plain"], known["litellm"])
        rows["icd-plain"] = {**rows["icd-plain"], **plain}
    if "icd-minilm" in known:
        minilm = rows["icd-minilm"]
        found["requests_per_s_minilm"] = minilm["requests_per_s"]
        found["requests_per_s_new_texts_minilm"] = minilm.get("requests_per_s_new_texts")
    for level in LEVELS:
        found[f"direct_ms_p50{'' if level == 1 else f'_{level}'}"] = direct.samples[level][0].p50_ms
    return found, rows


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="under 2 minutes once the peers are installed")
    parser.add_argument("--json", action="store_true", help="the last line is JSON")
    parser.add_argument("--only", action="append", default=[], metavar="NAME", help="leave the others out")
    parser.add_argument(
        "--peers-dir",
        type=Path,
        default=CACHE,
        help="where the peers' environments and the prepared store are kept",
    )
    parser.add_argument("--no-install", dest="install", action="store_false", help="install no peer")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        records = run(Path(scratch), arguments, QUICK if arguments.quick else FULL)
    found, rows = summary(records)
    print("\nserver on one core, mock and load generator on another; does:")
    for record in records[1:]:
        print(f"  {record.name:12} {record.does}")
    print("\n" + table({**({"icd": found} if "does" in found else {}), **rows}) + "\n")
    emit("backend", found, rows, arguments.json)


if __name__ == "__main__":
    main()
