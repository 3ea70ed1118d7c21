"""Acknowledged is found, whenever processes are killed."""

from __future__ import annotations

import pytest
from kill_rounds import run


def test_a_few_rounds(store_place: str) -> None:
    rounds(store_place, 4)


@pytest.mark.long
def test_three_hundred_rounds(store_place: str) -> None:
    rounds(store_place, 300)


def rounds(place: str, count: int) -> None:
    if place == ":memory:":
        pytest.skip("a store in memory belongs to one process")
    found = run(place, count)
    assert (found.rounds, found.lost, found.torn) == (count, set(), [])
    assert len(found.acknowledged) >= count
