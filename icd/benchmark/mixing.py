"""Random mixing at the same cost: how often the teacher has to take a step so that it costs what the cascade does.

The share is solved from the run's own episodes once, noted in the store, and kept: episodes that were played with
different shares could not be put together.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from icd.benchmark.methods import MIXED, MIXED_FROM
from icd.benchmark.played import Result, results_by_method
from icd.errors import ConfigurationError
from icd_memory.rows import JsonObject
from icd_memory.store import Store

_DIGITS = 4


def mixed_share(store: Store, run_id: str) -> float | None:
    """Return the run's probability of the teacher at a step; None: not solved yet."""
    noted = store.note(_note(run_id))
    return float(noted) if noted else None


def solve_mixed_share(store: Store, run_id: str, conditions: JsonObject) -> float:
    """Return the run's probability of the teacher at a step, solved and noted if it is not yet.

    Raises:
        ConfigurationError: no task is finished by all the methods that it is solved from.
    """
    known = mixed_share(store, run_id)
    if known is not None:
        return known
    found = results_by_method(store.episodes(run_id), store.ledger(run_id), conditions)
    common = set.intersection(*({(r.task_id, r.seed) for r in found.get(name, [])} for name in MIXED_FROM))
    if not common:
        raise ConfigurationError(
            f"{MIXED} is played after {', '.join(MIXED_FROM)}: none has finished a task yet"
        )
    student, cascade, teacher = (
        [r for r in found[name] if (r.task_id, r.seed) in common] for name in MIXED_FROM
    )
    share = round(share_at_cost(student, teacher, sum(r.cost for r in cascade)), _DIGITS)
    store.set_note(_note(run_id), str(share))
    return share


def share_at_cost(student: Sequence[Result], teacher: Sequence[Result], cost: float) -> float:
    """Return the least probability of the teacher at which these tasks are expected to cost so many dollars in all.

    Steps cost what they cost when one of the two plays alone, and the number of steps lies between theirs in
    proportion: both are linear in the probability, so the cost is quadratic in it.
    """
    steps, more_steps = _difference(sum(r.steps for r in student), sum(r.steps for r in teacher))
    price, more_price = _difference(_step_cost(student), _step_cost(teacher))
    a, b, c = more_steps * more_price, steps * more_price + price * more_steps, steps * price - cost
    if c >= 0 or math.isclose(steps * price, cost):
        return 0.0
    inside = b * b - 4 * a * c
    if inside < 0:
        if not math.isclose(b * b, 4 * a * c):
            return 1.0
        # The highest cost that there is: rounding must not put it out of reach.
        inside = 0.0
    # Without subtracting numbers that are nearly equal; a or q may be 0.
    q = -(b + math.copysign(math.sqrt(inside), b)) / 2
    roots = [over / under for over, under in ((c, q), (q, a)) if under]
    return min([root for root in roots if 0 <= root <= 1], default=1.0)


def _difference(first: float, second: float) -> tuple[float, float]:
    return first, second - first


def _step_cost(results: Sequence[Result]) -> float:
    return sum(r.cost for r in results) / max(sum(r.steps for r in results), 1)


def _note(run_id: str) -> str:
    return f"{MIXED} {run_id}"
