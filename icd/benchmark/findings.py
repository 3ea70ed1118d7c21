"""What a report shows of a run: its table, differences, escalations, ablations, the quality of agreement."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace

from icd.benchmark.ablation import Ablation, Arm, ablations
from icd.benchmark.agreement_quality import AgreementQuality, agreement_quality
from icd.benchmark.amortisation import Amortisation, Rung, StopCollecting, amortisation, stop_collecting
from icd.benchmark.conditions import method_defaults
from icd.benchmark.derived import derive
from icd.benchmark.escalation import EscalationMap, escalation_map
from icd.benchmark.facts import facts
from icd.benchmark.method_notation import READERS, write_value
from icd.benchmark.methods import STANDARD, Details, Method, standard_method
from icd.benchmark.pairs import PairedDifference, Pairs, differences
from icd.benchmark.played import Result, by_task
from icd.benchmark.played_run import PlayedRun
from icd.benchmark.steps import PlayedStep, played_steps
from icd.benchmark.summary import RunSummary, open_run, summarise_run
from icd.errors import EnvsError, IcdError, IcdMemoryError, MissingExtraError
from icd_memory.store import Store

__all__ = ["DERIVED", "EPISODES_TO_COME", "Findings", "findings"]

DERIVED = ("oracle", "router(0.3)", "episodes(0.8)")
"""The derived methods of a report, as far as a run has the episodes that they choose from."""
EPISODES_TO_COME = 1000
"""For the rule that says whether to collect more."""
_MOST = 4
"""Methods of which the bills are shown: more lines cannot be told apart."""
_HORIZON = 100_000
"""Episodes: what pays for itself later than that does not."""


@dataclass(frozen=True, slots=True)
class Findings:
    """Everything of one run that a report shows."""

    summary: RunSummary
    """Derived methods included."""
    amortisations: Mapping[str, Amortisation]
    """By method that uses demonstrations: the first few that the run shows."""
    stopping: StopCollecting | None
    """None where too few sizes of the memory were played."""
    differences: tuple[PairedDifference, ...]
    escalations: tuple[EscalationMap, ...]
    """Of the methods in which student and teacher share the steps."""
    ablations: tuple[Ablation, ...]
    agreement: Mapping[str, AgreementQuality]
    """By method, where it can be known: some steps are right, and some are not."""
    facts: Mapping[str, str]


def findings(store: Store, run_id: str) -> Findings:
    """Return what a run shows so far.

    Raises:
        ConfigurationError: the store has no such run, or it is a collection.
    """
    run = open_run(store, run_id)
    derived = _derived(run)
    summary = summarise_run(run, derived)
    results = {**run.results, **derived}
    steps = _sampled_steps(run, [m.method for m in summary.methods if not m.derived])
    return Findings(
        summary,
        _amortisations(summary, run.results),
        _stopping(summary, run.results),
        differences(
            {
                m.method.name: results[m.method.name]
                for m in summary.methods
                if m.episodes and m.method.name != "oracle"
            }
        ),
        tuple(
            escalation_map(name, own)
            for name, own in steps.items()
            if any(step.actor == "teacher" for step in own)
        ),
        _ablations(summary),
        {
            name: quality
            for name, own in steps.items()
            if (quality := agreement_quality(own)) is not None and not math.isnan(quality.auroc.value)
        },
        facts(store, run_id, run.results.values()),
    )


def _derived(run: PlayedRun) -> dict[str, Sequence[Result]]:
    """Return the episodes of the derived methods that the run, its games and this installation allow."""
    found: dict[str, Sequence[Result]] = {}
    for name in DERIVED:
        try:
            found[name] = derive(name, run)
        except (IcdError, EnvsError, IcdMemoryError):
            continue
    return found


def _sampled_steps(run: PlayedRun, methods: Sequence[Method]) -> dict[str, Sequence[PlayedStep]]:
    """Return the steps of the methods in which the student is asked several times, or chance asks the teacher."""
    return {
        method.name: steps
        for method in methods
        if method.policy.asks_student
        and (method.policy.asks_teacher or method.policy.n > 1)
        and (steps := played_steps(run.store, run.run_id, method.name))
    }


def _amortisations(summary: RunSummary, results: Mapping[str, Sequence[Result]]) -> dict[str, Amortisation]:
    methods = [m for m in summary.methods if m.against.break_even is not None and not m.derived][:_MOST]
    known = [m.against.break_even.episodes for m in methods if m.against.break_even]
    ends = [2 * episodes for episodes in known if math.isfinite(episodes)]
    horizon = min(math.ceil(max(ends)), _HORIZON) if ends else None
    found = {}
    for method in methods:
        pairs = Pairs.of(results["teacher"], results[method.method.name])
        teacher, own = ([[r.cost for r in group] for group in side] for side in (pairs.first, pairs.second))
        found[method.method.name] = amortisation(summary.collection.cost, teacher, own, horizon=horizon)
    return found


def _stopping(summary: RunSummary, results: Mapping[str, Sequence[Result]]) -> StopCollecting | None:
    """Return what the rule says of the memory's size, where in-context was played with several."""
    in_context, teacher = summary.of("in-context"), summary.of("teacher")
    if not in_context or not teacher or not teacher.episodes or not summary.collection.demonstrations:
        return None
    own = _settings(in_context.method)
    sizes = {0: "student"} if "student" in results else {}
    for method in summary.methods:
        settings = _settings(method.method)
        if (
            method.episodes
            and not method.derived
            and {**settings, "memory_size": ""} == {**own, "memory_size": ""}
        ):
            sizes[method.method.details.memory_size or summary.collection.demonstrations] = method.method.name
    try:
        return stop_collecting(
            [_rung(size, results[name]) for size, name in sizes.items()],
            price=summary.collection.cost / summary.collection.demonstrations,
            worth=teacher.cost_per_success.value,
            episodes=EPISODES_TO_COME,
        )
    except (ValueError, MissingExtraError):
        return None


def _rung(size: int, results: Sequence[Result]) -> Rung:
    groups = {group[0].task_id: group for group in by_task(results)}
    return Rung(
        size,
        {task: sum(r.won for r in group) / len(group) for task, group in groups.items()},
        {task: sum(r.cost for r in group) / len(group) for task, group in groups.items()},
    )


def _ablations(summary: RunSummary) -> tuple[Ablation, ...]:
    defaults = method_defaults(summary.conditions)
    arms = {
        m.method.name: Arm(_settings(m.method), m.success, m.cost)
        for m in summary.methods
        if m.episodes and m.method.policy.asks_student and not m.derived
    }
    own = _settings(standard_method("cascade", defaults))
    return ablations(arms, {name: own[name] for name in READERS}, STANDARD)


def _settings(method: Method) -> dict[str, str]:
    """Return all that a method decides by, as it is written."""
    values = {
        "k": method.k,
        "n": method.policy.n,
        "guards": method.guards,
        **{field.name: getattr(method.details, field.name) for field in fields(Details)},
    }
    return {
        "policy": str(replace(method.policy, n=1)),
        **{name: write_value(name, value) for name, value in values.items()},
    }
