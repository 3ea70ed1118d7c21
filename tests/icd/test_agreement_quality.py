"""Does agreement say who is right: areas against counting pairs, curves, and what cannot be known."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from icd.benchmark.agreement_quality import Judged, agreement_quality, auroc, reliability
from icd.benchmark.steps import PlayedStep, decile, escalations

judged_steps = st.lists(
    st.builds(Judged, st.sampled_from("abcdef"), st.sampled_from([0.2, 0.4, 0.6, 0.8, 1.0]), st.booleans()),
    min_size=2,
    max_size=30,
)
STEP = PlayedStep("a", 0, "look", True, 0, 4, "student", "agreed", 3, 3, 1.0, True)


def area(judged: list[Judged]) -> float:
    pairs = [(a.score, b.score) for a in judged if a.right for b in judged if not b.right]
    return sum((a > b) + (a == b) / 2 for a, b in pairs) / len(pairs) if pairs else math.nan


@given(judged_steps)
def test_the_area_counts_pairs(judged: list[Judged]) -> None:
    found, expected = auroc(judged), area(judged)
    assert found.value == pytest.approx(expected, nan_ok=True)
    assert 0 <= found.low <= found.high <= 1
    if not math.isnan(expected):
        assert found.low <= found.value <= found.high
        metrics = pytest.importorskip("sklearn.metrics")
        library = metrics.roc_auc_score([one.right for one in judged], [one.score for one in judged])
        assert found.value == pytest.approx(library)


def correlated(rng: np.random.Generator) -> list[Judged]:
    """Thirty tasks of which all steps are right or none is, and share most of their confidence."""
    judged = []
    for task in range(30):
        right = bool(rng.random() < 0.5)
        scores = right + rng.normal() + 0.2 * rng.normal(size=8)
        judged += [Judged(str(task), round(score, 1), right) for score in scores]
    return judged


def test_the_area_of_correlated_steps_covers_the_truth() -> None:
    rng = np.random.default_rng(3)
    truth = 0.5 * (1 + math.erf(1 / math.sqrt(2 * (1 + 0.04)) / math.sqrt(2)))
    intervals = [auroc(correlated(rng)) for _ in range(60)]
    assert sum(found.low <= truth <= found.high for found in intervals) >= 53
    judged = correlated(rng)
    clustered = auroc(judged)
    independent = auroc([one._replace(task=str(number)) for number, one in enumerate(judged)])
    assert independent.value == clustered.value
    assert clustered.high - clustered.low > 2 * (independent.high - independent.low)


def test_a_perfect_order_is_not_certain() -> None:
    found = auroc([Judged("a", 1.0, True), Judged("b", 0.5, False), Judged("c", 0.9, True)])
    assert found.value == 1
    assert found.low < 0.3
    assert auroc([Judged("a", 1.0, True)])[1:] == (0, 1)


@given(judged_steps)
def test_a_curve_holds_every_step(judged: list[Judged]) -> None:
    curve = reliability(judged)
    assert sum(point.steps for point in curve) == len(judged)
    assert sum(point.right.value * point.steps for point in curve) == pytest.approx(
        sum(one.right for one in judged)
    )
    assert [point.agreement for point in curve] == pytest.approx(sorted({one.score for one in judged}))


def test_many_values_are_put_into_bins() -> None:
    curve = reliability([Judged("a", n / 100, True) for n in range(101)])
    assert [point.steps for point in curve] == [10] * 9 + [11]


def test_a_right_step_is_the_teachers_where_it_was_asked_everywhere() -> None:
    steps = [STEP, replace(STEP, agreement=2 / 3, matches=False, won=True)]
    found = agreement_quality(steps)
    assert found is not None
    assert (found.target, found.steps, found.auroc.value) == ("teacher", 2, 1.0)
    partly = agreement_quality([STEP, replace(STEP, matches=None, won=False, task_id="b")])
    assert partly is not None
    assert partly.target == "outcome"
    assert [point.right.value for point in partly.curve] == [0.5]


def test_early_stopping_leaves_unanimity_or_nothing() -> None:
    stopped = agreement_quality([STEP, replace(STEP, drawn=2, agreement=0.5, matches=False)])
    assert stopped is not None
    assert stopped.only_unanimity
    assert [point.agreement for point in stopped.curve] == [0, 1]
    assert agreement_quality([STEP, replace(STEP, drawn=2, agreement=1.0)]) is None
    assert agreement_quality([replace(STEP, wanted=1, drawn=1)]) is None
    assert agreement_quality([replace(STEP, agreement=None, drawn=0)]) is None


def test_escalations_by_category_and_position() -> None:
    steps = [
        replace(STEP, task_id=f"{task}", category="look" if task % 2 else "heat", step=step, steps=10,
                actor="teacher" if step >= 8 else "student")
        for task in range(6)
        for step in range(10)
    ]  # fmt: skip
    by_category = escalations(steps, lambda step: step.category)
    assert {name: (share.value, count) for name, (share, count) in by_category.items()} == {
        "look": (pytest.approx(0.2), 30),
        "heat": (pytest.approx(0.2), 30),
    }
    by_position = escalations(steps, decile)
    assert [by_position[place][0].value for place in range(10)] == [0] * 8 + [1] * 2
    # Six tasks, not sixty steps: a tenth that was never escalated may still be.
    assert by_position[0][0].high == pytest.approx(0.39, abs=0.01)
    assert escalations(steps, lambda step: (step.category, decile(step)))["look", 9][1] == 3
