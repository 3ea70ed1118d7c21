"""Retrieval over a store: what is shown, how much of it, and what is never shown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from samples import trajectory

from icd_memory.embedding import CachedEmbedder, HashingEmbedder
from icd_memory.errors import EmbedderMismatchError
from icd_memory.exact_index import ExactIndex
from icd_memory.retrieval import Excerpt, Family, Memory, Query, RetrievalSettings
from icd_memory.situation import state_text
from icd_memory.store import Store
from icd_memory.trajectory import Outcome, Step, Trajectory

EMBEDDER = HashingEmbedder(64)
WORDS = ["apple", "mug", "fridge", "shelf", "clean", "heat", "open", "find"]


def memory_of(trajectories: Sequence[Trajectory], **settings: object) -> Memory:
    memory = Memory.open(
        Store.open(":memory:"),
        EMBEDDER,
        settings=RetrievalSettings(**settings),  # type: ignore[arg-type]
        test_splits={"test"},
    )
    for t in trajectories:
        memory.add(t)
    return memory


def word_trajectory(number: int, rng: np.random.Generator) -> Trajectory:
    """A trajectory of random words, so that many texts are alike and some are equal."""

    def words(count: int) -> str:
        return " ".join(rng.choice(WORDS, count))

    made = tuple(
        Step(words(2), words(1), words(2) if number % 3 else "", words(1) if number % 2 else "")
        for _ in range(int(rng.integers(1, 9)))
    )
    return replace(
        trajectory(f"t{number}"),
        goal=words(2),
        category=words(1),
        plan=words(3) if number % 4 else "",
        steps=made,
        instance=f"house {number % 5}",
        split=["train", "dev", "test"][number % 3],
        environment=["household", "desk"][number % 7 == 0],
        tenant=["default", "other"][number % 11 == 0],
    )


def cosine(one: str, other: str) -> float:
    rows = EMBEDDER.embed([one, other]).astype(np.float16).astype(np.float32)
    return float(rows[0] @ rows[1])


def reference(trajectories: Sequence[Trajectory], query: Query, k: int, weight: float) -> list[float]:
    """The totals of the best trajectories, by the definition."""
    totals = []
    for t in trajectories:
        if (t.tenant, t.environment) != (query.tenant, query.environment):
            continue
        if t.instance == query.instance or t.split in {"test", *query.exclude_splits}:
            continue
        keys = [(query.goal, t.goal), (query.category, t.category), (query.plan, t.plan)]
        by_keys = float(np.mean([cosine(asked, there) for asked, there in keys if asked.strip()]))
        if query.state_key == "observation":
            states = [state_text(step.observation, step.view, t.goal) for step in t.steps]
        else:
            states = [step.reasoning for step in t.steps]
        totals.append(by_keys + weight * max(cosine(query.state, state) for state in states))
    return sorted(totals, reverse=True)[:k]


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    count=st.integers(1, 40),
    k=st.integers(1, 7),
    width=st.integers(0, 6),
    weight=st.sampled_from([1.0, 3.0]),
    least=st.sampled_from([None, 0.5]),
)
def test_for_step_is_the_definition(
    seed: int, count: int, k: int, width: int, weight: float, least: float | None
) -> None:
    rng = np.random.default_rng(seed)
    trajectories = [word_trajectory(number, rng) for number in range(count)]
    memory = memory_of(trajectories, window=width, step_weight=weight, min_similarity=least)
    query = Query(
        goal="find apple",
        environment="household",
        category="clean" if seed % 2 else "",
        plan="find apple open fridge" if seed % 3 else "",
        state="apple shelf",
        state_key="observation" if seed % 5 else "reasoning",
        instance=f"house {seed % 6}",
        exclude_splits=frozenset({"dev"} if seed % 4 == 0 else ()),
    )
    found = memory.retriever.for_step(query, k)
    if least is None:
        shown = [e.trajectory_score + weight * e.step_score for e in found]
        known = [t for t in trajectories if is_demonstration(memory, t.id)]
        np.testing.assert_allclose(shown, reference(known, query, k, weight), atol=2e-3)
    check_excerpts(found, {t.id: t for t in trajectories}, query, width, least)


def is_demonstration(memory: Memory, id: str) -> bool:
    return memory.store.admission(id).status == "demonstration"


def check_excerpts(
    found: Sequence[Excerpt], all_of: dict[str, Trajectory], query: Query, width: int, least: float | None
) -> None:
    assert len({e.trajectory_id for e in found}) == len(found)
    for excerpt in found:
        t = all_of[excerpt.trajectory_id]
        # The leak guard, and the walls between families.
        assert t.instance != query.instance
        assert t.split not in {"test", *query.exclude_splits}
        assert (t.tenant, t.environment) == (query.tenant, query.environment)
        # The window.
        start = max(0, excerpt.step - width)
        assert excerpt.steps == t.steps[start : excerpt.step + width + 1]
        assert excerpt.steps[excerpt.focus] == t.steps[excerpt.step]
        assert (excerpt.goal, excerpt.category, excerpt.plan) == (t.goal, t.category, t.plan)
        assert excerpt.source == t.provenance.source
        assert excerpt.similarity == pytest.approx((excerpt.trajectory_score + excerpt.step_score) / 2)
        assert least is None or excerpt.similarity >= least


def test_for_plan_shows_whole_demonstrations_by_goal_and_category() -> None:
    goals = ["put an apple in the fridge", "put a mug in the fridge", "examine a book under the lamp"]
    memory = memory_of([trajectory(f"t{n}", goal=goal) for n, goal in enumerate(goals)])
    query = Query("put an apple in the fridge", "household", category="put", plan="never looked at")
    found = memory.retriever.for_plan(query, 2)
    assert [e.trajectory_id for e in found] == ["t0", "t1"]
    assert found[0].similarity == pytest.approx(1.0, abs=1e-3)
    assert all((len(e.steps), e.step, e.focus, e.step_score) == (3, 0, 0, 0.0) for e in found)


def test_nothing_to_search_by_finds_nothing() -> None:
    memory = memory_of([trajectory()])
    assert memory.retriever.for_step(Query("", "household"), 3) == []
    assert memory.retriever.for_plan(Query(" ", "household"), 3) == []
    assert memory.retriever.for_step(Query("goal", "household"), 0) == []
    assert memory.retriever.for_step(Query("goal", "an unknown world"), 3) == []


def test_far_neighbours_are_refused() -> None:
    memory = memory_of([trajectory()], min_similarity=0.6)
    near = Query("put an apple in the fridge", "household", state=state_text("", "Here: place 1 of t1"))
    assert len(memory.retriever.for_step(near, 3)) == 1
    far = Query("translate the letter", "household", state="une lettre")
    assert memory.retriever.for_step(far, 3) == []
    assert memory.retriever.for_plan(far, 3) == []


def test_what_is_not_a_demonstration_is_not_shown() -> None:
    t = trajectory()
    others = [
        replace(t, id="failed", outcome=Outcome(False, 0.0, "environment")),
        replace(t, id="unverified", outcome=Outcome(True, 1.0)),
        replace(t, id="unknown", outcome=None),
        replace(t, id="test", split="test"),
        replace(t, id="copy"),
    ]
    memory = memory_of([t, *others])
    found = memory.retriever.for_plan(Query(t.goal, "household"), 10)
    assert [e.trajectory_id for e in found] == ["t1"]
    statuses = {
        id: memory.store.admission(id).status for id in ("failed", "unverified", "unknown", "test", "copy")
    }
    assert statuses == {
        "failed": "rejected",
        "unverified": "quarantine",
        "unknown": "quarantine",
        "test": "rejected",
        "copy": "rejected",
    }


def test_a_demonstration_can_be_taken_back_and_shown_again() -> None:
    memory = memory_of([trajectory("a"), trajectory("b", goal="put a mug in the fridge")])
    query = Query("put an apple in the fridge", "household")

    def shown() -> set[str]:
        return {e.trajectory_id for e in memory.retriever.for_plan(query, 5)}

    assert shown() == {"a", "b"}
    memory.set_status("a", "disabled", "wrong")
    assert shown() == {"b"}
    memory.set_status("a", "demonstration", "right after all")
    assert shown() == {"a", "b"}


def test_what_was_stored_otherwise_is_found_once_it_is_said() -> None:
    memory = memory_of([trajectory("a")])
    query = Query("put an apple in the fridge", "household")
    assert len(memory.retriever.for_plan(query, 5)) == 1
    t = trajectory("b")
    memory.store.add_trajectory(t, status="demonstration")
    memory.index_added([t])
    assert len(memory.retriever.for_plan(query, 5)) == 2


def test_a_trajectory_that_was_rolled_back_is_not_shown() -> None:
    memory = memory_of([trajectory("a")])
    query = Query("put an apple in the fridge", "household")
    memory.retriever.for_plan(query, 1)

    def break_off() -> None:
        with memory.store.transaction():
            memory.add(trajectory("b"))
            raise KeyError

    with pytest.raises(KeyError):
        break_off()
    assert [e.trajectory_id for e in memory.retriever.for_plan(query, 5)] == ["a"]
    memory.refresh()
    assert memory.index(Family("default", "household")).contents().keys() == {"a"}


def test_a_store_remembers_its_embedder(file_store: Store) -> None:
    Memory.open(file_store, HashingEmbedder(64)).add(trajectory())
    with pytest.raises(EmbedderMismatchError, match="hashing-1/float32/64, not hashing-1/float32/32"):
        Memory.open(file_store, HashingEmbedder(32))
    with Memory.open(file_store, HashingEmbedder(32), reembed=True) as memory:
        assert len(memory.retriever.for_plan(Query("put an apple in the fridge", "household"), 1)) == 1
    assert file_store.note("embedder") == "hashing-1/float32/32"
    with pytest.raises(EmbedderMismatchError):
        Memory.open(file_store, HashingEmbedder(64))


class CountingEmbedder(HashingEmbedder):
    """Counts the texts that it is given."""

    def __init__(self) -> None:
        super().__init__(64)
        self.texts: list[str] = []

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        self.texts += texts
        return super().embed(texts)


def test_nothing_is_embedded_twice(file_store: Store) -> None:
    embedder = CountingEmbedder()
    query = Query("put a mug in the sink", "household", plan="a plan", state="a state", category="put")
    with Memory.open(file_store, embedder) as memory:
        memory.add(trajectory("a"))
        memory.add(trajectory("b"))
        for step in range(5):
            memory.retriever.for_step(replace(query, state=f"state {step}"), 2)
    again = CountingEmbedder()
    with Memory.open(file_store, again) as memory:
        memory.retriever.for_step(replace(query, state="state 3"), 2)
    assert len(embedder.texts) == len(set(embedder.texts))
    assert again.texts == []


def test_an_index_is_rebuilt_when_it_is_gone_or_outdated(
    file_store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("icd_memory.exact_index._WORTH_A_FILE", 1)
    file = tmp_path / "index"

    def opened() -> Memory:
        return Memory.open(
            file_store,
            CachedEmbedder(EMBEDDER, file_store),
            make_index=lambda family, embedder: ExactIndex(embedder.id, embedder.dimension, file),
        )

    query = Query("put an apple in the fridge", "household", state="thing 2")
    with opened() as memory:
        for number in range(20):
            memory.add(trajectory(f"t{number}"))
        wanted = memory.retriever.for_step(query, 4)
    assert file.exists()
    with opened() as memory:
        assert memory.retriever.for_step(query, 4) == wanted
    file.write_bytes(file.read_bytes()[:-100])
    with opened() as memory:
        assert memory.retriever.for_step(query, 4) == wanted
    file.unlink()
    with opened() as memory:
        assert memory.retriever.for_step(query, 4) == wanted
    # Another way to put situations in words makes other vectors: those in the file are not used.
    monkeypatch.setattr("icd_memory.retrieval.recipe", lambda: "other")
    with opened() as memory:
        index = memory.index(Family("default", "household"))
        assert all(version.endswith("-other") for version in index.contents().values())
        assert memory.retriever.for_step(query, 4) == wanted
