"""What a run shows, method by method: success, steps, escalations, cost, break-even.

Costs are those of the ledger, calls of interrupted attempts included. What is compared with another method is
compared on the tasks that both have finished.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from icd.benchmark.conditions import method_defaults
from icd.benchmark.derived import derived_method
from icd.benchmark.methods import STANDARD, Method, recorded_method
from icd.benchmark.pairs import Pairs
from icd.benchmark.played import Result, Tokens, by_task
from icd.benchmark.played_run import PlayedRun
from icd.benchmark.statistics import (
    Interval,
    clustered_share,
    cost_per_success,
    mean,
    paired_difference,
    ratio,
    success_share,
)
from icd.errors import ConfigurationError
from icd.ledger import BreakEven, break_even
from icd_memory.rows import EpisodeStatus, JsonObject
from icd_memory.store import Store

__all__ = [
    "CategoryShare",
    "CollectionSummary",
    "Comparison",
    "GoalCompletion",
    "MethodSummary",
    "Result",
    "RunSummary",
    "Tokens",
    "collected",
    "goal_completion",
    "open_run",
    "summarise",
    "summarise_run",
]


@dataclass(frozen=True, slots=True)
class CategoryShare:
    """Successes in one category of tasks."""

    won: int
    episodes: int
    share: Interval


@dataclass(frozen=True, slots=True)
class GoalCompletion:
    """The measures of code worlds, with intervals over scenarios, whose tasks are not independent."""

    tgc: Interval
    """Task goal completion: the share of episodes that were won."""
    sgc: Interval
    """Scenario goal completion: the share of scenarios, each time they were played, of which every episode was won."""
    scenarios: int


@dataclass(frozen=True, slots=True)
class Comparison:
    """A method beside others, on the tasks that both finished; None where there is nothing to compare."""

    relative_cost: Interval | None = None
    """Over the teacher's."""
    relative_success: Interval | None = None
    """Over the teacher's."""
    difference: Interval | None = None
    """Success minus that of the student without demonstrations."""
    break_even: BreakEven | None = None
    """Episodes until the demonstrations have paid for themselves."""


@dataclass(frozen=True, slots=True)
class MethodSummary:
    """What a method achieved, and what it cost."""

    method: Method
    episodes: int
    tasks: int
    failed: int
    """Episodes given up by a machine failure; the next run plays them again."""
    unfinished: int
    """Episodes that were cut off; the next run goes on with them."""
    success: Interval
    steps: float
    """Mean."""
    escalation: float
    """Steps that the teacher took, over all steps."""
    cost: Interval
    """Dollars an episode."""
    uncached_cost: Interval
    """Dollars an episode if every cached token had been billed as a fresh one."""
    cost_per_success: Interval
    """Dollars; infinite where nothing was won."""
    against: Comparison
    tokens: Tokens
    estimated: bool
    """Some token counts are estimates."""
    by_category: Mapping[str, CategoryShare] = field(default_factory=dict)
    goals: GoalCompletion | None = None
    """None where the environment is no code world."""
    score: Interval | None = None
    """Mean of the environment's scores; None where they only say whether a task was solved."""
    derived: bool = False
    """Not played: it chooses between the episodes of others."""


@dataclass(frozen=True, slots=True)
class CollectionSummary:
    """The demonstrations that a run could use."""

    demonstrations: int
    episodes: int
    """Attempts, failures included."""
    won: int
    cost: float
    """Dollars for all attempts."""


@dataclass(frozen=True, slots=True)
class RunSummary:
    """A run in figures."""

    run_id: str
    conditions: JsonObject
    collection: CollectionSummary
    methods: tuple[MethodSummary, ...]
    """The standard ones first, in their order; the derived ones last."""

    def of(self, name: str) -> MethodSummary | None:
        """Return a method's summary, None if it took no part."""
        return next((summary for summary in self.methods if summary.method.name == name), None)


def summarise(store: Store, run_id: str) -> RunSummary:
    """Return what a run shows so far.

    Raises:
        ConfigurationError: the store has no such run, or it is a collection.
    """
    return summarise_run(open_run(store, run_id))


def open_run(store: Store, run_id: str) -> PlayedRun:
    """Return a run with its episodes.

    Raises:
        ConfigurationError: the store has no such run, or it is a collection.
    """
    run = store.run(run_id)
    if run is None:
        raise ConfigurationError(
            f"no run {run_id!r} in {store.place}: `icd report --list` names those there are"
        )
    conditions: JsonObject = run.config["conditions"]
    if "defaults" not in conditions:
        raise ConfigurationError(
            f"{run_id!r} is a collection of demonstrations, which has no methods to compare"
        )
    return PlayedRun(store, run_id, conditions)


