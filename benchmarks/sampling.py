"""Sequential sampling against a fixed number of samples, on samples that a model really gave.

    python benchmarks/sampling.py STORE [STORE ...] [--policy POLICY] [--fixed POLICY] [--json]

Reads the decisions of every run in the stores that hold all samples of the fixed policy (such as
`ICD_RUN__RECORD=full icd run household --policy 'majority(5, 0.6)'` leaves), and draws from them one by one, in
the order in which they were given, as the sequential policy would. The decision is the same if the same one acts,
and the student does the same thing. Guards are left out: they judge the action alone.

Where samples share a prompt, a backend is asked for several at once: first for the fewest that can be enough
(three, if all five of `sequential(5, 0.95)` count; then they must agree), then for the fewest that can still
settle it, usually one. So no more samples are drawn than one by one, in `requests` requests a step; each
request after the first reads the prompt again (from the cache, where there is one).

Decisions of one task are not independent: the interval of their share counts for as many as the tasks are worth,
that of the samples resamples tasks. The other policies are shown for comparison.
"""

from __future__ import annotations

import argparse
import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

_ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(_ROOT), str(_ROOT / "memory"), str(_ROOT / "envs"), str(_ROOT / "benchmarks")]

from common import Figures, emit  # noqa: E402

from icd.agreement import vote  # noqa: E402
from icd.benchmark.statistics import clustered_share, ratio  # noqa: E402
from icd.cascade import (  # noqa: E402
    NO_GUARDS,
    Evidence,
    Policy,
    decide,
    next_round,
    parse_policy,
    wants_sample,
)
from icd.runtime import PLAN_STEP  # noqa: E402
from icd_memory.store import Store  # noqa: E402

OTHERS = ("sequential(5, 0.85)", "sequential(5, 1)", "unanimity(5)", "unanimity(3)")


@dataclass(frozen=True, slots=True)
class Sampled:
    """The samples of one decision."""

    task: str
    keys: tuple[str | None, ...]
    """Canonical actions, in the order drawn; None: unreadable."""


def recorded(places: Sequence[str]) -> Iterator[Sampled]:
    """Yield the decisions of the stores in which the student was asked."""
    for place in places:
        with Store.open(place) as store:
            for run in store.runs():
                for episode in store.episodes(run.id):
                    for row in store.decisions(episode.id):
                        if row.step != PLAN_STEP and row.body["samples"]:
                            keys = tuple(sample["key"] for sample in row.body["samples"])
                            yield Sampled(f"{run.id} {episode.task_id}", keys)


def outcome(policy: Policy, keys: Sequence[str | None]) -> tuple[str, str | None]:
    """Return who acts on these samples, and what the student does."""
    verdict = decide(policy, NO_GUARDS, Evidence(keys))
    return verdict.actor, verdict.key if verdict.actor == "student" else None


def drawn(policy: Policy, keys: Sequence[str | None]) -> tuple[Sequence[str | None], int]:
    """Return the samples that the policy draws of those recorded, and in how many requests."""
    seen: Sequence[str | None] = ()
    requests = 0
    while wants_sample(policy, seen):
        more = next_round(policy, seen) if policy.name == "sequential" else 1
        seen = keys[: len(seen) + more]
        requests += 1
    return seen, requests


def figures(decisions: Sequence[Sampled], policy: Policy, fixed: Policy) -> Figures:
    """Compare a policy with the fixed one on the same samples."""
    same: dict[str, list[float]] = defaultdict(list)
    spent: dict[str, int] = defaultdict(int)
    requests = 0
    for decision in decisions:
        seen, asked = drawn(policy, decision.keys)
        same[decision.task].append(float(outcome(policy, seen) == outcome(fixed, decision.keys[: fixed.n])))
        spent[decision.task] += len(seen)
        requests += asked
    share = clustered_share(list(same.values()))
    kept = ratio(
        [[float(spent[task])] for task in same], [[float(fixed.n * len(each))] for task, each in same.items()]
    )
    return {
        "policy": str(policy),
        "same decisions": share.value,
        "same decisions, low": share.low,
        "same decisions, high": share.high,
        "samples saved": 1 - kept.value,
        "samples saved, low": 1 - kept.high,
        "samples saved, high": 1 - kept.low,
        "samples a step": sum(spent.values()) / len(decisions),
        "requests a step": requests / len(decisions),
    }


def about(decisions: Sequence[Sampled], skipped: int, fixed: Policy) -> Figures:
    """Describe what was compared on."""
    votes = [vote(decision.keys) for decision in decisions]
    return {
        "fixed": str(fixed),
        "steps": len(decisions),
        "tasks": len({decision.task for decision in decisions}),
        "steps without all samples": skipped,
        "all samples equal": sum(found.share == 1 for found in votes) / len(decisions),
        "no sample readable": sum(found.key is None for found in votes) / len(decisions),
    }


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("stores", nargs="+", metavar="STORE", help="file or URL of a store")
    parser.add_argument("--policy", default="sequential(5, 0.95)")
    parser.add_argument("--fixed", default="majority(5, 0.6)")
    parser.add_argument("--json", action="store_true", help="write one JSON line")
    chosen = parser.parse_args(arguments)
    policy, fixed = parse_policy(chosen.policy), parse_policy(chosen.fixed)
    everything = list(recorded(chosen.stores))
    decisions = [decision for decision in everything if len(decision.keys) >= max(policy.n, fixed.n)]
    if not decisions:
        sys.exit(
            f'no decision has {fixed.n} samples: play with `[run] record = "full"` and a policy of that n'
        )
    emit(
        "sampling",
        {**about(decisions, len(everything) - len(decisions), fixed), **figures(decisions, policy, fixed)},
        {
            other: figures(decisions, parse_policy(other), fixed)
            for other in OTHERS
            if parse_policy(other).n <= fixed.n
        },
        chosen.json,
    )


if __name__ == "__main__":
    main()
