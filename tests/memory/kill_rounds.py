"""Rounds of killing processes in the middle of mixed writes to one store, and counting what is lost."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerProcess
from random import Random

from mixed_writer import main

from icd_memory.checks import check
from icd_memory.database import Database
from icd_memory.store import Store

# Forked from a process that has loaded everything and has no threads: a round takes a moment.
_PROCESSES = get_context("forkserver")
_PROCESSES.set_forkserver_preload(["__main__", "mixed_writer"])


@dataclass
class KillRounds:
    """What was acknowledged over all rounds, and what of it is not in the store."""

    rounds: int = 0
    acknowledged: set[str] = field(default_factory=set)
    lost: set[str] = field(default_factory=set)
    torn: list[str] = field(default_factory=list)
    """Writes of which a part is there, and problems that a check found."""


def run(place: str, rounds: int, *, writers: int = 2, seed: int = 0, check_every: int = 50) -> KillRounds:
    """Write with several processes, kill them at a random acknowledgement, look, and go on in the same store."""
    found, random = KillRounds(), Random(seed)
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
    return found


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
        played = {row.id for row in store.episodes("r")}
        there = {
            *(f"receipt {id}" for id in receipts),
            *(f"trajectory {id}" for id in learned),
            *(f"feedback {id}" for id in judged),
        }
        found.lost |= found.acknowledged - there
        found.torn += [f"bill of {id}" for id in receipts if bills[id] != 3]
        found.torn += [f"bill without receipt {id}" for id in bills.keys() - receipts]
        found.torn += [f"episode of {id}" for id in {f"e-{id}" for id in learned} ^ played]
        found.torn += check(store, database).problems
    finally:
        database.close()
