"""Benchmark runs as the console shows them: what the HTML report shows of a run, drawn once and kept."""

from __future__ import annotations

import re
import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from icd.benchmark.findings import Findings, findings
from icd.benchmark.sections import Part, section
from icd.benchmark.sheets import Sheet, overview_sheet
from icd.console.savings import Saving, saving
from icd.errors import ConfigurationError, MissingExtraError
from icd_memory.figures import Totals
from icd_memory.store import Store

__all__ = ["RUNS_TENANT", "Compared", "ListedRun", "Reports", "ShownPart", "ShownRun", "listed"]

RUNS_TENANT = "default"
"""Runs are played by whoever has the store, and for no tenant in particular: the default one's operators see them."""
MOST_EPISODES = 5_000
"""Beyond so many, a run is shown by its sums alone: intervals by resampling would take minutes."""
_KEPT = 16


@dataclass(frozen=True, slots=True)
class ListedRun:
    """A run in a list."""

    id: str
    started: datetime
    environment: str
    split: str
    collection: bool
    episodes: int
    methods: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ShownPart:
    """A part of a report with its charts drawn."""

    part: Part
    charts: tuple[str, ...]
    problem: str
    """Why charts are missing; empty: they are not."""


@dataclass(frozen=True, slots=True)
class ShownRun:
    """All that is shown of a run."""

    id: str
    title: str
    parts: tuple[ShownPart, ...]
    facts: tuple[tuple[str, str], ...]
    sums: tuple[tuple[str, Saving], ...] = ()
    """By method, in the place of parts where there is no report."""
    problem: str = ""
    """Why there is none."""


@dataclass(frozen=True, slots=True)
class Compared:
    """Runs side by side."""

    overview: Sheet | None
    """None: there is one run only."""
    runs: tuple[ShownRun, ...]


def listed(store: Store) -> list[ListedRun]:
    """Return the store's runs, the latest first."""
    methods: dict[str, list[str]] = {}
    episodes: dict[str, int] = {}
    for scope in store.figures.scopes(RUNS_TENANT):
        methods.setdefault(scope.run_id, []).append(scope.method)
        episodes[scope.run_id] = episodes.get(scope.run_id, 0) + scope.episodes
    found = []
    for run in reversed(store.runs()):
        conditions = run.config.get("conditions", {})
        found.append(
            ListedRun(
                run.id, run.created_at, conditions.get("environment", ""), conditions.get("split", ""),
                "defaults" not in conditions, episodes.get(run.id, 0), tuple(methods.get(run.id, ())),
            )
        )  # fmt: skip
    return found


class Reports:
    """The reports of a store's runs, each made when it is first looked at or has new episodes. Safe for threads."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._kept: OrderedDict[tuple[str, object], tuple[Findings, ShownRun]] = OrderedDict()
        self._lock = threading.Lock()

    def compared(self, run_ids: Sequence[str]) -> Compared:
        """Return runs side by side; of what no report can be made, the sums."""
        shown, found = [], []
        for id in run_ids:
            states = self._store.figures.run_states(id)
            if sum(states.values()) > MOST_EPISODES:
                shown.append(self._by_sums(id, f"It has more than {MOST_EPISODES:,} episodes."))
                continue
            try:
                report, run = self._report(id, tuple(sorted(states.items())))
            except ConfigurationError as error:
                # Such as a method of another version.
                shown.append(self._by_sums(id, str(error)))
                continue
            found.append(report.summary)
            shown.append(run)
        return Compared(overview_sheet(found) if len(found) > 1 else None, tuple(shown))

    def _report(self, run_id: str, states: object) -> tuple[Findings, ShownRun]:
        key = (run_id, states)
        # One at a time: whoever else wants it waits, and has it then.
        with self._lock:
            if key not in self._kept:
                found = findings(self._store, run_id)
                self._kept[key] = found, _shown(run_id, found)
                while len(self._kept) > _KEPT:
                    self._kept.popitem(last=False)
            self._kept.move_to_end(key)
            return self._kept[key]

    def _by_sums(self, run_id: str, problem: str) -> ShownRun:
        rows = self._store.figures.totals(RUNS_TENANT, run_id)
        methods = sorted({row.method for row in rows})
        sums = [
            (name, saving(Totals.over([row for row in rows if row.method == name]), None)) for name in methods
        ]
        return ShownRun(run_id, run_id, (), (), tuple(sums), problem)


def _shown(run_id: str, found: Findings) -> ShownRun:
    made = section(found)
    name = re.sub(r"[^A-Za-z0-9-]+", "-", run_id)
    return ShownRun(
        run_id,
        f"{made.title}: {run_id}",
        tuple(_part(part, f"{name}-{part.id}") for part in made.parts),
        made.facts,
    )


def _part(part: Part, id: str) -> ShownPart:
    try:
        charts = tuple(_plain(draw(f"{id}-chart-{number}")) for number, draw in enumerate(part.charts))
        return ShownPart(part, charts, "")
    except MissingExtraError as error:
        return ShownPart(part, (), str(error))


def _plain(svg: str) -> str:
    """Return a drawing whose looks stand in attributes: browsers are told to apply no styles but the console's."""
    return re.sub(r' style="([^"]*)"', lambda match: "".join(_attributes(match[1])), svg)


def _attributes(style: str) -> Iterator[str]:
    for entry in style.split(";"):
        name, _, value = (part.strip() for part in entry.partition(":"))
        if name == "font":
            # A shorthand, which has no attribute: size, then families.
            size = re.search(r"[\d.]+px", value)
            yield f' font-size="{size[0] if size else "11px"}"'
        elif name and "font-" not in name:
            yield f' {name}="{value}"'
        elif name == "font-size":
            yield f' font-size="{value}"'
