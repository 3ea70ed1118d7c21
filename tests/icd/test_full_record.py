"""A run whose record is full: everything that calibration asks for is there, and it costs the methods nothing."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from scenario import collection, comparison, workplace

from icd.benchmark.summary import summarise
from icd.cascade import parse_policy
from icd.replay import Rules, replay_decision
from icd.runtime import PLAN_STEP


def test_a_full_run_knows_of_each_step_what_any_policy_would_have_done(tmp_path: Path) -> None:
    place = workplace(tmp_path / "icd.db", run={"max_steps": 12, "record": "full"})
    asyncio.run(collection(place, 4).play())
    experiment = comparison(place, 2, methods=("majority(5, 0.6)", "student"))
    asyncio.run(experiment.play())
    store = place.store
    rows = [
        row
        for episode in store.episodes(experiment.run_id)
        for row in store.decisions(episode.id)
        if row.step != PLAN_STEP
    ]
    assert rows
    for row in rows:
        assert (row.body["shadow"] is None) == (row.body["acted_by"] == "teacher")
        assert len(row.body["samples"]) == parse_policy(row.body["policy"]).n
        assert replay_decision(row, Rules(parse_policy("teacher"))).unknown is None
    paid = sum(row.cost for row in store.ledger(experiment.run_id) if not row.counterfactual)
    asked = sum(row.cost for row in store.ledger(experiment.run_id) if row.counterfactual)
    assert asked > 0
    summary = summarise(store, experiment.run_id)
    costs = sum(method.cost.value * method.episodes for method in summary.methods if method.cost)
    assert costs == pytest.approx(paid)
    place.close()
