"""The exact index finds exactly what looking at everything finds, on every way that its search can take."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from vectors import DIMENSION, assert_same, make_entries, make_query, reference_steps

from icd_memory.errors import VectorIndexError
from icd_memory.exact_index import ExactIndex
from icd_memory.index_file import read_segment
from icd_memory.sketch import Sketch

RELAXED = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.fixture(params=["every product", "sketches"])
def small_limits(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Small stores take the ways that large ones take."""
    monkeypatch.setattr("icd_memory.postings._REST", 8)
    monkeypatch.setattr("icd_memory.postings._FEW", 2)
    monkeypatch.setattr("icd_memory.best._PART", 4)
    monkeypatch.setattr("icd_memory.best._PART_OF_ENOUGH", 1)
    monkeypatch.setattr("icd_memory.segment._FIRST_STEPS", 4)
    monkeypatch.setattr("icd_memory.segment._FIRST_CODES", 1)
    if request.param == "sketches":
        monkeypatch.setattr("icd_memory.columns.EXACT_BELOW", 0)
        monkeypatch.setattr("icd_memory.sketch.DIRECTIONS", 5)


@pytest.mark.usefixtures("small_limits")
@RELAXED
@given(
    count=st.integers(1, 60),
    distinct=st.sampled_from([None, 1, 3, 20]),
    seed=st.integers(0, 1000),
    k=st.integers(1, 8),
    batches=st.integers(1, 4),
    gone=st.sets(st.integers(0, 59), max_size=10),
)
def test_it_finds_what_looking_at_everything_finds(
    count: int, distinct: int | None, seed: int, k: int, batches: int, gone: set[int]
) -> None:
    entries = make_entries(count, seed, distinct=distinct)
    index = ExactIndex("e", DIMENSION)
    query = make_query(seed, entries)
    for part in np.array_split(np.arange(count), batches):
        index.add([entries[place] for place in part])
        index.find_steps(query, k, 0)
    index.remove([f"t{number}" for number in gone])
    left = [entry for number, entry in enumerate(entries) if number not in gone]
    assert_same(index.find_steps(query, k, 0), reference_steps(left, query, k), query, left)


@pytest.mark.usefixtures("small_limits")
@RELAXED
@given(seed=st.integers(0, 1000), split=st.integers(0, 40))
def test_it_does_not_matter_what_comes_from_the_file(tmp_path: Path, seed: int, split: int) -> None:
    entries = make_entries(40, seed, distinct=12)
    whole = ExactIndex("e", DIMENSION)
    whole.add(entries)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("icd_memory.exact_index._WORTH_A_FILE", 1)
        before = ExactIndex("e", DIMENSION, tmp_path / f"{seed}-{split}")
        before.add(entries[:split])
        before.close()
    after = ExactIndex("e", DIMENSION, tmp_path / f"{seed}-{split}")
    assert len(after) == split
    after.add(entries)
    for offset in range(4):
        query = make_query(seed + offset, entries)
        assert after.find_steps(query, 6, 0) == whole.find_steps(query, 6, 0)
        assert after.find_trajectories(query.keys, 6, query.exclude) == whole.find_trajectories(
            query.keys, 6, query.exclude
        )


@given(st.integers(0, 10_000), st.integers(1, 24), st.booleans())
@settings(deadline=None)
def test_a_sketch_never_bounds_too_low(seed: int, dimension: int, flat: bool) -> None:
    rng = np.random.default_rng(seed)
    rows = rng.standard_normal((30, dimension)).astype(np.float32)
    if flat:
        rows[:, 1:] *= 1e-3
    rows[0] = 0
    rows[1:] /= np.linalg.norm(rows[1:], axis=1, keepdims=True)
    sketch = Sketch(dimension)
    sketch.extend(rows[:20])
    sketch.extend(rows)
    assert len(sketch.rows) == 30
    for row in rows:
        assert (sketch.rows @ sketch.query(row) >= (rows @ row) - 1e-7).all()


def save(path: Path, monkeypatch: pytest.MonkeyPatch, count: int = 30) -> None:
    monkeypatch.setattr("icd_memory.exact_index._WORTH_A_FILE", 1)
    index = ExactIndex("e", DIMENSION, path)
    index.add(make_entries(count))
    index.close()


def test_a_damaged_file_reads_as_absent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "index"
    save(path, monkeypatch)
    good = path.read_bytes()
    assert read_segment(path, "e", DIMENSION) is not None
    rng = np.random.default_rng(0)
    for place in {0, 9, 17, *rng.integers(64, len(good), 60).tolist()}:
        bad = bytearray(good)
        bad[place] ^= 0x5A
        path.write_bytes(bad)
        segment = read_segment(path, "e", DIMENSION)
        # A byte of padding between the arrays means nothing.
        assert segment is None or segment.ids == [f"t{number}" for number in range(30)], place
    for length in (0, 5, 64, len(good) // 2, len(good) - 65):
        path.write_bytes(good[:length])
        assert read_segment(path, "e", DIMENSION) is None
    path.write_bytes(good)
    assert read_segment(path, "another embedder", DIMENSION) is None
    assert read_segment(path, "e", DIMENSION + 1) is None
    assert read_segment(tmp_path / "none", "e", DIMENSION) is None
    assert read_segment(tmp_path, "e", DIMENSION) is None


def test_a_write_that_was_cut_short_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "folder" / "index"
    save(path, monkeypatch)
    old = path.read_bytes()
    index = ExactIndex("e", DIMENSION, path)
    index.add(make_entries(5, name="u"))

    def fail(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fail)
        with pytest.raises(VectorIndexError, match="No space left"):
            index.save()
    assert path.read_bytes() == old
    assert [file.name for file in path.parent.iterdir()] == ["index"]
    index.save()
    assert len(ExactIndex("e", DIMENSION, path)) == 35


def test_a_small_index_writes_no_file(tmp_path: Path) -> None:
    index = ExactIndex("e", DIMENSION, tmp_path / "index")
    index.add(make_entries(30))
    index.close()
    assert list(tmp_path.iterdir()) == []


def test_threads_may_search_while_others_add() -> None:
    entries = make_entries(300)
    index = ExactIndex("e", DIMENSION)
    index.add(entries[:10])
    errors: list[BaseException] = []

    def search(seed: int) -> None:
        try:
            while len(index) < 300:
                hits = index.find_steps(make_query(seed, entries[:10]), 5, 0)
                assert len(hits) == 5
        except BaseException as error:  # noqa: BLE001
            errors.append(error)

    threads = [threading.Thread(target=search, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for entry in entries[10:]:
        index.add([entry])
    for thread in threads:
        thread.join()
    assert errors == []


def test_a_weight_of_zero_ranks_by_the_keys_alone() -> None:
    entries = make_entries(30)
    index = ExactIndex("e", DIMENSION)
    index.add(entries)
    query = make_query(1, entries, step_weight=0.0)
    assert_same(index.find_steps(query, 5, 0), reference_steps(entries, query, 5), query, entries)


def test_vectors_of_another_dimension_are_refused() -> None:
    index = ExactIndex("e", DIMENSION + 1)
    with pytest.raises(ValueError, match="one vector of 17"):
        index.add(make_entries(1))
