"""The streams that are watched for drift: workers take turns, whatever the names are."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from icd_memory.store import Store
from icd_memory.watched import StreamKey, StreamRow

NOW = datetime(2026, 11, 22, tzinfo=UTC)
KEY = StreamKey("default", "chat", "lost \0 \ud800 parcels", "success", "unanimity(3) of a")


def counted(row: StreamRow) -> StreamRow:
    return replace(row, state={"count": row.state.get("count", 0) + 1})


def test_two_workers_lose_nothing(store_place: str, tmp_path: Path) -> None:
    if store_place == ":memory:":  # Nobody else can open that one.
        store_place = str(tmp_path / "store.db")

    def work(_: int) -> None:
        with Store.open(store_place) as store:
            for _ in range(10):
                store.watched.change(KEY, NOW, counted)

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(work, range(2)))
    with Store.open(store_place) as store:
        [row] = store.watched.find()
        assert row == StreamRow(*KEY, {"count": 20}, None, NOW)
        assert store.watched.change(KEY, NOW, lambda row: None) is None
        assert store.watched.find() == [row]


def test_alarms_and_forgetting(store: Store) -> None:
    for tenant in ("a", "b"):
        for category in ("x", "y"):
            alarm = {"at": "now"} if category == "x" else None
            key = KEY._replace(tenant=tenant, category=category)
            store.watched.change(key, NOW, lambda row, alarm=alarm: replace(row, alarm=alarm))  # type: ignore[misc]
    assert [(row.tenant, row.category) for row in store.watched.alarms()] == [("a", "x"), ("b", "x")]
    assert store.watched.alarms(tenant="a", environment="elsewhere") == []
    assert store.watched.forget(tenant="a", category="x") == 1
    assert [(row.tenant, row.category) for row in store.watched.find(tenant="a")] == [("a", "y")]
    assert len(store.watched.find(tenant="b", environment="chat", category="x")) == 1
