"""The figures of episodes: sums equal what they are sums of, whatever changes in whatever order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from recorded_run import Play, record

from icd.episode_facts import FactKeeper, recount
from icd_memory.facts import DemonstrationFacts, DemonstrationUse, EpisodeFacts, Marks
from icd_memory.figures import EpisodeFilter, Totals
from icd_memory.rows import DecisionRow, FeedbackRow, LedgerRow
from icd_memory.store import Store

START = datetime(2026, 1, 1, tzinfo=UTC)
DEMONSTRATIONS = ("d0", "d1", "d2")

uses = st.lists(
    st.builds(DemonstrationUse, st.sampled_from(DEMONSTRATIONS), st.integers(1, 9), st.integers(0, 1), st.just(0.5)),
    max_size=3, unique_by=lambda use: use.trajectory_id,
)  # fmt: skip
changes = st.lists(
    st.builds(
        EpisodeFacts,
        tenant=st.sampled_from(["a", "b"]), episode_id=st.sampled_from(["e0", "e1", "e2"]),
        run_id=st.sampled_from(["live", "r"]), method=st.just("m"), category=st.sampled_from(["", "put", "\ud800"]),
        goal=st.just("goal"), status=st.just("done"), success=st.sampled_from([None, True, False]), score=st.none(),
        steps=st.integers(0, 9), student_steps=st.integers(0, 9), teacher_steps=st.integers(0, 9),
        cost=st.integers(0, 64).map(lambda n: n / 64), teacher_calls=st.integers(0, 9),
        teacher_cost=st.integers(0, 64).map(lambda n: n / 64), seconds=st.just(0.0),
        began=st.integers(0, 3).map(lambda days: START + timedelta(days)), uses=uses.map(tuple),
    ),
    max_size=12,
)  # fmt: skip


@settings(max_examples=25, deadline=None)
@given(changes, st.integers(0, 12))
def test_sums_equal_what_they_are_sums_of(facts: Sequence[EpisodeFacts], late: int) -> None:
    with Store.open(":memory:") as store:
        known = [DemonstrationFacts("a", id, n, "e", "", "", "", 1) for n, id in enumerate(DEMONSTRATIONS)]
        for number, one in enumerate(facts):
            # What is known of a demonstration may come after its uses.
            store.facts.replace(None, None, [one], known if number == late else ())
        store.facts.replace(None, None, (), known)
        last = {one.key: one for one in facts}
        for tenant in ("a", "b"):
            mine = [one for one in last.values() if one.tenant == tenant]
            total = Totals.over(store.figures.totals(tenant))
            assert (total.episodes, total.steps) == (len(mine), sum(one.steps for one in mine))
            assert total.judged == sum(one.success is not None for one in mine)
            assert total.won == sum(one.success is True for one in mine)
            assert total.cost == sum(one.cost for one in mine)
            assert total.steps_cost == sum(one.steps * one.cost for one in mine)
            assert len(store.figures.episodes(tenant, EpisodeFilter()).rows) == len(mine)
        _check_uses(store, [one for one in last.values() if one.tenant == "a"])


def _check_uses(store: Store, episodes: Sequence[EpisodeFacts]) -> None:
    shown: Counter[str] = Counter()
    for one in episodes:
        for use in one.uses:
            shown.update({(use.trajectory_id, "episodes"): 1, (use.trajectory_id, "shown"): use.shown})  # type: ignore[dict-item]
    import sqlalchemy as sa

    from icd_memory import schema

    with store.facts._db.read() as connection:
        for row in connection.execute(sa.select(schema.demonstration_facts)):
            assert row.episodes == shown[row.trajectory_id, "episodes"]  # type: ignore[index]
            assert row.shown == shown[row.trajectory_id, "shown"]  # type: ignore[index]


def test_who_comes_second_changes_nothing() -> None:
    with Store.open(":memory:") as store:
        record(store, {"cascade": [Play(True, "st")]})
        before = store.facts.marks()
        changed = store.facts.changed(before, 100, lambda tenant, id: id)
        assert store.facts.replace(before, changed.marks)
        assert not store.facts.replace(before, changed.marks)
        assert before == Marks()


def test_what_a_run_left_is_taken_in_once() -> None:
    with Store.open(":memory:") as store:
        run = record(
            store, {"cascade": [Play(True, "sst"), Play(False, "tt")], "student": [Play(True, "ss")]}
        )
        keeper = FactKeeper(store)
        for _ in range(2):
            assert keeper.catch_up()
            whole = Totals.over(store.figures.totals("default", run))
            assert (whole.episodes, whole.won, whole.steps) == (3, 2, 7)
            assert (whole.student_steps, whole.teacher_steps, whole.teacher_calls) == (4, 3, 3)
            spent = sum(row.cost for row in store.ledger(run))
            assert whole.cost == pytest.approx(spent)
        assert keeper.share() == 1.0


def test_later_words_change_an_episode() -> None:
    with Store.open(":memory:") as store:
        keeper = FactKeeper(store)
        body = {
            "acted_by": "student",
            "goal": "help",
            "category": "mail",
            "policy": "unanimity(3)",
            "mode": "cascade",
        }
        store.add_decision(DecisionRow("d0", "talk", 0, body, START, "shop"))
        store.add_decision(DecisionRow("d1", "talk", 0, {**body, "shadow_of": "d0"}, START, "shop"))
        keeper.catch_up()
        first = store.figures.episode("shop", "talk")
        assert first is not None
        assert (first.success, first.steps, first.method, first.cost) == (None, 1, "unanimity(3)", 0.0)
        store.add_feedback(FeedbackRow("f", "shop", "talk", None, True, 0.5, "", "", START))
        store.add_ledger([LedgerRow("l", "live", "teacher", "m", 1, 0, 1, 0.25, "talk", None, tenant="shop")])
        keeper.catch_up()
        then = store.figures.episode("shop", "talk")
        assert then == replace(first, success=True, score=0.5, cost=0.25, teacher_calls=1, teacher_cost=0.25)
        assert store.figures.episode("default", "talk") is None
        recount(store, [("shop", "talk")])
        assert store.figures.episode("shop", "talk") == then