def summarise_run(run: PlayedRun, derived: Mapping[str, Sequence[Result]] | None = None) -> RunSummary:
    """Return what a run shows, with the episodes of derived methods (`icd.benchmark.derived`) after the played ones."""
    derived = derived or {}
    results = {**run.results, **derived}
    collection = collected(run.store, run.conditions["sources"], run.conditions["demonstrations"])
    defaults = method_defaults(run.conditions)
    methods = [
        recorded_method(name, defaults) for name in sorted({row.method for row in run.episodes}, key=_place)
    ]
    methods += [derived_method(name, defaults) for name in derived]
    statuses = Counter((row.method, row.status) for row in run.episodes)
    return RunSummary(
        run.run_id,
        run.conditions,
        collection,
        tuple(
            replace(_summary(method, results, statuses, collection), derived=method.name in derived)
            for method in methods
        ),
    )


def _place(name: str) -> tuple[int, str]:
    return (STANDARD.index(name) if name in STANDARD else len(STANDARD), name)


def collected(store: Store, sources: Sequence[str], demonstrations: int) -> CollectionSummary:
    """Return what collections attempted and what that cost; `demonstrations` came of it."""
    attempts = [row for source in sources for row in store.episodes(source)]
    bills = [row for source in sources for row in store.ledger(source)]
    return CollectionSummary(
        demonstrations,
        sum(row.status == "done" for row in attempts),
        sum(bool(row.outcome and row.outcome.get("won")) for row in attempts),
        sum(row.cost for row in bills if not row.counterfactual),
    )


def _summary(
    method: Method,
    results: Mapping[str, Sequence[Result]],
    statuses: Mapping[tuple[str, EpisodeStatus], int],
    collection: CollectionSummary,
) -> MethodSummary:
    own = results.get(method.name, [])
    steps = sum(r.steps for r in own)
    count = max(len(own), 1)
    groups = by_task(own)
    return MethodSummary(
        method=method,
        episodes=len(own),
        tasks=len(groups),
        failed=statuses.get((method.name, "failed"), 0),
        unfinished=statuses.get((method.name, "running"), 0),
        success=success_share(_won(groups)),
        steps=steps / count,
        escalation=sum(r.teacher_steps for r in own) / max(steps, 1),
        cost=mean(_costs(groups)),
        uncached_cost=mean([[r.uncached_cost for r in group] for group in groups]),
        cost_per_success=cost_per_success(_costs(groups), _won(groups)),
        against=_comparison(method, results, collection),
        tokens=Tokens(
            sum(r.tokens.fresh for r in own) / count,
            sum(r.tokens.cached for r in own) / count,
            sum(r.tokens.output for r in own) / count,
        ),
        estimated=any(r.estimated for r in own),
        by_category=_categories(own),
        goals=goal_completion(own) if own and all(r.scenario for r in own) else None,
        score=mean([[r.score for r in group] for group in groups]) if own and _graded(results) else None,
    )


def _graded(results: Mapping[str, Sequence[Result]]) -> bool:
    """Tell whether scores say more than success."""
    return any(r.score not in (0.0, 1.0) for own in results.values() for r in own)


def goal_completion(results: Sequence[Result]) -> GoalCompletion:
    """Return TGC and SGC of episodes; the tasks of a scenario that were not played do not count."""
    scenarios: dict[str, dict[int, list[bool]]] = defaultdict(lambda: defaultdict(list))
    for result in results:
        scenarios[result.scenario][result.seed].append(result.won)
    rounds = [list(seeds.values()) for seeds in scenarios.values()]
    return GoalCompletion(
        tgc=clustered_share([[float(won) for one in played for won in one] for played in rounds]),
        sgc=clustered_share([[float(all(one)) for one in played] for played in rounds]),
        scenarios=len(rounds),
    )


def _comparison(
    method: Method, results: Mapping[str, Sequence[Result]], collection: CollectionSummary
) -> Comparison:
    own = results.get(method.name, [])
    difference = relative_cost = relative_success = saving = None
    student = Pairs.of(own, results.get("student", []))
    if student.first and method.name != "student":
        difference = paired_difference(_won(student.first), _won(student.second))
    teacher = Pairs.of(own, results.get("teacher", []))
    if teacher.first:
        if any(r.cost for group in teacher.second for r in group):
            relative_cost = ratio(_costs(teacher.first), _costs(teacher.second))
        if any(r.won for group in teacher.second for r in group):
            relative_success = ratio(_won(teacher.first), _won(teacher.second))
        if method.k and collection.demonstrations and method.name != "teacher" and relative_cost is not None:
            saving = break_even(collection.cost, _flat(teacher.second), _flat(teacher.first))
    return Comparison(relative_cost, relative_success, difference, saving)


def _won(groups: Sequence[Sequence[Result]]) -> list[list[float]]:
    return [[float(r.won) for r in group] for group in groups]


def _costs(groups: Sequence[Sequence[Result]]) -> list[list[float]]:
    return [[r.cost for r in group] for group in groups]


def _flat(groups: Sequence[Sequence[Result]]) -> list[float]:
    return [r.cost for group in groups for r in group]


def _categories(results: Sequence[Result]) -> dict[str, CategoryShare]:
    shares: dict[str, CategoryShare] = {}
    for category in sorted({r.category for r in results}):
        mine = [r for r in results if r.category == category]
        shares[category] = CategoryShare(
            sum(r.won for r in mine), len(mine), success_share(_won(by_task(mine)))
        )
    return shares
