"""Code-writing agents end to end in a small world: collect, retrieve, cascade, and TGC and SGC in the report."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from code_scenario import NAME, SumsSuite, collect, compare, gold, place

from icd.benchmark.experiment import Workplace
from icd.benchmark.played import Result, Tokens
from icd.benchmark.summary import goal_completion, summarise
from icd.benchmark.table import columns, notes, rows, table


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Workplace, str]]:
    where = place(tmp_path_factory.mktemp("code") / "icd.db")
    collect(where)
    experiment = compare(where, "unanimity(3)", "in-context", "teacher", "copy")
    yield where, experiment.run_id
    where.close()


def test_the_teacher_is_the_gold_solution_and_becomes_demonstrations(played: tuple[Workplace, str]) -> None:
    where, _ = played
    shown = list(where.store.trajectories(status="demonstration"))
    assert len(shown) == 6
    for one in shown:
        assert [(s.reasoning, s.action) for s in one.steps] == [
            (g.reasoning, g.code) for g in gold(one.task_id)
        ]
        assert one.plan.startswith("1. I need the numbers.")


def test_the_cascade_acts_where_samples_agree_and_asks_where_not(played: tuple[Workplace, str]) -> None:
    where, run_id = played
    summary = summarise(where.store, run_id)
    cascade, teacher = summary.of("cascade"), summary.of("teacher")
    assert cascade is not None
    assert teacher is not None
    assert teacher.success.value == 1.0
    assert 0 < cascade.escalation < 1
    decisions = [row.body for row in where.store.decisions(f"{run_id}/cascade/test_mul_3/0")]
    first, last = [body for body in decisions if "acted_by" in body]
    assert (first["acted_by"], first["agreement"]) == ("student", 1.0)
    assert (last["acted_by"], last["reason"]) == ("teacher", "disagreed")
    assert first["action"] == gold("test_mul_3")[0].code
    assert last["action"] == gold("test_mul_3")[1].code


def test_copying_runs_demonstrated_blocks(played: tuple[Workplace, str]) -> None:
    where, run_id = played
    decisions = [row.body for row in where.store.decisions(f"{run_id}/copy/test_mul_1/0")]
    assert gold("train_add_1")[0].code in [body.get("action") for body in decisions]


def test_outcomes_tell_the_scenario(played: tuple[Workplace, str]) -> None:
    where, run_id = played
    outcomes = [row.outcome or {} for row in where.store.episodes(run_id)]
    assert {outcome["instance"] for outcome in outcomes} == {"mul", "max"}
    assert all(outcome["code"] for outcome in outcomes)


def test_the_table_shows_tgc_and_sgc(played: tuple[Workplace, str]) -> None:
    from icd.benchmark.findings import findings
    from icd.benchmark.report import page

    where, run_id = played
    summary = summarise(where.store, run_id)
    names = columns(summary)
    assert names[2:4] == ("TGC [95 %]", "SGC [95 %]")
    by_name = {texts[0]: dict(zip(names, texts, strict=True)) for texts in rows(summary)}
    assert by_name["teacher"]["TGC [95 %]"].startswith("1.00 [")
    # Only the third variant of each scenario is right, since there the teacher was asked.
    assert by_name["cascade"]["TGC [95 %]"].startswith("0.33 [")
    assert by_name["cascade"]["SGC [95 %]"].startswith("0.00 [")
    assert [column.header for column in table(summary, 200).columns] == list(names)
    assert any("scenarios (2)" in line for line in notes(summary))
    assert "SGC" in page([findings(where.store, run_id)], datetime(2026, 1, 1, tzinfo=UTC))


def test_the_same_run_again_asks_nobody(played: tuple[Workplace, str]) -> None:
    where, run_id = played
    before = len(list(where.store.ledger(run_id)))
    assert compare(where, "unanimity(3)", "teacher").run_id == run_id
    assert len(list(where.store.ledger(run_id))) == before


def test_a_code_world_has_its_own_limit_of_an_answer(tmp_path: Path) -> None:
    where = place(tmp_path / "icd.db")
    experiment = compare(where, "student")
    model = experiment.models.student
    assert model is not None
    limits = {(request.max_tokens, request.stop) for request in model.backend.requests}  # type: ignore[attr-defined]
    assert limits == {(128, ("\n",)), (512, ("\n```\n",))}
    conditions = experiment.config["conditions"]
    assert (conditions["environment"], conditions["max_steps"]) == (NAME, SumsSuite.max_steps)
    where.close()


def result(scenario: str, number: int, seed: int, won: bool) -> Result:
    return Result("m", f"{scenario}_{number}", seed, "c", won, 3, 0, 0.0, Tokens(), False, scenario)


def test_goal_completion_counts_scenarios_by_round() -> None:
    won = {("a", 1): True, ("a", 2): True, ("b", 1): True, ("b", 2): False, ("b", 3): False}
    once = goal_completion([result(s, n, 0, w) for (s, n), w in won.items()])
    assert once.tgc.value == pytest.approx(3 / 5)
    assert once.sgc.value == pytest.approx(1 / 2)
    assert once.scenarios == 2
    assert once.tgc.low <= once.tgc.value <= once.tgc.high
    twice = goal_completion(
        [result(s, n, 0, w) for (s, n), w in won.items()] + [result(s, n, 1, True) for s, n in won]
    )
    assert twice.tgc.value == pytest.approx(8 / 10)
    assert twice.sgc.value == pytest.approx(3 / 4)
    single = goal_completion([result(s, 1, 0, s != "c") for s in "abcd"])
    assert single.tgc == single.sgc
