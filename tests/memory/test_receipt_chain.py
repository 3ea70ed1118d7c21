"""The chain of receipts: what it shows, what it costs nothing to erase, and who may write at once."""

from __future__ import annotations

import threading
from dataclasses import replace
from hashlib import sha256

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st
from samples import NOW

from icd_memory.chain import Head
from icd_memory.links import digest_of, first_link, next_link
from icd_memory.migrations import MIGRATIONS, migrate
from icd_memory.rows import Batch, DecisionRow
from icd_memory.schema import metadata
from icd_memory.store import Store


def receipt(number: int, tenant: str = "default") -> DecisionRow:
    return DecisionRow(f"{tenant}-{number}", f"e-{tenant}", number, {"said": f"é\ud800{number}"}, NOW, tenant)


def filled(store: Store, tenants: str = "ab", count: int = 5) -> None:
    for tenant in tenants:
        store.add_batch(Batch(decisions=[receipt(number, tenant) for number in range(count)]))


def change(store: Store, statement: str) -> None:
    with store._db.write() as connection:
        assert connection.exec_driver_sql(statement).rowcount > 0


def test_each_tenant_has_a_chain_of_its_own(store: Store) -> None:
    filled(store)
    assert store.add_decision(receipt(5, "a"))
    report = store.chain.verify()
    assert report.problems == ()
    assert [(c.tenant, c.receipts, c.erased, c.head.position) for c in report.tenants] == [
        ("a", 6, 0, 6),
        ("b", 5, 0, 5),
    ]


def test_what_is_written_twice_is_chained_once(store: Store) -> None:
    first, again = receipt(0), replace(receipt(0), body={"said": "otherwise"})
    store.add_batch(Batch(decisions=[first, again, receipt(1)]))
    store.add_batch(Batch(decisions=[receipt(1), receipt(2), first]))
    assert not store.add_decision(again)
    report = store.chain.verify()
    assert (report.problems, report.tenants[0].receipts) == ((), 3)
    assert store.decision("default-0") == first


@pytest.mark.parametrize(
    ("statement", "told"),
    [
        ("UPDATE decisions SET body = '{\"said\":\"lies\"}' WHERE id = 'a-2'", "receipt a-2 was changed"),
        ("UPDATE decisions SET episode_id = 'other' WHERE id = 'a-2'", "receipt a-2 was changed"),
        ("DELETE FROM decisions WHERE id = 'a-2'", "receipt a-2 is missing"),
        ("DELETE FROM receipt_chain WHERE receipt_id = 'a-2'", "entries 3 to 3 are missing"),
        ("DELETE FROM receipt_chain WHERE receipt_id = 'a-4'", "receipt a-4 is in no chain"),
        (
            "UPDATE receipt_chain SET digest = 'x' WHERE receipt_id = 'a-2'",
            "entry 3 (receipt a-2) does not fit",
        ),
        ("UPDATE decisions SET tenant = 'b' WHERE id = 'a-2'", "receipt a-2 was changed"),
    ],
)
def test_what_was_changed_is_found(store: Store, statement: str, told: str) -> None:
    filled(store)
    change(store, statement)
    assert any(told in problem for problem in store.chain.verify().problems)


def test_an_end_that_was_cut_off_is_found_by_a_head_that_was_noted(store: Store) -> None:
    filled(store)
    noted = {chain.tenant: chain.head for chain in store.chain.verify().tenants}
    store.add_decision(receipt(5, "a"))
    assert store.chain.verify(noted).problems == ()
    change(store, "DELETE FROM receipt_chain WHERE tenant = 'a' AND position > 4")
    change(store, "DELETE FROM decisions WHERE tenant = 'a' AND step > 3")
    assert store.chain.verify().problems == ()
    assert "entry 5 was noted earlier" in store.chain.verify(noted).problems[0]
    other = {"b": Head(2, noted["b"].link)}
    assert "not the one that was noted" in store.chain.verify(other).problems[0]


