"""What strategies and demonstrations are worth on the service desk, from recorded episodes.

    python benchmarks/service_desk_results.py benchmarks/results/service-desk-*/episodes.jsonl [--json]

For each file (one run, one split): success and satisfaction of each method with 95 % intervals, paired differences on the
tasks that both played, and how the episodes ended. Actions are played again in the world, so the ends and the
violations are its own; an episode that does not come out as recorded is an error.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import mean as average
from typing import Any, NamedTuple, TypeAlias

from icd.benchmark.statistics import Interval, mcnemar, mean, mean_difference, paired_difference, wilson
from icd_envs.service_desk.suite import ServiceDeskSuite
from icd_envs.service_desk.world import ServiceDeskWorld

Row: TypeAlias = dict[str, float | int | str]
COMPARED = (
    ("student[strategies=global]", "student"),
    ("student[strategies=3]", "student"),
    ("student[strategies=3]", "student[strategies=global]"),
    ("in-context", "student"),
    ("in-context[strategies=3]", "in-context"),
    ("in-context[strategies=3]", "student[strategies=3]"),
)
"""First minus second."""
_POINTS = 2
"""Satisfaction comes in halves of a point; exact tests want whole numbers."""


class Episode(NamedTuple):
    """A recorded episode, and what its replay tells."""

    task: str
    won: bool
    satisfaction: float
    steps: int
    cost: float
    end: str
    violations: tuple[str, ...]
    needless: int
    """Questions and guesses that led nowhere."""


def episodes(file: Path) -> dict[str, dict[str, Episode]]:
    """Return the episodes of a run by method and task.

    Raises:
        ValueError: the world does not answer as it did when an episode was recorded.
    """
    suite = ServiceDeskSuite()
    world = ServiceDeskWorld(suite.load, 1_000_000)
    found: dict[str, dict[str, Episode]] = defaultdict(dict)
    for line in file.read_text("utf-8").splitlines():
        row = json.loads(line)
        found[row["method"]][row["task"]] = _played_again(row, suite, world)
    return dict(found)


def _played_again(row: Mapping[str, Any], suite: ServiceDeskSuite, world: ServiceDeskWorld) -> Episode:
    world.reset(suite.task(row["task"]))
    conversation = world.conversation
    assert conversation is not None
    for step in row["steps"]:
        world.step(step["action"])
    verdict = conversation.verdict()
    closed = bool(row["steps"]) and row["steps"][-1]["action"] == "close"
    if (verdict.won and closed) != row["won"] or verdict.satisfaction != row["score"]:
        raise ValueError(f"{row['episode']} came out otherwise: {verdict.told}")
    if row["won"]:
        end = "won"
    elif conversation.conduct.left:
        end = "the customer left"
    elif not closed:
        end = "out of steps"
    else:
        handled = verdict.conversation.result != "missed"
        end = "handled, but badly" if handled else "closed without help"
    return Episode(
        row["task"], row["won"], row["score"], len(row["steps"]), row["cost"], end, verdict.violations,
        verdict.conversation.needless,
    )  # fmt: skip


def figures_of(played: Sequence[Episode]) -> Row:
    """Return a method's figures."""
    success, satisfaction = wilson(sum(one.won for one in played), len(played)), mean(_satisfaction(played))
    return {
        "episodes": len(played),
        "success": _text(success),
        "satisfaction": _text(satisfaction),
        "steps": round(average(one.steps for one in played), 1),
        "$ an episode": f"{average(one.cost for one in played):.4f}",
        "violations": round(average(len(one.violations) for one in played), 2),
        "needless": round(average(one.needless for one in played), 2),
        **{end: number for end, number in sorted(Counter(one.end for one in played).items())},
    }


def difference(first: Mapping[str, Episode], second: Mapping[str, Episode]) -> Row:
    """Return first minus second on the tasks that both played."""
    tasks = sorted(first.keys() & second.keys())
    one, other = [first[task] for task in tasks], [second[task] for task in tasks]
    won, lost = ([[float(episode.won)] for episode in side] for side in (one, other))
    points = [[[_POINTS * episode.satisfaction] for episode in side] for side in (one, other)]
    return {
        "tasks": len(tasks),
        "success": _text(paired_difference(won, lost), "+.2f"),
        "p of success": f"{mcnemar(won, lost):.3f}",
        "satisfaction": _text(mean_difference(_satisfaction(one), _satisfaction(other)), "+.2f"),
        "p of satisfaction": f"{mcnemar(*points):.3f}",
    }


def _satisfaction(played: Sequence[Episode]) -> list[list[float]]:
    return [[one.satisfaction] for one in played]


def _text(interval: Interval, form: str = ".2f") -> str:
    return f"{interval.value:{form}} [{interval.low:{form}}, {interval.high:{form}}]"


def report(file: Path) -> dict[str, Any]:
    """Return all figures of a run."""
    played = episodes(file)
    common = set.intersection(*(set(own) for own in played.values()))
    paired = {name: {task: own[task] for task in common} for name, own in played.items()}
    return {
        "methods": {name: figures_of(list(own.values())) for name, own in paired.items()},
        "differences": {
            f"{first} - {second}": difference(paired[first], paired[second])
            for first, second in COMPARED
            if first in paired and second in paired
        },
        "violations": {
            name: dict(Counter(what for one in own.values() for what in one.violations).most_common(5))
            for name, own in paired.items()
        },
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="Strategies and demonstrations on the service desk.")
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    found = {file.parent.name or file.stem: report(file) for file in options.files}
    if options.json:
        print(json.dumps(found))
        return
    for name, parts in found.items():
        for part, rows in parts.items():
            print(f"\n{name}: {part}")
            for label, row in rows.items():
                print(f"  {label}: {', '.join(f'{key} {value}' for key, value in row.items())}")


if __name__ == "__main__":
    main()
