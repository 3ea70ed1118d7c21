"""`icd strategies learn` against a loopback endpoint, in processes of its own: its table, its budget, and kill -9."""

from __future__ import annotations

import json
import random
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from test_run_over_the_wire import ICD, icd

from icd.benchmark.experiment import Workplace
from icd.config import Settings
from icd.errors import ConfigurationError
from icd.strategies.improvement import LearningSettings
from icd.strategies.preparation import LearningRequest, prepare_learning
from icd.testing import LoopbackServer
from icd_memory.store import Store

KILLS = 2
STORE = ".icd/icd.db"
SEED = "Something must be found in a household."


def answer(body: dict[str, Any]) -> list[str]:
    """The teacher advises what it did first; the student does what is advised, or looks."""
    text = "\n".join(message["content"] for message in body["messages"])
    if "write the advice" in text:
        done = re.findall(r"The teacher's:\n<answer>\n(.+)\n</answer>", text)
        return [f"Guidance: Best of all, {done[0]}."]
    advised = re.search(r"Best of all, (.+)\.", text)
    return [f"Think: so be it.\nAction: {advised.group(1) if advised else 'look'}"]


@pytest.fixture(scope="module")
def collected(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("collected")
    done = icd(folder, "collect", "household", "-n", "16", "--embedder", "hashing")
    assert done.returncode == 0, done.stderr
    (folder / "seeds.txt").write_text(f"{SEED}\n\n", "utf-8")
    (folder / "icd.toml").write_text("[strategies]\nmin_similarity = 0.0\n", "utf-8")
    return folder


def command(server: LoopbackServer, *more: str) -> list[str]:
    return [
        *("strategies", "learn", "household", "--rounds", "1", "--scenarios", "1", "--seeds", "seeds.txt"),
        *("--embedder", "hashing", "--student", server.base_url, "--student-model", "gpt-4.1-mini"),
        *("--teacher", server.base_url, "--teacher-model", "claude-sonnet-4.5", *more),
    ]


def results(learned: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {name: value for name, value in result.items() if name != "cost"} for result in learned["results"]
    ]


class Whole(NamedTuple):
    """What a run left behind."""

    folder: Path
    first: subprocess.CompletedProcess[str]
    learned: dict[str, Any]
    asked: int


@pytest.fixture(scope="module")
def server() -> Iterator[LoopbackServer]:
    """One for all runs that are compared: where a model is belongs to what a run is."""
    with LoopbackServer(answer) as opened:
        yield opened


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, collected: Path, server: LoopbackServer) -> Whole:
    """A run that nobody interrupted, and the same command again."""
    folder = shutil.copytree(collected, tmp_path_factory.mktemp("whole") / "here")
    before = len(server.requests)
    first = icd(folder, *command(server))
    asked = len(server.requests) - before
    again = icd(folder, *command(server, "--json"))
    assert len(server.requests) == before + asked
    assert first.returncode == 0, first.stderr
    return Whole(folder, first, json.loads(again.stdout)["learned"], asked)


def test_its_table_names_scenarios_gaps_tests_and_costs(whole: Whole) -> None:
    assert SEED in whole.first.stdout
    assert "kept; $" in whole.first.stdout
    assert "without guidance: gap" in whole.first.stderr
    assert "turn 1: gap" in whole.first.stderr
    [result] = whole.learned["results"]
    assert (result["scenario"]["text"], result["scenario"]["origin"]) == (SEED, "seed")
    with Store.open(whole.folder / STORE) as store:
        rows = store.ledger(whole.learned["run_id"])
    assert {row.role for row in rows} == {"strategies"}
    assert len(rows) == whole.asked


def test_it_stops_at_its_budget_and_says_how_to_go_on(
    tmp_path: Path, collected: Path, server: LoopbackServer
) -> None:
    folder = shutil.copytree(collected, tmp_path / "here")
    done = icd(folder, *command(server, "--budget", "0.01"))
    assert done.returncode == 1, done.stderr
    assert "larger --budget goes on" in done.stderr
    with Store.open(folder / STORE) as store:
        spent = sum(row.cost for row in store.ledger() if row.role == "strategies")
    assert 0 < spent <= 0.01


def test_an_expert_cannot_write(tmp_path: Path) -> None:
    place = Workplace(Settings(memory={"store": str(tmp_path / "icd.db")}), "household")
    with pytest.raises(ConfigurationError, match="must be a model"):
        prepare_learning(LearningRequest("household", LearningSettings()), place)


def test_killed_at_random_moments_it_pays_for_nothing_twice(
    tmp_path: Path, collected: Path, whole: Whole, server: LoopbackServer
) -> None:
    cut, killed, rng = shutil.copytree(collected, tmp_path / "cut"), 0, random.Random(6)
    before = len(server.requests)
    for _ in range(KILLS):
        process = subprocess.Popen(
            [*ICD, *command(server)], cwd=cut, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        goal = len(server.requests) + rng.randint(1, whole.asked // (KILLS + 1))
        until = time.monotonic() + 60
        while len(server.requests) < goal and process.poll() is None and time.monotonic() < until:
            time.sleep(0.001)
        killed += process.poll() is None
        process.kill()
        process.wait()
    end = icd(cut, *command(server, "--json"))
    assert end.returncode == 0, end.stderr
    requests = len(server.requests) - before
    learned = json.loads(end.stdout)["learned"]
    assert killed == KILLS
    assert results(learned) == results(whole.learned)
    run = learned["run_id"]
    with Store.open(cut / STORE) as store, Store.open(whole.folder / STORE) as other:
        rows, paid_once = store.ledger(run), {row.id for row in other.ledger(run)}
    answered = {row.id for row in rows if row.id in paid_once}
    lost = [row for row in rows if row.id not in paid_once]
    assert answered == paid_once
    assert len(lost) <= killed
    # What was under way when the process died may have been answered, and is asked again: it is in the ledger.
    assert whole.asked <= requests <= whole.asked + len(lost)
