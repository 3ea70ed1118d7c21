"""Other memories over one store, to compare with: fewer demonstrations, other keys, another embedder, fixed examples."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from samples import trajectory

from icd_memory.embedding import HashingEmbedder
from icd_memory.fixed_examples import FixedExamples, in_fixed_order
from icd_memory.retrieval import Memory, Query, RetrievalKey, RetrievalSettings, Retriever
from icd_memory.store import Store

GOALS = ("put an apple in the fridge", "heat the soup", "clean a mug")
QUERY = Query(goal=GOALS[0], environment="household", category="put", state="put an apple in the fridge")


@pytest.fixture
def memory() -> Memory:
    made = Memory.open(Store.open(":memory:"), HashingEmbedder(64), test_splits={"test"})
    for number in range(9):
        made.add(
            trajectory(f"t{number}", goal=GOALS[number % 3], category=("put", "heat", "clean")[number % 3])
        )
    return made


def ids(excerpts: list[object]) -> list[str]:
    return [excerpt.trajectory_id for excerpt in excerpts]  # type: ignore[attr-defined]


@given(st.sets(st.text(), max_size=30), st.integers(0, 30))
def test_smaller_samples_lie_in_larger_ones(names: set[str], m: int) -> None:
    order = in_fixed_order(names)
    assert set(order) == names
    assert in_fixed_order(reversed(order)) == order
    assert set(order[:m]) <= set(order[: m + 1])


def test_a_memory_of_some_demonstrations_finds_no_others(memory: Memory) -> None:
    some = memory.beside(only={"t1", "t3"})
    assert set(ids(some.retriever.for_step(QUERY, 9))) == {"t1", "t3"}
    assert set(ids(some.retriever.for_plan(QUERY, 9))) == {"t1", "t3"}
    some.index_added([trajectory("t4")])
    assert set(ids(some.retriever.for_step(QUERY, 9))) == {"t1", "t3"}
    assert ids(memory.beside().retriever.for_step(QUERY, 9)) == ids(memory.retriever.for_step(QUERY, 9))


def test_another_embedder_leaves_the_stores_own_alone(memory: Memory) -> None:
    other = memory.beside(HashingEmbedder(32))
    assert len(other.retriever.for_step(QUERY, 4)) == 4
    assert memory.store.note("embedder") == HashingEmbedder(64).id
    Memory.open(memory.store, HashingEmbedder(64))


@pytest.mark.parametrize("keys", [{"goal"}, {"goal", "category", "plan"}, {"state"}, {"category", "state"}])
def test_only_the_chosen_keys_rank(memory: Memory, keys: set[RetrievalKey]) -> None:
    def found(query: Query) -> list[str]:
        return ids(Retriever(memory, RetrievalSettings(keys=frozenset(keys))).for_step(query, 3))

    others = {"goal": "heat the soup", "category": "clean", "plan": "no plan", "state": "t7 thing 1"}
    unseen = {name: text for name, text in others.items() if name not in keys}
    first = found(QUERY)
    assert len(first) == 3
    assert found(replace(QUERY, **unseen)) == first
    seen = {name: text for name, text in others.items() if name in keys}
    assert found(replace(QUERY, **seen)) != first


def test_without_the_state_the_first_step_is_shown(memory: Memory) -> None:
    keys: frozenset[RetrievalKey] = frozenset({"goal", "category"})
    excerpt = Retriever(memory, RetrievalSettings(keys=keys, window=0)).for_step(QUERY, 1)[0]
    assert excerpt.step == 0
    assert excerpt.similarity == pytest.approx(excerpt.trajectory_score)


def test_fixed_examples_are_whole_and_the_same_at_every_step(memory: Memory) -> None:
    fixed = FixedExamples(memory)
    first = fixed.for_step(QUERY, 2)
    assert (
        first
        == fixed.for_step(replace(QUERY, state="elsewhere", goal="put it"), 2)
        == fixed.for_plan(QUERY, 2)
    )
    assert {excerpt.category for excerpt in first} == {"put"}
    assert [len(excerpt.steps) for excerpt in first] == [3, 3]
    assert len(fixed.for_step(QUERY, 9)) == 3
    assert len(fixed.for_step(replace(QUERY, category="unknown"), 9)) == 9


def test_fixed_examples_keep_the_leak_guard(memory: Memory) -> None:
    fixed = FixedExamples(memory)
    shown = ids(fixed.for_step(QUERY, 1))[0]
    guarded = fixed.for_step(replace(QUERY, instance=f"house of {shown}"), 1)
    assert ids(guarded) != [shown]
    memory.store.add_trajectory(trajectory("late", split="test"), status="demonstration", reason="")
    assert "late" not in ids(FixedExamples(memory).for_step(QUERY, 99))
    assert ids(FixedExamples(memory.beside(only={"t1"})).for_step(QUERY, 9)) == ["t1"]
