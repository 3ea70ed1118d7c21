"""How far the runtime can be trusted: what the threats of SECURITY.md achieve.

    python benchmarks/trust.py [--quick] [--json] [--only kill,fuzz]

Each part is measured by a module of its own (benchmarks/trust_*.py). Targets: `lost_acknowledged`, `over_budget_cents`,
`leaked_reservation_cents`, `cross_tenant_rows` and `fuzz_failures` 0; `attack_success` at most 0.01, `clean_held_back` at
most 0.02, `redaction_recall` at least 0.98, `redaction_false_positives` at most 0.01. `ICD_TEST_POSTGRES` names a
PostgreSQL server for what is measured on both databases. The soak is on its own: benchmarks/trust_soak.py.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

_ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(_ROOT), str(_ROOT / "memory"), str(_ROOT / "envs"), str(_ROOT / "benchmarks")]

Figures = Mapping[str, float | int]


def kill(quick: bool) -> Figures:
    """Return what is lost when processes are killed."""
    from trust_kill import FULL, QUICK, figures

    return figures(QUICK if quick else FULL)


def budgets(quick: bool) -> Figures:
    """Return what is spent beyond budgets, by one process that is torn down and by several of which one is killed."""
    from trust_budget_processes import figures as of_processes
    from trust_budgets import figures

    with tempfile.TemporaryDirectory() as folder:
        alone, together = figures(Path(folder)), of_processes(quick, Path(folder))
    both = ("over_budget_cents", "leaked_reservation_cents")
    return {**alone, **together, **{name: max(alone[name], together[name]) for name in both}}


def poisoning(quick: bool) -> Figures:
    """Return which attacks on the memory succeed, and what honest sources pay for the defences."""
    from trust_poisoning import attack_figures, held_back_figures

    return {**attack_figures(2 if quick else 40), **held_back_figures(16 if quick else 200)}


def redaction(quick: bool) -> Figures:
    """Return which secrets are found."""
    from trust_redaction import redaction_figures

    return redaction_figures(3 if quick else 60)


def tenancy(quick: bool) -> Figures:
    """Return which rows cross."""
    from trust_tenancy import tenancy_figures

    return tenancy_figures(3 if quick else 100)


def fuzz(quick: bool) -> Figures:
    """Return how parsers take damaged inputs."""
    from trust_fuzz import figures

    return figures(quick)


PARTS: dict[str, Callable[[bool], Figures]] = {
    part.__name__: part for part in (kill, budgets, poisoning, redaction, tenancy, fuzz)
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="fewer rounds")
    parser.add_argument("--json", action="store_true", help="one JSON line")
    parser.add_argument("--only", default=",".join(PARTS), help=f"of {', '.join(PARTS)}, with commas")
    asked = parser.parse_args()
    # Imported where it is used: a killed writer's process loads this file again.
    from common import emit

    figures: dict[str, float | int] = {}
    for name in asked.only.split(","):
        started = time.perf_counter()
        print(f"{name} ...", file=sys.stderr, flush=True)
        found = PARTS[name](asked.quick)
        figures |= found
        told = ", ".join(f"{key} {value:.4g}" for key, value in found.items())
        print(f"{name}: {told} ({time.perf_counter() - started:.0f} s)", file=sys.stderr, flush=True)
    emit("trust", figures, {}, asked.json)


if __name__ == "__main__":
    main()
