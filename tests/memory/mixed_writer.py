"""A process of its own that writes of every kind, from several threads, and says what was acknowledged; killed by the
tests."""

from __future__ import annotations

import threading
from collections.abc import Callable
from multiprocessing.connection import Connection

from samples import NOW, trajectory

from icd_memory.group_commit import GroupCommit
from icd_memory.rows import Batch, DecisionRow, EpisodeRow, FeedbackRow, LedgerRow
from icd_memory.store import Store, text_hash
from icd_memory.strategies import StrategyLibrary
from icd_memory.strategy import StrategyDraft

TENANTS = ("a", "b")


Say = Callable[[str], None]
_saying = threading.Lock()


def batches(store: Store, commit: GroupCommit, name: str, said: Say) -> None:
    """Receipts with their texts and bills, as the server writes them."""
    for number in range(100_000):
        id, tenant = f"{name}-{number}", TENANTS[number % 2]

        def write(batch: Batch, id: str = id, tenant: str = tenant) -> None:
            batch.texts[text_hash(id)] = id
            body = {"messages": [text_hash(id)]}
            batch.decisions.append(DecisionRow(id, f"e-{id}", 0, body, NOW, tenant))
            batch.ledger += [
                LedgerRow(f"{id}:{row}", "live", "student", "m", 1, 0, 1, 0.5, f"e-{id}", id) for row in "012"
            ]

        commit.submit(write).result()
        said(f"receipt {id}")


def trajectories(store: Store, commit: GroupCommit, name: str, said: Say) -> None:
    for number in range(100_000):
        id = f"{name}-{number}"
        with store.transaction():
            store.add_trajectory(trajectory(id), status="demonstration")
            store.add_episode(EpisodeRow(f"e-{id}", "r", id, "teacher", 0, "done", NOW))
        said(f"trajectory {id}")


def feedback(store: Store, commit: GroupCommit, name: str, said: Say) -> None:
    for number in range(100_000):
        id = f"{name}-{number}"
        store.add_feedback(FeedbackRow(id, "a", "e", None, True, None, "good", "", NOW))
        said(f"feedback {id}")


def strategies(store: Store, commit: GroupCommit, name: str, said: Say) -> None:
    """Proposals and their approvals, each acknowledged: a revision of the strategy."""
    library = StrategyLibrary(store)
    for number in range(100_000):
        id = f"{name}-{number}"
        library.propose(StrategyDraft(f"When {id} comes", "Look first.", "household", id=id), by="a")
        said(f"strategy {id} 1")
        library.approve(id, by="b", why="good")
        said(f"strategy {id} 2")


def bills(store: Store, commit: GroupCommit, name: str, said: Say) -> None:
    """Ledger rows of calls that came to nothing."""
    for number in range(100_000):
        id = f"{name}-{number}"
        store.add_ledger([LedgerRow(id, "alone", "student", "m", 1, 0, 1, 0.5)])
        said(f"bill {id}")


def main(place: str, name: str, out: Connection) -> None:
    def said(text: str) -> None:
        with _saying:
            out.send_bytes(text.encode())

    kinds = (batches, batches, trajectories, feedback, strategies, bills)
    with Store.open(place) as store, GroupCommit(store) as commit:
        threads = [
            threading.Thread(target=kind, args=(store, commit, f"{name}{number}", said))
            for number, kind in enumerate(kinds)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
