"""Is the calibration right? How often does the chosen policy break its promise, and what does the promise cost?

Usage: nice -n 15 python benchmarks/calibration.py [--quick] [--json]

Simulated worlds with known truth (`icd.calibration_simulation`): ten students from poor to good for each row, with as
much luck that teacher and best policy differ in `discordance` of the episodes. `violated`: share of the repetitions whose
choice is more than epsilon below the teacher, with Wilson's interval. `violated_at_edge`: the same for a single candidate
that breaks the bound by a hair. `savings_of_oracle`: mean saving over that of one who knows the truth, mean of the ten
worlds. The tables are those of docs/calibration.md.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

sys.path.insert(0, str(Path(__file__).resolve().parent))
from common import machine

from icd.benchmark.statistics import wilson
from icd.calibration import episodes_needed
from icd.calibration_pvalues import betting_p_value, most_losses
from icd.calibration_simulation import Pool, World, at_the_edge, luck_for, repeat, simulate, with_luck

SKILLS = tuple(np.linspace(1.0, 3.4, 10))
"""Of the students, as log-odds: at the last one hardly any threshold is needed."""
_POOL = 30_000
Row: TypeAlias = dict[str, float | int]


class Case(NamedTuple):
    epsilon: float
    delta: float
    n: int
    correlation: float
    discordance: float = 0.1


def main() -> None:
    parser = argparse.ArgumentParser(description="Violations and savings of calibrated policies.")
    parser.add_argument("--quick", action="store_true", help="fewer cases and repetitions")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    rows = [row_of(case, 200 if options.quick else 1000) for case in cases(options.quick)]
    figures: dict[str, Any] = {
        "rows": rows,
        "rows_over_delta": sum(_is_over(row) for row in rows),
        "savings_of_oracle_at_200": savings_at_200(rows),
        "tests": tests(400 if options.quick else 4000),
    }
    if options.json:
        print(json.dumps({"name": "calibration", "figures": figures, "peers": {}, "machine": machine()}))
    else:
        print("\n".join(markdown(rows)))
        print(f"\nRows above delta, beyond Monte Carlo error: {figures['rows_over_delta']} of {len(rows)}.")
        print(f"Savings of the oracle's at n = 200, epsilon = .1, delta = .1: {savings_at_200(rows):.3f}\n")
        print("\n".join(tests_markdown(figures["tests"])))


def cases(quick: bool) -> Iterator[Case]:
    if quick:
        yield from (Case(0.1, 0.1, n, correlation) for n in (100, 200) for correlation in (0.0, 0.9))
        return
    for epsilon, delta, n, correlation in product(
        (0.05, 0.1, 0.15), (0.05, 0.1, 0.2), (50, 100, 200, 400), (0.0, 0.5, 0.9)
    ):
        yield Case(epsilon, delta, n, correlation)
    for n, correlation in product((100, 200, 400), (0.0, 0.5, 0.9)):
        yield Case(0.1, 0.1, n, correlation, discordance=0.2)


@lru_cache(maxsize=64)
def luckless(correlation: float, skill: float) -> Pool:
    return simulate(World(correlation=correlation, skill=skill), _POOL, np.random.default_rng(1))


def pool(case: Case, skill: float) -> Pool:
    plain = luckless(case.correlation, skill)
    luck = luck_for(plain, case.epsilon, case.discordance)
    return with_luck(plain, luck, np.random.default_rng(2))


def row_of(case: Case, repetitions: int) -> Row:
    rng = np.random.default_rng([round(1000 * value) for value in case])
    violated, shares, discordance = 0, [], []
    for skill in SKILLS:
        world = pool(case, skill)
        best = world.best(case.epsilon)
        found = repeat(world, case.n, case.epsilon, case.delta, repetitions // len(SKILLS), rng)
        violated += int(found.violated.sum())
        if best >= 0:
            shares.append(float(found.saving.mean() / world.saving[best]))
            discordance.append(float(world.discordance[best]))
    share = wilson(violated, repetitions)
    return {
        **{"epsilon": case.epsilon, "delta": case.delta, "n": case.n, "correlation": case.correlation},
        "discordance": round(float(np.mean(discordance)), 3),
        "runs": repetitions,
        "violated": share.value,
        "violated_low": round(share.low, 4),
        "violated_high": round(share.high, 4),
        "violated_at_edge": at_the_edge(
            case.n, case.epsilon, case.delta, case.discordance, 10 * repetitions, rng
        ),
        "savings_of_oracle": round(float(np.mean(shares)), 3),
        "savings_of_oracle_worst_world": round(min(shares), 3),
        "episodes_needed": episodes_needed(case.epsilon, case.delta),
    }


def _is_over(row: Row) -> bool:
    """Say whether more was violated than Monte Carlo error explains; at the edge, by four standard errors."""
    delta, edge = float(row["delta"]), float(row["violated_at_edge"])
    error = (delta * (1 - delta) / (10 * row["runs"])) ** 0.5
    return row["violated_low"] > delta or edge > delta + 4 * error


def savings_at_200(rows: Sequence[Row]) -> float:
    """Return the lowest share of the oracle's savings over the correlations."""
    return min(
        float(row["savings_of_oracle"])
        for row in rows
        if (row["epsilon"], row["delta"], row["n"]) == (0.1, 0.1, 200) and row["discordance"] < 0.15
    )


