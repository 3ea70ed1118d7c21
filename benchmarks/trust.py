"""How far the memory can be trusted: what the threats of SECURITY.md achieve.

    python benchmarks/trust.py [--quick] [--json]

Each figure is measured by a module of its own (benchmarks/trust_*.py). Targets: `attack_success` at most 0.01,
`clean_held_back` at most 0.02, `redaction_recall` at least 0.98, `redaction_false_positives` at most 0.01,
`cross_tenant_rows` 0.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

_ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(_ROOT), str(_ROOT / "memory"), str(_ROOT / "envs"), str(_ROOT / "benchmarks")]

from common import emit  # noqa: E402
from trust_poisoning import attack_figures, held_back_figures  # noqa: E402
from trust_redaction import redaction_figures  # noqa: E402
from trust_tenancy import tenancy_figures  # noqa: E402


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="fewer rounds")
    parser.add_argument("--json", action="store_true", help="one JSON line")
    asked = parser.parse_args()
    quick = asked.quick
    figures = {
        **attack_figures(2 if quick else 40),
        **held_back_figures(16 if quick else 200),
        **redaction_figures(3 if quick else 60),
        **tenancy_figures(3 if quick else 100),
    }
    emit("trust", figures, {}, asked.json)


if __name__ == "__main__":
    main()
