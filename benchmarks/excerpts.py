"""How often a retrieved excerpt shows the right kind of action, by what a step is found by.

Expert trajectories of generated households; for each step of held-out ones, the k nearest steps of other trajectories.
An excerpt fits if its action is the expert's once names are masked (`icd_memory.situation`). Compared: the state as it
is written ("raw") against its structure, and the weight of the step's score against the trajectory's.

    python benchmarks/excerpts.py [--quick] [--json] [--embedder hashing|minilm]
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from common import emit
from step_texts import play

from icd_envs.household.suite import HouseholdSuite
from icd_memory.embedding import CachedEmbedder, Embedder, HashingEmbedder
from icd_memory.minilm import MiniLMEmbedder
from icd_memory.situation import state_text
from icd_memory.trajectory import Step, Trajectory

K = 3


class Fit(NamedTuple):
    """Shares over all held-out steps."""

    best: float
    """The nearest excerpt fits."""
    mean: float
    """Mean share of the k that fit."""


def raw(step: Step, goal: str) -> str:
    return f"{step.view}\n{step.observation}"


def structure(step: Step, goal: str) -> str:
    return state_text(step.observation, step.view, goal)


def fit(
    shown: list[Trajectory],
    held_out: list[Trajectory],
    embedder: Embedder,
    text: Callable[[Step, str], str],
    weight: float,
) -> Fit:
    """Search by brute force: mean cosine of goal, category and plan, plus `weight` times the best step's cosine."""
    keys = [embedder.embed([getattr(t, name) for t in shown]) for name in ("goal", "category", "plan")]
    steps = [embedder.embed([text(step, t.goal) for step in t.steps]) for t in shown]
    best, share = [], []
    for t in held_out:
        mine = embedder.embed([t.goal, t.category, t.plan])
        score = sum(key @ vector for key, vector in zip(keys, mine, strict=True)) / 3
        states = embedder.embed([text(step, t.goal) for step in t.steps])
        for step, state in zip(t.steps, states, strict=True):
            near = [rows @ state for rows in steps]
            total = score + weight * np.array([row.max() for row in near])
            found = np.argsort(-total, kind="stable")[:K]
            wanted = state_text(step.action, "", t.goal)
            fits = [
                state_text(shown[i].steps[int(near[i].argmax())].action, "", shown[i].goal) == wanted
                for i in found
            ]
            best.append(fits[0])
            share.append(sum(fits) / K)
    return Fit(float(np.mean(best)), float(np.mean(share)))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="fewer households")
    parser.add_argument("--json", action="store_true", help="one JSON line at the end")
    parser.add_argument("--embedder", choices=("hashing", "minilm"), default="hashing")
    arguments = parser.parse_args()
    suite = HouseholdSuite()
    world = suite.environment()
    size, tests = (120, 30) if arguments.quick else (240, 120)
    shown = [play(world, task) for task in suite.tasks("train", size)]
    held_out = [play(world, task) for task in suite.tasks("dev", tests)]
    embedder = CachedEmbedder(HashingEmbedder() if arguments.embedder == "hashing" else MiniLMEmbedder())
    figures: dict[str, float | str] = {"embedder": embedder.id}
    peers: dict[str, dict[str, float]] = {"the state as written": {}}
    for weight in (1.0, 3.0, 6.0):
        ours, theirs = (fit(shown, held_out, embedder, text, weight) for text in (structure, raw))
        figures |= {f"best_fits_weight_{weight:g}": ours.best, f"share_fits_weight_{weight:g}": ours.mean}
        peers["the state as written"] |= {
            f"best_fits_weight_{weight:g}": theirs.best,
            f"share_fits_weight_{weight:g}": theirs.mean,
        }
    figures["held_out_steps"] = sum(len(t.steps) for t in held_out)
    emit("excerpts", figures, peers, arguments.json)


if __name__ == "__main__":
    main()
