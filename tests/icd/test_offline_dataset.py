"""Data sets from traces: prompts word for word those of the runtime, tasks apart, every row traceable."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scenario import ScenarioModels, collection, comparison, settings

from icd import assembly
from icd.backends.openai_wire import message_json
from icd.benchmark.experiment import Workplace
from icd.decision import DecisionContext
from icd.errors import ConfigurationError
from icd.offline.card import read_card
from icd.offline.composing import Composer
from icd.offline.dataset import DataSet, Wishes, make_dataset, part_of, write_dataset
from icd.offline.examples import EXAMPLES, PAIRS, Example, Pair, file_of, plain_text, rows_of
from icd.offline.mix import MOST_REPEATS, Evidence, balanced, shares
from icd.offline.registry import make_student, recall, register_dataset, register_student, trained_tasks
from icd.offline.traces import Selection, kept_out, traces
from icd.prompting import read_step
from icd.testing import DemonstrationBackend
from icd_memory.store import Store
from icd_memory.trajectory import Outcome, Provenance, Step, Trajectory

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def place_of(folder: Path, student: DemonstrationBackend, **seat: Any) -> Workplace:
    """A workplace whose student is held to the possible actions, so that prompts need not list them."""
    student_seat = {"kind": "openai", "model": "gpt-4.1-mini", "guided": "choice", "temperature": 0.2, **seat}
    wanted = settings(folder / "icd.db", student=student_seat, run={"max_steps": 12, "record": "full"})
    return Workplace(wanted, "household", make_models=ScenarioModels(student))


def composer(place: Workplace, k: int) -> Composer:
    retriever = place.memory.retriever if k else None
    runtime = replace(assembly.runtime_settings(place.settings), k=k)
    return Composer(runtime, place.settings.student.effective_context, retriever)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Workplace:
    place = place_of(
        tmp_path_factory.mktemp("played"), DemonstrationBackend(model="gpt-4.1-mini"), temperature=0.5
    )
    asyncio.run(collection(place, 6).play())
    asyncio.run(comparison(place, 4, methods=("student", "cascade"), split="train").play())
    asyncio.run(comparison(place, 1, methods=("teacher",), split="test").play())
    return place


@pytest.fixture(scope="module")
def made(place: Workplace) -> DataSet:
    return make_dataset(place.store, Wishes(), composer(place, 0))


@pytest.mark.parametrize(("method", "k"), [("student", 0), ("in-context", 2)])
def test_prompts_are_those_that_the_student_was_sent(tmp_path: Path, method: str, k: int) -> None:
    student = DemonstrationBackend(model="gpt-4.1-mini")
    place = place_of(tmp_path, student, history=0)
    asyncio.run(collection(place, 4).play())
    student.requests.clear()
    asyncio.run(comparison(place, 2, methods=(method,), split="train").play())
    sent = {json.dumps([message_json(m) for m in request.messages]) for request in student.requests}
    made = make_dataset(place.store, Wishes(validation=0.0), composer(place, k))
    rows = [
        row
        for row in (*made.examples["train"], *made.failed["train"])
        if any(method in origin.episode for origin in row.origins)
    ]
    assert rows
    assert {json.dumps(list(row.prompt)) for row in rows} <= sent
    assert all(bool(row.excerpts) == bool(k) for row in rows)
    place.close()


def test_steps_are_asked_with_each_number_of_excerpts(place: Workplace) -> None:
    wishes, without, shown = Wishes(validation=0.0), composer(place, 0), composer(place, 2)
    mixed = make_dataset(place.store, wishes, without, shown)
    apart = [make_dataset(place.store, wishes, one) for one in (without, shown)]
    assert {row.id for row in mixed.rows} == {row.id for made in apart for row in made.rows}
    assert {bool(row.excerpts) for row in mixed.examples["train"]} == {False, True}


def test_answers_are_read_back_as_what_was_done(place: Workplace, made: DataSet) -> None:
    found = Counter(row.kind for part in made.examples.values() for row in part)
    assert found["demonstration"]
    assert found["escalated"]
    assert found["plan"]
    for row in (row for part in made.examples.values() for row in part if row.kind != "plan"):
        assert [turn.get("weight") for turn in row.messages if turn["role"] == "assistant"] == [1]
        assert row.answer["content"].startswith(row.cue)
        read = read_step(row.answer["content"], DecisionContext("", "", ""))
        assert (read.action, read.reasoning) == (row.action, row.reasoning)
        plain = plain_text(row.prompt, row.answer, row.cue)
        assert plain.prompt.endswith(f"\n{row.cue}")
        assert f"{row.cue}{plain.completion}" == row.answer["content"] + "\n"


def test_every_row_is_found_again_in_the_store(place: Workplace, made: DataSet) -> None:
    for row in made.rows:
        for origin in row.origins:
            trajectory = place.store.trajectory(origin.trajectory)
            assert trajectory.provenance.source == origin.source
            assert trajectory.split == "train"
            if isinstance(row, Example) and row.kind != "plan":
                assert trajectory.steps[origin.step].action == row.action
                assert trajectory.outcome is not None
                assert trajectory.outcome.success == row.won
            if origin.decision:
                receipt = place.store.decision(origin.decision)
                assert receipt is not None
                assert receipt.episode_id == origin.episode


def test_pairs_prefer_only_what_worked_or_the_teacher_to_what_failed(place: Workplace, made: DataSet) -> None:
    pairs = [pair for part in made.pairs.values() for pair in part]
    assert {pair.kind for pair in pairs} == {"escalated", "shadow"}
    for pair in pairs:
        (origin,) = pair.origins[:1]
        receipt, trajectory = place.store.decision(origin.decision), place.store.trajectory(origin.trajectory)
        assert receipt is not None
        assert trajectory.outcome is not None
        body = receipt.body
        assert trajectory.outcome.success == (pair.kind == "escalated")
        taught = body if body["acted_by"] == "teacher" else body["shadow"]
        assert pair.chosen[0]["content"].endswith(taught["action"])
        assert pair.chosen[0]["content"] != pair.rejected[0]["content"]


def test_no_task_is_in_two_parts_and_none_of_a_test_split(place: Workplace) -> None:
    wishes = Wishes(validation=0.4)
    made = make_dataset(place.store, wishes, composer(place, 0))
    groups = {
        part: {
            group
            for row in (*made.examples[part], *made.pairs[part], *made.failed[part])
            for group in row.groups
        }
        for part in ("train", "validation")
    }
    assert groups["train"]
    assert groups["validation"]
    assert not groups["train"] & groups["validation"]
    assert made.episodes_left_out["of a test split"] == 1
    assert {place.store.trajectory(o.trajectory).split for row in made.rows for o in row.origins} == {"train"}


@given(st.text(), st.floats(0, 0.9), st.floats(0, 0.9))
def test_a_task_that_was_kept_for_validation_stays_there_when_more_is(
    group: str, share: float, more: float
) -> None:
    low, high = sorted((share, more))
    if part_of(group, low) == "validation":
        assert part_of(group, high) == "validation"


def test_the_same_store_makes_the_same_files_and_rows_come_back(
    tmp_path: Path, place: Workplace, made: DataSet
) -> None:
    wishes, asks = Wishes(formats=("openai", "sharegpt")), composer(place, 0)
    first = write_dataset(made, tmp_path / "one", wishes, [asks], NOW)
    again = make_dataset(place.store, Wishes(), asks)
    second = write_dataset(again, tmp_path / "two", wishes, [asks], NOW)
    assert first == second == read_card(tmp_path / "one")
    rows = list(rows_of(Example, file_of(tmp_path / "one", EXAMPLES, "train")))
    assert {row.id for row in rows} <= {row.id for row in made.examples["train"]}
    pairs = list(rows_of(Pair, file_of(tmp_path / "one", PAIRS, "train")))
    assert pairs == made.pairs["train"]
    lines = (tmp_path / "one" / "examples.train.openai.jsonl").read_text("utf-8").splitlines()
    assert [json.loads(line)["messages"] for line in lines] == [list(row.messages) for row in rows]
    shared = (tmp_path / "one" / "examples.train.sharegpt.jsonl").read_text("utf-8").splitlines()
    assert [turn["from"] for turn in json.loads(shared[0])["conversations"]] == ["system", "human", "gpt"]
    page = (tmp_path / "one" / "card.md").read_text("utf-8")
    assert first.id in page
    for name, facts in first.files.items():
        assert (tmp_path / "one" / name).stat().st_size == facts.bytes
        assert facts.sha256 in page


def test_a_parquet_file_holds_the_same_rows(tmp_path: Path, place: Workplace, made: DataSet) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    write_dataset(made, tmp_path, Wishes(formats=("parquet",), balance="none"), [composer(place, 0)], NOW)
    table = parquet.read_table(tmp_path / "examples.train.parquet").to_pylist()
    rows = list(rows_of(Example, file_of(tmp_path, EXAMPLES, "train")))
    assert [row["id"] for row in table] == [row.id for row in rows]
    assert [row["messages"][-1]["content"] for row in table] == [row.answer["content"] for row in rows]


def test_a_folder_with_something_else_is_left_alone(tmp_path: Path, place: Workplace, made: DataSet) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(ConfigurationError, match="no data set"):
        write_dataset(made, tmp_path, Wishes(), [composer(place, 0)], NOW)


def trajectory(
    number: int, *, split: str = "train", verified: bool = True, source: str = "run"
) -> Trajectory:
    return Trajectory(
        id=f"t{number}", environment="household", task_id=f"task {number}", instance=f"layout {number}",
        split=split, goal=f"Find pen {number}.", category="find", plan="Look.",
        steps=(Step("You are in a room.", f"open drawer {number}", "It may be there."),),
        outcome=Outcome(True, 1.0, "environment" if verified else None),
        provenance=Provenance(source, "expert", NOW),
    )  # fmt: skip


def test_what_must_not_be_learned_is_left_out_and_counted() -> None:
    with Store.open(":memory:") as store:
        store.add_trajectory(trajectory(1), status="demonstration")
        store.add_trajectory(trajectory(2), status="demonstration")
        store.set_status("t2", "disabled", "taken back")
        store.add_trajectory(trajectory(3), status="quarantine")
        store.add_trajectory(trajectory(4, verified=False), status="quarantine")
        for number, split in enumerate(kept_out("household"), 5):
            # Even where somebody made it a demonstration.
            store.add_trajectory(trajectory(number, split=split), status="demonstration")
        store.add_trajectory(replace(trajectory(1), id="again"), status="rejected")
        left_out: Counter[str] = Counter()
        found = [trace.trajectory.id for trace in traces(store, Selection(), left_out)]
    assert found == ["t1"]
    assert left_out == {
        "taken back": 1, "source not trusted yet": 1, "outcome not verified": 1,
        "of a test split": len(kept_out("household")), "the same as another one": 1,
    }  # fmt: skip


def row(number: int, category: str) -> Example:
    return Example(
        id=f"{number:032x}", environment="household", category=category, task=f"task {number}",
        groups=(f"group {number}",), origins=(), kind="demonstration", won=True,
        messages=({"role": "assistant", "content": "x"},), action="x",
    )  # fmt: skip


@given(
    st.dictionaries(st.sampled_from("abcde"), st.integers(1, 30), min_size=1),
    st.dictionaries(st.sampled_from("abcde"), st.tuples(st.integers(0, 9), st.integers(0, 9))),
)
def test_balancing_favours_where_the_student_falls_behind(
    sizes: dict[str, int], won: dict[str, tuple[int, int]]
) -> None:
    evidence = {
        name: Evidence(student_episodes=9, student_won=s, teacher_episodes=9, teacher_won=t)
        for name, (s, t) in won.items()
    }
    rows = [row(100 * ord(name) + number, name) for name, size in sizes.items() for number in range(size)]
    wanted = shares(sorted(sizes), evidence, "gap")
    assert sum(wanted.values()) == pytest.approx(1)
    for one in sizes:
        for other in sizes:
            if (
                one in evidence
                and other in evidence
                and won[one][1] - won[one][0] > won[other][1] - won[other][0]
            ):
                assert wanted[one] > wanted[other]
    found = balanced(rows, wanted)
    counts = Counter(row.category for row in found)
    assert set(counts) == set(sizes)
    assert {row.id for row in found} <= {row.id for row in rows}
    assert max(Counter(row.id for row in found).values()) <= MOST_REPEATS
    assert balanced(rows[::-1], wanted) == found


def test_a_recalled_source_lists_what_contains_it(tmp_path: Path, place: Workplace, made: DataSet) -> None:
    folder = tmp_path / "data"
    card = write_dataset(made, folder, Wishes(), [composer(place, 0)], NOW)
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "model.gguf").write_bytes(b"weights")
    with Store.open(":memory:") as store:
        assert register_dataset(store, card, made, folder)
        assert not register_dataset(store, card, made, folder)
        about: dict[str, Any] = {
            "base_model": "tiny",
            "licence": "mit",
            "weights": "gguf",
            "backend": {},
            "now": NOW,
        }
        first = make_student(tmp_path / "weights", dataset=card.id, **about)
        child = make_student(tmp_path / "weights", parent=first.id, **about)
        other = make_student(tmp_path / "weights", **about)
        for one in (first, child, other):
            register_student(store, one)
        source = next(iter(card.sources))
        found = recall(store, source=source)
        assert [one.id for one in found.datasets] == [card.id]
        assert {one.id for one in found.students} == {first.id, child.id}
        trajectory = made.examples["train"][0].origins[0].trajectory
        assert recall(store, trajectories=[trajectory]) == found
        assert not recall(store, source="another").datasets
        assert trained_tasks(store, child) == trained_tasks(store, first)
        assert trained_tasks(store, first) == {row.task for row in _trained(made)}


def _trained(made: DataSet) -> list[Example | Pair]:
    return [*made.examples["train"], *made.pairs["train"], *made.failed["train"]]