def tests(repetitions: int) -> list[dict[str, float | str]]:
    """Compare p-values: how often each accepts a candidate with these chances, 200 episodes, epsilon = delta = .1."""
    n, epsilon, delta = 200, 0.1, 0.1
    limits = np.array(most_losses(n, epsilon, delta))
    rows: list[dict[str, float | str]] = []
    for loss, gain in ((0.10, 0.0), (0.15, 0.05), (0.05, 0.0), (0.07, 0.02), (0.075, 0.025), (0.05, 0.05)):
        rng = np.random.default_rng(7)
        shape = (repetitions, n)
        values = rng.choice([1, -1, 0], size=shape, p=[loss, gain, 1 - loss - gain])
        lost, gained = (values == 1).sum(axis=1), (values == -1).sum(axis=1)
        bets = [betting_p_value(row, epsilon, low=-1, high=1) <= delta for row in values.astype(float)]
        rows.append(
            {
                "loss": loss,
                "gain": gain,
                "exact": float((lost <= limits[gained]).mean()),
                "losses_only": float((lost <= limits[0]).mean()),
                "betting": float(np.mean(bets)),
                "hoeffding_bentkus": float((_hoeffding_bentkus(values, epsilon) <= delta).mean()),
            }
        )
    return rows


def _hoeffding_bentkus(values: npt.NDArray[np.int64], epsilon: float) -> npt.NDArray[np.float64]:
    """P-values by Hoeffding and Bentkus (Bates et al., 2021) of differences brought to 0..1."""
    from scipy.special import rel_entr
    from scipy.stats import binom

    n, mean = values.shape[1], (1 + epsilon) / 2
    seen = np.minimum((values.mean(axis=1) + 1) / 2, mean)
    hoeffding = np.exp(-n * (rel_entr(seen, mean) + rel_entr(1 - seen, 1 - mean)))
    bentkus = np.e * binom.cdf(np.ceil(n * seen), n, mean)
    found: npt.NDArray[np.float64] = np.minimum(hoeffding, bentkus)
    return found


def markdown(rows: Sequence[Row]) -> Iterator[str]:
    yield (
        "| ε | δ | n | correlation | discordant | violated | 95 % interval | at the edge "
        "| savings of the oracle's | worst world |"
    )
    yield "|---|---|---|---|---|---|---|---|---|---|"
    for row in rows:
        yield (
            f"| {row['epsilon']} | {row['delta']} | {row['n']} | {row['correlation']} | {row['discordance']:.2f} "
            f"| {row['violated']:.3f} | {row['violated_low']:.3f}–{row['violated_high']:.3f} "
            f"| {row['violated_at_edge']:.3f} | {row['savings_of_oracle']:.2f} "
            f"| {row['savings_of_oracle_worst_world']:.2f} |"
        )


def tests_markdown(rows: Sequence[dict[str, float | str]]) -> Iterator[str]:
    yield "| P(lost) | P(gained) | exact | losses only | betting | Hoeffding-Bentkus |"
    yield "|---|---|---|---|---|---|"
    for row in rows:
        yield "| " + " | ".join(f"{value:.3f}" for value in row.values()) + " |"


if __name__ == "__main__":
    main()
