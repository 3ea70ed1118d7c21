"""`icd memory recall`: from a file that was taken in to all that it touched, through the commands."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from icd import Budget, PricedModel, PriceTable, Runtime, RuntimeSettings, parse_policy
from icd.cli.app import run
from icd.decision import DecisionContext
from icd.exchange import write_file
from icd.testing import ScriptedBackend
from icd_memory.embedding import HashingEmbedder
from icd_memory.retrieval import Memory
from icd_memory.store import Store
from icd_memory.strategies import StrategyLibrary
from icd_memory.strategy import StrategyDraft, StrategyOrigin
from icd_memory.trajectory import Outcome, Provenance, Step, Trajectory

NOW = datetime(2026, 1, 2, tzinfo=UTC)
Icd: TypeAlias = Callable[..., dict[str, Any]]


def episode(id: str, source: str, place: str) -> Trajectory:
    steps = (
        Step(f"You are in a room with a {place}.", f"go to {place} 1", f"A pen may be at the {place}."),
        Step(f"You are at {place} 1. You see a pen 1.", "take pen 1", "There it is."),
    )
    return Trajectory(
        id, "household", f"household/train/{id}", f"house of {id}", "train", f"Take the pen from the {place}.",
        "take", "Look, then take it.", steps, Outcome(True, 1.0, "environment"), Provenance(source, "expert", NOW),
    )  # fmt: skip


@pytest.fixture
def icd(workspace: Path, capsys: pytest.CaptureFixture[str]) -> Icd:
    def call(*words: str, store: bool = True) -> dict[str, Any]:
        code = run([*words, *(("--store", "icd.db") if store else ()), "--json"])
        told = capsys.readouterr()
        assert code == 0, told.out + told.err
        found: dict[str, Any] = json.loads(told.out)
        return found

    return call


def decided(id: str) -> str:
    """Decide a step that is shown the source's trajectory; return the receipt's id."""
    answer = ScriptedBackend(lambda request: ["Action: go to desk 1"] * request.n)
    model = PricedModel(answer, PriceTable().price("gpt-4.1-mini"), Budget())
    with Store.open("icd.db") as store, Memory.open(store, HashingEmbedder()) as memory:
        runtime = Runtime(
            student=model, retriever=memory.retriever, store=store, new_id=lambda: id,
            settings=RuntimeSettings(policy=parse_policy("student"), k=1),
        )  # fmt: skip
        context = DecisionContext(
            "Take the pen from the desk.", "take", "You are in a room with a desk.", environment="household"
        )
        asyncio.run(runtime.decide(context))
    return id


def taught(name: str, **origin: Any) -> str:
    with Store.open("icd.db") as store:
        library = StrategyLibrary(store, HashingEmbedder())
        draft = StrategyDraft(f"A pen is needed ({name}).", f"Look at {name}.", "household")
        made = library.propose(
            replace(draft, origin=StrategyOrigin("gpt-4.1", **origin)), by="test", why="seen"
        )
        return made.id


def test_everything_of_a_source_is_disabled_and_what_it_touched_is_listed(icd: Icd, workspace: Path) -> None:
    write_file(Path("log.jsonl"), [episode("t1", "log", "desk")])
    write_file(Path("other.jsonl"), [episode("t2", "another", "shelf")])
    for file in ("log.jsonl", "other.jsonl"):
        icd("memory", "import", file, "--approve", "--embedder", "hashing")
    shown = decided("d1")
    from_it, from_its_decision = taught("desks", episodes=("t1",)), taught("drawers", decisions=(shown,))
    taught("shelves", episodes=("t2",))
    edited = taught("tables", run="log")
    with Store.open("icd.db") as store:
        # What a later version says of its origin does not clear the first.
        library = StrategyLibrary(store, HashingEmbedder())
        library.edit(
            edited, replace(library.get(edited).text, guidance="Look."), by="ada", why="b", based_on=1
        )
    data = icd(
        "offline", "dataset", "data", "--env", "household", "--validation", "0", "--embedder", "hashing"
    )
    weights = workspace / "tuned"
    weights.mkdir()
    (weights / "model.gguf").write_bytes(b"weights")
    about = ("--base-model", "tiny", "--licence", "mit", "--weights", "gguf", "--student-model", "a")
    student = icd("offline", "register", "tuned", "--dataset", "data", *about)["id"]
    (weights / "model.gguf").write_bytes(b"better weights")
    child = icd("offline", "register", "tuned", "--parent", student, *about)["id"]
    (weights / "model.gguf").write_bytes(b"other weights")
    icd("offline", "register", "tuned", *about)

    found = icd("memory", "recall", "--source", "log", "--embedder", "hashing")
    assert found["disabled"] == ["t1"]
    assert found["decisions"] == [shown]
    assert set(found["strategies"]) == {from_it, from_its_decision, edited}
    assert found["datasets"] == [data["id"]]
    assert set(found["students"]) == {student, child}
    assert [row["id"] for row in icd("memory", "list")] == ["t2"]  # type: ignore[index]

    # Nothing of it comes back, and what was touched is found again.
    write_file(Path("more.jsonl"), [episode("t3", "log", "table")])
    assert icd("memory", "import", "more.jsonl", "--embedder", "hashing")["quarantine"] == 1
    again = icd("memory", "recall", "--source", "log", "--embedder", "hashing")
    assert again == {**found, "disabled": []}


def test_a_source_that_touched_nothing(icd: Icd) -> None:
    write_file(Path("log.jsonl"), [episode("t1", "log", "desk")])
    icd("memory", "import", "log.jsonl", "--embedder", "hashing")
    found = icd("memory", "recall", "--source", "unheard of", "--embedder", "hashing")
    assert set(map(len, found.values())) == {0}
