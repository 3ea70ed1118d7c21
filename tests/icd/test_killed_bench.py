"""`icd bench` killed at random moments and started again: the same table, and every paid call in the ledger once."""

from __future__ import annotations

import json
import random
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from scenario import bill
from test_run_over_the_wire import ICD, follow, icd

from icd.testing import LoopbackServer
from icd_memory.store import Store

WORKERS = 2
STORE = ".icd/icd.db"


class Played(NamedTuple):
    """What a run left behind."""

    table: dict[str, Any]
    asked: int
    kills: int


def command(server: LoopbackServer, methods: str, episodes: int) -> list[str]:
    return [
        *("bench", "household", "-n", str(episodes), "--methods", methods, "--max-steps", "6", "--k", "2"),
        *("--embedder", "hashing", "--workers", str(WORKERS), "--temperature", "0.5", "--json"),
        *("--student", server.base_url, "--student-model", "gpt-4.1-mini"),
    ]


def asked_by_the_ledger(store: Store, run_id: str) -> int:
    return sum(row.requests for row in store.ledger(run_id) if row.model == "gpt-4.1-mini")


def killed_and_resumed(
    folder: Path, words: list[str], server: LoopbackServer, kills: int, total: int, rng: random.Random
) -> Played:
    begun = len(server.requests)
    done = 0
    for _ in range(kills):
        process = subprocess.Popen(
            [*ICD, *words], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        goal = len(server.requests) + rng.randint(0, 2 * total // (kills + 1))
        until = time.monotonic() + 60
        while len(server.requests) < goal and process.poll() is None and time.monotonic() < until:
            time.sleep(0.001)
        time.sleep(rng.uniform(0, 0.02))
        done += process.poll() is None
        process.kill()
        process.communicate()
    end = icd(folder, *words)
    assert end.returncode == 0, end.stderr
    return Played(json.loads(end.stdout), len(server.requests) - begun, done)


def check(tmp_path: Path, methods: str, episodes: int, kills: int) -> None:
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    whole.mkdir()
    collected = icd(whole, "collect", "household", "-n", "6", "--embedder", "hashing")
    assert collected.returncode == 0, collected.stderr
    shutil.copytree(whole, cut)
    with LoopbackServer(follow) as server:
        words = command(server, methods, episodes)
        done = icd(whole, *words)
        assert done.returncode == 0, done.stderr
        table, asked = json.loads(done.stdout), len(server.requests)
        again = killed_and_resumed(cut, words, server, kills, asked, random.Random(kills))
    assert again.table == table
    assert again.kills > kills // 2
    run = table["run_id"]
    with Store.open(whole / STORE) as one, Store.open(cut / STORE) as other:
        assert asked_by_the_ledger(one, run) == asked
        assert bill(other, run) == bill(one, run)
        lost = again.asked - asked_by_the_ledger(other, run)
        assert 0 <= lost <= WORKERS * again.kills
        rows = other.ledger(run)
        assert len({row.id for row in rows}) == len(rows)


def test_killed_now_and_then(tmp_path: Path) -> None:
    check(tmp_path, "student,cascade", 1, 2)


@pytest.mark.long
def test_killed_at_twenty_random_moments(tmp_path: Path) -> None:
    check(
        tmp_path,
        "teacher,student,few-shot,in-context,per-episode,cascade-only,cascade,random-at-cost,copy",
        4,
        20,
    )
