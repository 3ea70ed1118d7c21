"""Rounds of killing processes in the middle of mixed writes to one store, and counting what is lost."""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerProcess
from multiprocessing.forkserver import ensure_running
from random import Random

from mixed_writer import main

from icd_memory.checks import check
from icd_memory.database import Database
from icd_memory.store import Store

_PROCESSES = get_context("forkserver")


@dataclass
class KillRounds:
    """What was acknowledged over all rounds, and what of it is not in the store."""

    rounds: int = 0
    acknowledged: set[str] = field(default_factory=set)
    lost: set[str] = field(default_factory=set)
    torn: list[str] = field(default_factory=list)
    """Writes of which a part is there, and problems that a check found."""


def run(
    place: str,
    rounds: int,
    *,
    writers: int = 2,
    seed: int = 0,
    check_every: int = 50,
    told: Callable[[KillRounds], None] = lambda found: None,
) -> KillRounds:
    """Write with several processes, kill them at a random acknowledgement, look, and go on in the same store.

    `told` is given what was found so far, whenever that was looked at.
    """
    found, random = KillRounds(), Random(seed)
    _load_once()
    for number in range(rounds):
        started = [_start(place, f"r{number}p{writer}-") for writer in range(writers)]
        said: list[str] = []
        for _ in range(random.randint(1, 30)):
            said.append(started[0][1].recv_bytes(1000).decode())
        for process, _ in started:
            process.kill()
        for process, pipe in started:
            process.join()
            said += _rest(pipe)
        found.acknowledged.update(said)
        found.rounds += 1
        if number % check_every == check_every - 1 or number == rounds - 1:
            look(place, found)
            told(found)
    return found


def _load_once() -> None:
    """Let writers be forked from a process that has loaded everything and has no threads: a round takes a moment.

    That process looks for modules where the environment says, not where `sys.path` does.
    """
    _PROCESSES.set_forkserver_preload(["mixed_writer"])
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, sys.path))
    try:
        ensure_running()
    finally:
        if before is None:
            del os.environ["PYTHONPATH"]
        else:
            os.environ["PYTHONPATH"] = before


def _start(place: str, name: str) -> tuple[ForkServerProcess, Connection]:
    ours, theirs = _PROCESSES.Pipe(duplex=False)
    process = _PROCESSES.Process(target=main, args=(place, name, theirs))
    process.start()
    theirs.close()
    return process, ours


def _rest(pipe: Connection) -> list[str]:
    """Return what was said before the end; a message that the kill cut off was not."""
    said: list[str] = []
    with pipe:
        while True:
            try:
                said.append(pipe.recv_bytes(1000).decode())
            except (EOFError, OSError):
                return said


def look(place: str, found: KillRounds) -> None:
    """Compare the whole store with what was ever acknowledged."""
    database = Database.open(place)
    try:
        store = Store(database)
        bills = Counter(row.decision_id for row in store.ledger(run_id="live"))
        learned = {row.id for row in store.listing()}
        judged = {row.id for row in store.feedback("a", "e")}
        with database.read() as connection:
            receipts = {id for (id,) in connection.exec_driver_sql("SELECT id FROM decisions")}
            changes = connection.exec_driver_sql("SELECT strategy_id, number FROM strategy_changes").all()
            strategies = connection.exec_driver_sql("SELECT id, revision FROM strategies").all()
        played = {row.id for row in store.episodes("r")}
        there = {
            *(f"strategy {id} {number}" for id, number in changes),
            *(f"bill {row.id}" for row in store.ledger(run_id="alone")),
            *(f"receipt {id}" for id in receipts),
            *(f"trajectory {id}" for id in learned),
            *(f"feedback {id}" for id in judged),
        }
        found.lost |= found.acknowledged - there
        found.torn += [f"bill of {id}" for id in receipts if bills[id] != 3]
        found.torn += [f"bill without receipt {id}" for id in bills.keys() - receipts]
        found.torn += [f"episode of {id}" for id in {f"e-{id}" for id in learned} ^ played]
        entries = Counter(id for id, _ in changes)
        found.torn += [f"strategy {id}" for id, revision in strategies if entries[id] != revision]
        found.torn += check(store, database).problems
    finally:
        database.close()
