"""What every vector index promises: the exact one, the exact one with a side file, and Chroma in its two
forms."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from vectors import (
    DIMENSION,
    assert_same,
    make_entries,
    make_query,
    reference_steps,
    reference_trajectories,
    totals,
)

from icd_memory.embedding import HashingEmbedder
from icd_memory.errors import VectorIndexError
from icd_memory.exact_index import ExactIndex
from icd_memory.index import Exclusion, VectorIndex

EMBEDDER = HashingEmbedder(DIMENSION)


class Kind(NamedTuple):
    """A kind of index under test."""

    open: Callable[[], VectorIndex]
    """Opens it, again with the same contents if it was closed before and keeps them."""
    keeps: bool


@pytest.fixture(scope="module")
def chroma_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """A Chroma server of its own on a free port."""
    pytest.importorskip("chromadb", reason="the extra chroma is not installed")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    program = Path(sys.executable).with_name("chroma")
    folder = tmp_path_factory.mktemp("server")
    command = [str(program), "run", "--host", "127.0.0.1", "--port", str(port), "--path", str(folder)]
    process = subprocess.Popen(
        command,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "ANONYMIZED_TELEMETRY": "0"},
    )
    try:
        wait_for(port, process)
        yield port
    finally:
        process.kill()
        process.communicate()


def wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    """Return when somebody listens on the port."""
    while process.poll() is None:
        with socket.socket() as probe:
            probe.settimeout(0.2)
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
    raise RuntimeError("the Chroma server ended")


@pytest.fixture(params=["exact", "exact with a file", "chroma", "chroma server"])
def kind(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Kind:
    if request.param == "exact":
        return Kind(lambda: ExactIndex(EMBEDDER.id, DIMENSION), keeps=False)
    if request.param == "exact with a file":
        monkeypatch.setattr("icd_memory.exact_index._WORTH_A_FILE", 1)
        return Kind(lambda: ExactIndex(EMBEDDER.id, DIMENSION, tmp_path / "index"), keeps=True)
    pytest.importorskip("chromadb", reason="the extra chroma is not installed")
    from icd_memory import chroma_index

    if request.param == "chroma":
        client = chroma_index.embedded(tmp_path / "chroma")
    else:
        client = chroma_index.server("127.0.0.1", request.getfixturevalue("chroma_server"))
    environment = f"of {tmp_path}"
    return Kind(lambda: chroma_index.ChromaIndex(client, "default", environment, EMBEDDER), keeps=True)


def test_an_empty_index_finds_nothing(kind: Kind) -> None:
    index = kind.open()
    query = make_query(1, make_entries(3))
    assert len(index) == 0
    assert index.contents() == {}
    assert index.find_trajectories(query.keys, 3, Exclusion()) == []
    assert index.find_steps(query, 3, 10) == []
    index.remove(["nothing"])
    index.close()


@pytest.mark.parametrize("distinct", [None, 5])
def test_it_finds_what_the_slow_search_finds(kind: Kind, distinct: int | None) -> None:
    entries = make_entries(60, distinct=distinct)
    index = kind.open()
    index.add(entries[:50])
    index.add(entries[45:])
    assert len(index) == 60
    for seed in range(12):
        query = make_query(seed, entries)
        for k in (1, 4, 100):
            found = index.find_steps(query, k, candidates=60)
            assert_same(found, reference_steps(entries, query, k), query, entries)
            ranked = index.find_trajectories(query.keys, k, query.exclude)
            wanted = reference_trajectories(entries, query, k)
            np.testing.assert_allclose(totals(ranked), totals(wanted), atol=1e-4)
            assert {(hit.step, hit.step_score) for hit in ranked} <= {(0, 0.0)}
    assert index.find_steps(query, 0, 60) == []
    assert index.find_trajectories(query.keys, 0, query.exclude) == []


def test_equals_come_in_the_order_they_were_added(kind: Kind) -> None:
    one = make_entries(1)[0]
    entries = [replace(one, id=name, instance=name) for name in "cab"]
    index = kind.open()
    index.add(entries)
    query = make_query(1, entries, exclude=Exclusion())
    assert [hit.trajectory_id for hit in index.find_steps(query, 3, 10)] == ["c", "a", "b"]
    assert [hit.trajectory_id for hit in index.find_trajectories(query.keys, 3, Exclusion())] == [
        "c",
        "a",
        "b",
    ]


def test_what_is_excluded_is_never_found(kind: Kind) -> None:
    entries = make_entries(40)
    index = kind.open()
    index.add(entries)
    everything = frozenset(entry.instance for entry in entries)
    for exclude in (Exclusion(everything), Exclusion(splits=frozenset({"train", "dev"}))):
        query = make_query(3, entries, exclude=exclude)
        assert index.find_steps(query, 5, 10) == []
        assert index.find_trajectories(query.keys, 5, exclude) == []
    query = make_query(4, entries, exclude=Exclusion(frozenset({"i3"}), frozenset({"dev"})))
    found = index.find_steps(query, 40, 40)
    known = {entry.id: entry for entry in entries}
    assert found
    assert all(known[hit.trajectory_id].instance != "i3" for hit in found)
    assert all(known[hit.trajectory_id].split != "dev" for hit in found)


def test_adding_twice_is_adding_once_and_removed_is_gone(kind: Kind) -> None:
    entries = make_entries(20)
    index = kind.open()
    index.add([*entries, *entries[:5]])
    index.add(entries)
    assert index.contents() == {entry.id: entry.version for entry in entries}
    index.remove([entry.id for entry in entries[:10]] + ["unknown"])
    assert index.contents() == {entry.id: entry.version for entry in entries[10:]}
    query = make_query(1, entries)
    found = index.find_steps(query, 20, 20)
    assert_same(found, reference_steps(entries[10:], query, 20), query, entries)
    changed = replace(make_entries(1, seed=9)[0], id=entries[0].id, version="new")
    index.add([changed])
    now = [*entries[10:], changed]
    assert index.contents()[changed.id] == "new"
    assert_same(index.find_steps(query, 20, 20), reference_steps(now, query, 20), query, now)


def test_a_trajectory_without_steps_is_refused(kind: Kind) -> None:
    entry = make_entries(1)[0]
    nothing = np.zeros((0, DIMENSION), dtype=np.float32)
    index = kind.open()
    with pytest.raises(ValueError, match="needs"):
        index.add([replace(entry, observation=nothing, reasoning=nothing)])


def test_what_is_kept_is_there_again(kind: Kind) -> None:
    if not kind.keeps:
        pytest.skip("this one lives in memory")
    entries = make_entries(30, distinct=8)
    index = kind.open()
    index.add(entries[:20])
    index.close()
    index = kind.open()
    index.remove([entries[3].id])
    index.add(entries[20:])
    index.close()
    index = kind.open()
    now = entries[:3] + entries[4:]
    assert index.contents() == {entry.id: entry.version for entry in now}
    for seed in range(6):
        query = make_query(seed, entries)
        assert_same(index.find_steps(query, 5, 30), reference_steps(now, query, 5), query, now)
    index.close()


def test_chroma_that_is_not_there_says_so(tmp_path: Path) -> None:
    pytest.importorskip("chromadb", reason="the extra chroma is not installed")
    from icd_memory import chroma_index

    with pytest.raises(VectorIndexError, match="chroma run --port 9"):
        chroma_index.server("127.0.0.1", 9)


def test_families_are_kept_apart_in_chroma(tmp_path: Path) -> None:
    pytest.importorskip("chromadb", reason="the extra chroma is not installed")
    from icd_memory import chroma_index

    client = chroma_index.embedded(tmp_path)
    one = chroma_index.ChromaIndex(client, "tenant", "household", EMBEDDER)
    one.add(make_entries(3))
    others = [
        chroma_index.ChromaIndex(client, "other", "household", EMBEDDER),
        chroma_index.ChromaIndex(client, "tenant", "desk", EMBEDDER),
        chroma_index.ChromaIndex(client, "tenant", "household", HashingEmbedder(DIMENSION * 2)),
    ]
    assert [len(index) for index in (one, *others)] == [3, 0, 0, 0]
