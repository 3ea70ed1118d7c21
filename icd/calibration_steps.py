"""A second, separate promise: in how many steps the cascade does something else than the teacher would have done.

No outcome is needed, only the teacher's own answer at each step (the label-free loss of C3PO, arXiv 2511.07396), which
receipts of runs with ``record: full`` hold. A candidate's loss in an episode is the share of the steps at which the
student acts, and not as the teacher. It is known for every candidate from the same recorded episodes, without playing.
The bound is about the states that those episodes visited; where a candidate would have led elsewhere is not in it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from icd.agreement import text_key
from icd.calibration_pvalues import betting_p_value
from icd.cascade import Policy
from icd.code_agreement import action_key
from icd.replay import Rules, replay_decision
from icd_memory.rows import DecisionRow


def disagreement(rows: Sequence[DecisionRow], policy: Policy) -> float:
    """Return the share of an episode's recorded steps at which the policy lets the student act unlike the teacher.

    What the record does not tell counts as a disagreement.
    """
    steps = [row for row in rows if row.step >= 0]
    return sum(_disagrees(row, policy) for row in steps) / len(steps) if steps else 0.0


def _disagrees(row: DecisionRow, policy: Policy) -> bool:
    body = row.body
    found = replay_decision(row, replace(Rules.of(body), policy=policy))
    if found.actor == "teacher":
        return False
    taught = body if body["acted_by"] == "teacher" else body["shadow"]
    if found.action is None or taught is None:
        return True
    key = action_key if body["code"] else text_key
    return key(found.action) != key(taught["action"])


def at_most_in_expectation(losses: Sequence[Sequence[float]], bound: float) -> int:
    """Return how many of the candidates, from the most careful on, keep the mean loss of the next episode within `bound`.

    Conformal risk control (Angelopoulos et al., 2022): an expectation over calibration and next episode together.
    `losses` are [candidate][episode]; an episode's is made to rise along the candidates, as the method wants it.
    """
    accepted, worst = 0, [0.0] * (len(losses[0]) if losses else 0)
    for candidate in losses:
        worst = [max(pair) for pair in zip(worst, candidate, strict=True)]
        if (sum(worst) + 1) / (len(worst) + 1) > bound:
            break
        accepted += 1
    return accepted


def p_values(losses: Sequence[Sequence[float]], bound: float) -> list[float]:
    """Return each candidate's p-value of "the mean loss is more than `bound`"; `losses` are [candidate][episode]."""
    return [betting_p_value(candidate, bound) for candidate in losses]
