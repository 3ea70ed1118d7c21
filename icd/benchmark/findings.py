"""What a report shows of a run beside its table: differences, escalations, ablations, the quality of agreement."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from icd.benchmark.ablation import Ablation, Figures, ablations, written
from icd.benchmark.agreement_quality import AgreementQuality, agreement_quality
from icd.benchmark.escalation import EscalationMap, escalation_map
from icd.benchmark.facts import facts
from icd.benchmark.pairs import PairedDifference, differences
from icd.benchmark.steps import PlayedStep, played_steps
from icd.benchmark.summary import RunSummary, results_of
from icd_memory.store import Store

__all__ = ["Findings", "findings"]


@dataclass(frozen=True, slots=True)
class Findings:
    """Everything of one run that a report shows."""

    summary: RunSummary
    differences: tuple[PairedDifference, ...]
    escalations: tuple[EscalationMap, ...]
    """Of the methods in which student and teacher share the steps."""
    ablations: tuple[Ablation, ...]
    agreement: Mapping[str, AgreementQuality]
    """By method, where it can be known."""
    facts: Mapping[str, str]


def findings(store: Store, summary: RunSummary) -> Findings:
    """Return what a run shows so far."""
    results = results_of(store, summary.run_id, summary.conditions)
    ordered = {m.method.name: results[m.method.name] for m in summary.methods if m.method.name in results}
    steps = _shared_steps(store, summary)
    return Findings(
        summary,
        differences(ordered),
        tuple(escalation_map(name, own) for name, own in steps.items()),
        _ablations(summary),
        {name: quality for name, own in steps.items() if (quality := agreement_quality(own)) is not None},
        facts(store, summary.run_id, ordered.values()),
    )


def _shared_steps(store: Store, summary: RunSummary) -> dict[str, Sequence[PlayedStep]]:
    mixed = [m.method for m in summary.methods if m.episodes]
    return {
        method.name: played_steps(store, summary.run_id, method.name)
        for method in mixed
        if method.policy.asks_student and method.policy.asks_teacher
    }


def _ablations(summary: RunSummary) -> tuple[Ablation, ...]:
    shown = {m.method.name: Figures(m.success, m.cost) for m in summary.methods if m.episodes}
    runtime = summary.conditions["runtime"]
    unchanged = {
        m.method.name: {
            "k": str(m.method.k),
            "temperature": f"{runtime['temperature']:g}",
            "placement": str(runtime["student_prompt"]["placement"]),
        }
        for m in summary.methods
        if not written(m.method.name).changes
    }
    return ablations(shown, unchanged)
