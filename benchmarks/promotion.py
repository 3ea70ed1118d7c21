"""How often candidates of known rates come through the gate and the canary: `alpha` is promised, the rest is found.

`false_promotions` is the largest share among candidates that must not come through: worse by the margin on held-out
tasks, no cheaper per success, or good there and worse by the canary's margin on live episodes. `true_promotions` is the
share among candidates that are better and cheaper.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent))
from common import machine

from icd.offline.gate import Rules
from icd.offline.simulation import Candidate, shares_of

RULES = Rules()
FALSE = {
    "worse by the margin": Candidate(-RULES.gate.margin, 0.0, 0.8),
    "no cheaper per success": Candidate(0.0, 0.0, 1.0),
    "good offline, worse live": Candidate(0.05, -RULES.canary.margin, 0.8),
}
TRUE = {
    "better and cheaper": Candidate(0.05, 0.05, 0.8),
    "as good and cheaper": Candidate(0.0, 0.0, 0.8),
}


def main() -> None:
    parser = argparse.ArgumentParser(description="Shares of candidates that come through.")
    parser.add_argument("--quick", action="store_true", help="fewer simulations")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    repetitions = 100 if options.quick else 1000
    found = {
        name: shares_of(candidate, repetitions, np.random.default_rng(number))
        for number, (name, candidate) in enumerate({**FALSE, **TRUE}.items())
    }
    figures = {
        "alpha": RULES.gate.alpha,
        "false_promotions": max(found[name]["promoted"] for name in FALSE),
        "true_promotions": found["better and cheaper"]["promoted"],
        "simulations": repetitions,
    }
    if options.json:
        print(json.dumps({"name": "promotion", "figures": figures, "peers": {}, "machine": machine()}))
        return
    print("| candidate | kept | rolled back | promoted |\n|---|---|---|---|")
    for name, shares in found.items():
        print(f"| {name} | {shares['kept']:.3f} | {shares['rolled back']:.3f} | {shares['promoted']:.3f} |")
    print(f"\nalpha {figures['alpha']:g}, {repetitions} simulations of each")


if __name__ == "__main__":
    main()
