"""The same tasks before and after fine-tuning: one table and one plot, from the published episodes of two runs.

    python benchmarks/dial.py household-smollm2 household-smollm2-tuned

reads ``benchmarks/results/NAME/episodes.jsonl`` of the untrained student's run and of the trained one's, and writes
``dial.md`` and ``dial.svg`` into the second folder; `benchmarks/readme_table.py` puts the table into README.md.
Differences are paired: the same tasks and seeds, the trained student minus the untrained one under the same method.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from icd.benchmark.statistics import (
    Interval,
    mcnemar,
    mean,
    mean_difference,
    paired_difference,
    success_share,
)

RESULTS = Path(__file__).resolve().parent / "results"
METHODS = ("student", "in-context", "cascade", "teacher")
"""In the order of the dial; of the trained student, those that it has played."""
NAMES = {"student": "zero-shot", "in-context": "demonstrations", "cascade": "cascade", "teacher": "teacher"}


@dataclass(frozen=True)
class Place:
    """A place of the dial: a student and a method, with its episodes by task and seed."""

    method: str
    tuned: bool
    episodes: Mapping[tuple[str, int], Mapping[str, Any]]

    @property
    def name(self) -> str:
        """What it is called."""
        return f"{'fine-tuned, ' if self.tuned else ''}{NAMES[self.method]}"

    def column(self, figure: str) -> list[list[float]]:
        """Return a figure of the episodes, by task and seed."""
        return [[_figure(self.episodes[key], figure)] for key in sorted(self.episodes)]

    @property
    def success(self) -> Interval:
        """Share of the episodes won."""
        return success_share(self.column("won"))


def read(folder: Path, *, tuned: bool) -> list[Place]:
    """Return a run's places of the dial."""
    found: dict[str, dict[tuple[str, int], Mapping[str, Any]]] = {}
    for line in (folder / "episodes.jsonl").read_text("utf-8").splitlines():
        episode = json.loads(line)
        found.setdefault(episode["method"], {})[episode["task"], episode["seed"]] = episode
    return [Place(method, tuned, found[method]) for method in METHODS if method in found]


def dial(before: Sequence[Place], after: Sequence[Place]) -> list[Place]:
    """Return the places in order: the untrained student's, the trained one's, the teacher.

    Raises:
        ValueError: they were not played on the same tasks and seeds.
    """
    places = [*(p for p in before if p.method != "teacher"), *(p for p in after if p.method != "teacher")]
    places += [place for place in before if place.method == "teacher"]
    if len({frozenset(place.episodes) for place in places}) != 1:
        raise ValueError("the runs were not played on the same tasks and seeds")
    return places


def table(places: Sequence[Place]) -> Iterator[str]:
    """Yield the lines of the table, and of the paired differences."""
    yield "| student | episodes | success | steps | by the teacher | $ an episode |"
    yield f"|---|{'---:|' * 5}"
    for place in places:
        figures = [
            _told(mean(place.column(name)), form) for name, form in (("steps", ".1f"), ("cost", ".4f"))
        ]
        taught = sum(map(sum, place.column("taught"))) / sum(map(sum, place.column("steps")))
        yield (
            f"| {place.name} | {len(place.episodes)} | {_told(place.success, '.2f')} | {figures[0]} | {taught:.0%} | "
            f"{figures[1]} |"
        )
    yield ""
    yield "| fine-tuned minus untrained | success | McNemar's p | steps | $ an episode |"
    yield f"|---|{'---:|' * 4}"
    untrained = {place.method: place for place in places if not place.tuned}
    for place in places:
        if place.tuned and (other := untrained.get(place.method)) is not None:
            yield f"| {NAMES[place.method]} | {' | '.join(_differences(place, other))} |"


def _differences(place: Place, other: Place) -> Iterable[str]:
    won, lost = place.column("won"), other.column("won")
    p = mcnemar(won, lost)
    yield _told(paired_difference(won, lost), "+.2f")
    yield "< 0.001" if p < 0.001 else f"{p:.3f}"
    for name, form in (("steps", "+.1f"), ("cost", "+.4f")):
        yield _told(mean_difference(place.column(name), other.column(name)), form)


def plot(places: Sequence[Place]) -> str:
    """Return an SVG: success, and the teacher's share of the steps, by place of the dial."""
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.6, 3.6), layout="constrained")
    canvas = FigureCanvasSVG(figure)
    axes = figure.subplots()
    shares = [place.success for place in places]
    axes.errorbar(
        range(len(places)),
        [share.value for share in shares],
        yerr=[[s.value - s.low for s in shares], [s.high - s.value for s in shares]],
        fmt="o",
        capsize=3,
        label="episodes solved",
    )
    taught = [sum(map(sum, p.column("taught"))) / sum(map(sum, p.column("steps"))) for p in places]
    axes.plot(range(len(places)), taught, "x--", lw=0.8, color="gray", label="steps by the teacher")
    axes.set_xticks(range(len(places)), [place.name.replace(", ", ",\n") for place in places])
    axes.set(ylim=(-0.04, 1.06))
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    return _drawn(canvas)


def _drawn(canvas: Any) -> str:
    import io

    import matplotlib

    buffer = io.StringIO()
    with matplotlib.rc_context({"svg.hashsalt": "icd"}):
        canvas.figure.savefig(buffer, format="svg", metadata={"Date": None})
    return buffer.getvalue()


def _figure(episode: Mapping[str, Any], name: str) -> float:
    steps = episode["steps"]
    match name:
        case "steps":
            return float(len(steps))
        case "taught":
            return float(sum(step["acted_by"] == "teacher" for step in steps))
    return float(episode[name])


def _told(interval: Interval, form: str) -> str:
    value, low, high = (f"{part:{form}}" for part in interval[:3])
    return f"{value} [{low}, {high}]"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("before", help="folder of the untrained student's results")
    parser.add_argument("after", help="folder of the trained student's; the files are written there")
    given = parser.parse_args()
    after = RESULTS / given.after
    places = dial(read(RESULTS / given.before, tuned=False), read(after, tuned=True))
    lines = "\n".join(table(places))
    (after / "dial.md").write_text(f"{lines}\n", "utf-8")
    (after / "dial.svg").write_text(plot(places), "utf-8")
    print(lines)


if __name__ == "__main__":
    main()
