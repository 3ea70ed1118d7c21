"""How often the test of drift (`icd.drift`) cries wolf, and how soon it notices a change, in simulated streams.

    python benchmarks/drift.py [--quick] [--json]

`false_alarms_*`: share of streams of 800 values without a change that raise an alarm at alpha = .05, for coins of
.2 and .95 and a beta distribution (8, 2). `coin_*` and `mean_*`: at alpha = .01, after so many quiet values, for a
coin that goes from .2 to .5 and a mean of .8 that falls by .15: how many of the streams did not notice within 600
values, how many raised an alarm before, and the median and longest delay of those that did notice.
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

_ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(_ROOT), str(_ROOT / "memory"), str(_ROOT / "envs"), str(_ROOT / "benchmarks")]

from common import emit  # noqa: E402

from icd.drift import Stream, observed  # noqa: E402

Draw: TypeAlias = Callable[[random.Random, int], float]


def noticed_after(draw: Draw, alpha: float, length: int, seed: int) -> int | None:
    """Return after how many values a change is noticed; None: never."""
    rng, stream = random.Random(seed), Stream()
    for number in range(length):
        stream = observed(stream, draw(rng, number), rng.random())
        if stream.evidence >= 1 / alpha:
            return number
    return None


def false_alarms(streams: int) -> dict[str, float | int]:
    draws: dict[str, Draw] = {
        "coin_20": lambda rng, _: float(rng.random() < 0.2),
        "coin_95": lambda rng, _: float(rng.random() < 0.95),
        "beta": lambda rng, _: rng.betavariate(8, 2),
    }
    return {
        f"false_alarms_{name}": sum(noticed_after(draw, 0.05, 800, seed) is not None for seed in range(streams)) / streams
        for name, draw in draws.items()
    }  # fmt: skip


def delays(quiet: int, streams: int) -> dict[str, float | int]:
    draws: dict[str, Draw] = {
        "coin": lambda rng, at: float(rng.random() < (0.2 if at < quiet else 0.5)),
        "mean": lambda rng, at: rng.betavariate(8, 2) - (0.15 if at >= quiet else 0),
    }
    found: dict[str, float | int] = {}
    for name, draw in draws.items():
        all_of_them = [noticed_after(draw, 0.01, quiet + 600, seed) for seed in range(streams)]
        late = [at - quiet for at in all_of_them if at is not None and at >= quiet]
        found[f"{name}_missed_after_{quiet}"] = sum(at is None for at in all_of_them)
        found[f"{name}_early_after_{quiet}"] = sum(at is not None and at < quiet for at in all_of_them)
        found[f"{name}_median_after_{quiet}"] = statistics.median(late) if late else 600
        found[f"{name}_longest_after_{quiet}"] = max(late, default=600)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="fewer streams")
    parser.add_argument("--json", action="store_true", help="one JSON line")
    asked = parser.parse_args()
    figures = false_alarms(20 if asked.quick else 300)
    for quiet in (100, 300, 1_000):
        figures |= delays(quiet, 4 if asked.quick else 40)
    emit("drift", figures, {}, asked.json)


if __name__ == "__main__":
    main()
