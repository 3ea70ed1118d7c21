"""How fast a file of trajectories is taken into a store, and how much memory that takes.

    python benchmarks/exchange_import.py [--quick] [--json] [--formats own,atif,...]

- `import_steps_per_s`, `import_peak_mb`: our own format, 1,000,000 steps of 15 a trajectory, of a source that nobody has
approved: every screen runs on every trajectory, all wait in quarantine. Targets: at least 20,000, at most 300.
- `import_steps_per_cpu_s`: the same by processor time, which a busy machine changes less.
- `import_again_steps_per_s`: the same file once more: everything is known.
- `NAME_steps_per_s` and so on: 100,000 steps in another format. Those of conversations are redacted, but unverified, so
that fewer screens run; `own_chat` is our own format with verified conversations: redacted, and every screen.

Each import runs in a process of its own; nothing is embedded. The texts are random words, so that nothing is kept from
one step to the next. `--quick`: 30,000 steps, and 6,000 of the others.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

_ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(_ROOT), str(_ROOT / "memory"), str(_ROOT / "envs"), str(_ROOT / "benchmarks")]

from common import emit  # noqa: E402

from icd.exchange import exchange_format, read_file, take_in, write_file  # noqa: E402
from icd_memory.embedding import HashingEmbedder  # noqa: E402
from icd_memory.retrieval import Memory  # noqa: E402
from icd_memory.store import Store  # noqa: E402
from icd_memory.trajectory import Outcome, Provenance, Step, Trajectory  # noqa: E402

STEPS = 1_000_000
_OTHERS_STEPS = 100_000
_QUICK, _QUICK_OTHERS = 30_000, 6_000
_OF_EACH = 15
_CHAT = "own_chat"
OTHERS = (_CHAT, "atif", "openai", "sharegpt")
_SYLLABLES = [
    "ba",
    "ce",
    "di",
    "fo",
    "gu",
    "la",
    "me",
    "ni",
    "po",
    "ru",
    "sa",
    "te",
    "vi",
    "wo",
    "zu",
    "kra",
    "ple",
    "stri",
    "nor",
    "ten",
    "gal",
    "mon",
]
_AT = datetime(2026, 1, 1, tzinfo=UTC)


def trajectories(count: int, environment: str) -> Iterator[Trajectory]:
    """Yield trajectories of made-up words."""
    rng = random.Random(0)
    words = ["".join(rng.choices(_SYLLABLES, k=rng.randint(1, 3))) for _ in range(4_000)]

    def text(length: int) -> str:
        return " ".join(rng.choices(words, k=length))

    for number in range(count):
        steps = tuple(
            Step(
                observation=f"You arrive at {text(3)} {rng.randrange(9)}. On it you see {text(16)}.",
                action=f"take {text(2)} {rng.randrange(9)} from shelf {rng.randrange(9)}",
                reasoning=f"I should look for the {text(12)}, then I will go on.",
                view=f"Holding nothing. Seen: {text(20)}.",
            )
            for _ in range(_OF_EACH)
        )
        yield Trajectory(
            f"t{number}", environment, f"task {number}", f"house {number}", "train", f"put a {text(4)} in {text(2)}",
            "put", "find it, take it, put it", steps, Outcome(True, 1.0, "environment"),
            Provenance("elsewhere", "expert", _AT),
        )  # fmt: skip


def measured(kind: str, path: Path, store: Path) -> dict[str, float]:
    """Import a file in this process, twice."""
    with Store.open(store) as opened, Memory.open(opened, HashingEmbedder(), redact=True) as memory:
        steps = 0

        def told(more: int) -> None:
            nonlocal steps
            steps += more

        began, worked = time.perf_counter(), time.process_time()
        take_in(read_file(path, exchange_format(kind)), memory, told=told)
        seconds, work = time.perf_counter() - began, time.process_time() - worked
        again = time.perf_counter()
        came = take_in(read_file(path, exchange_format(kind)), memory)
        assert set(came) == {"known"}, came
        return {
            "steps_per_s": round(steps / seconds),
            "steps_per_cpu_s": round(steps / work),
            "again_steps_per_s": round(steps / (time.perf_counter() - again)),
            "peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        }


def _of(name: str, steps: int, folder: Path) -> dict[str, float]:
    kind, environment = ("own", "chat") if name == _CHAT else (name, "household")
    path, store = folder / f"{name}.jsonl", folder / f"{name}.db"
    write_file(path, trajectories(steps // _OF_EACH, environment), kind=exchange_format(kind))
    command = [sys.executable, __file__, "--one", kind, str(path), str(store)]
    found = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    for made in folder.iterdir():
        made.unlink()
    read: dict[str, float] = json.loads(found)
    return read


def figures(quick: bool, formats: Sequence[str] = OTHERS) -> dict[str, float]:
    """Return the figures of the module's docstring."""
    found: dict[str, float] = {}
    with tempfile.TemporaryDirectory(prefix="icd-import-") as folder:
        own = _of("own", _QUICK if quick else STEPS, Path(folder))
        found |= {f"import_{name}": value for name, value in own.items()}
        for other in formats:
            if other != "own":
                measured = _of(other, _QUICK_OTHERS if quick else _OTHERS_STEPS, Path(folder))
                found |= {f"{other}_{name}": value for name, value in measured.items()}
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--formats", default=",".join(OTHERS))
    parser.add_argument("--one", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        kind, path, store = arguments.one
        print(json.dumps(measured(kind, Path(path), Path(store))))
        return
    emit("exchange_import", figures(arguments.quick, arguments.formats.split(",")), {}, arguments.json)


if __name__ == "__main__":
    main()
