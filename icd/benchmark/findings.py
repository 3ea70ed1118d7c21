"""What a report shows of a run: its table, differences, escalations, ablations, the quality of agreement."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace

from icd.benchmark.ablation import Ablation, Arm, ablations
from icd.benchmark.agreement_quality import AgreementQuality, agreement_quality
from icd.benchmark.conditions import method_defaults
from icd.benchmark.derived import derive
from icd.benchmark.escalation import EscalationMap, escalation_map
from icd.benchmark.facts import facts
from icd.benchmark.method_notation import READERS, write_value
from icd.benchmark.methods import STANDARD, Details, Method, standard_method
from icd.benchmark.pairs import PairedDifference, differences
from icd.benchmark.played import Result
from icd.benchmark.played_run import PlayedRun
from icd.benchmark.steps import PlayedStep, played_steps
from icd.benchmark.summary import RunSummary, open_run, summarise_run
from icd.errors import EnvsError, IcdError, IcdMemoryError
from icd_memory.store import Store

__all__ = ["DERIVED", "Findings", "findings"]

DERIVED = ("oracle", "router(0.3)", "episodes(0.8)")
"""The derived methods of a report, as far as a run has the episodes that they choose from."""


@dataclass(frozen=True, slots=True)
class Findings:
    """Everything of one run that a report shows."""

    summary: RunSummary
    """Derived methods included."""
    differences: tuple[PairedDifference, ...]
    escalations: tuple[EscalationMap, ...]
    """Of the methods in which student and teacher share the steps."""
    ablations: tuple[Ablation, ...]
    agreement: Mapping[str, AgreementQuality]
    """By method, where it can be known."""
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
        differences({m.method.name: results[m.method.name] for m in summary.methods if m.episodes}),
        tuple(
            escalation_map(name, own)
            for name, own in steps.items()
            if any(step.actor == "teacher" for step in own)
        ),
        _ablations(summary),
        {name: quality for name, own in steps.items() if (quality := agreement_quality(own)) is not None},
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