def test_erased_content_leaves_a_tombstone_and_the_chain_holds(store: Store) -> None:
    filled(store)
    at = NOW.isoformat()
    assert store.chain.erase("a", ["a-1", "a-3", "b-1", "nothing"], at) == 2
    assert store.chain.erase("a", ["a-1"], at) == 0
    report = store.chain.verify()
    assert report.problems == ()
    assert [(c.receipts, c.erased, c.head.position) for c in report.tenants] == [(5, 2, 7), (5, 0, 5)]
    row = store.decision("a-1")
    assert row is not None
    assert row.body == {"receipt_id": "a-1", "erased": at}
    change(store, "UPDATE decisions SET body = '{\"said\":\"é1\"}' WHERE id = 'a-1'")
    assert "was erased, and has content" in store.chain.verify().problems[0]


def test_an_erasure_that_is_not_in_the_chain_is_a_change(store: Store) -> None:
    filled(store)
    change(store, 'UPDATE decisions SET body = \'{"receipt_id":"a-1","erased":"x"}\' WHERE id = \'a-1\'')
    assert "receipt a-1 was changed" in store.chain.verify().problems[0]


def test_a_failed_transaction_leaves_the_chain_as_it_was(store: Store) -> None:
    filled(store)
    before = store.chain.verify()

    def write_and_fail() -> None:
        with store.transaction():
            store.add_decision(receipt(9, "a"))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        write_and_fail()
    assert store.chain.verify() == before
    filled(store, count=9)
    assert store.chain.verify().problems == ()


def test_several_connections_write_one_chain(store_place: str) -> None:
    if store_place == ":memory:":
        pytest.skip("a store in memory belongs to one process")

    def write(name: str) -> None:
        with Store.open(store_place) as mine:
            for number in range(15):
                rows = [replace(receipt(number, tenant), id=f"{name}-{tenant}-{number}") for tenant in "ba"]
                mine.add_batch(Batch(decisions=[*rows, receipt(number, "both")]))

    threads = [threading.Thread(target=write, args=(name,)) for name in "xyz"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with Store.open(store_place) as store:
        report = store.chain.verify()
        assert report.problems == ()
        assert {c.tenant: c.receipts for c in report.tenants} == {"a": 45, "b": 45, "both": 15}


def test_receipts_of_an_older_store_come_first(store_place: str) -> None:
    if store_place == ":memory:":
        pytest.skip("a store in memory is never older")
    with Store.open(store_place) as store:
        chained = [m.__name__ for m in MIGRATIONS].index("m004_receipt_chain")
        with store._db.write() as connection:
            for name in [*metadata.tables, "migrations"]:
                connection.execute(sa.text(f"DROP TABLE {name}"))
            migrate(connection, MIGRATIONS[:chained])
            insert = sa.text(
                "INSERT INTO decisions (id, episode_id, step, body, created_at, tenant, thread) "
                "VALUES (:id, 'e', 1, '{}', '2026-01-02T03:04:05+00:00', :tenant, '')"
            )
            for number in range(1203):
                connection.execute(insert, {"id": f"r{number}", "tenant": "ab"[number % 2]})
    with Store.open(store_place) as store:
        assert store.add_decision(receipt(0, "a"))
        report = store.chain.verify()
        assert report.problems == ()
        assert [chain.receipts for chain in report.tenants] == [603, 601]


@given(st.lists(st.text(), max_size=5), st.lists(st.text(), max_size=5))
def test_digests_of_different_rows_differ(one: list[str], other: list[str]) -> None:
    assert (digest_of(one) == digest_of(other)) == (one == other)


def test_links_are_as_documented() -> None:
    """Another program must be able to check them."""
    assert digest_of(["é", 1]) == sha256(b"2:\xc3\xa91:1").hexdigest()
    link = next_link(first_link("t"), 1, "receipt", "r", "d")
    assert link == digest_of([digest_of(["icd receipts", "t"]), 1, "receipt", "r", "d"])
