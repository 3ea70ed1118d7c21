"""Money that processes set aside in one store is never given out twice, and comes back."""

from __future__ import annotations

from datetime import UTC, datetime

from hypothesis import given, settings
from hypothesis import strategies as st

from icd_memory.rows import Batch, Hold, LedgerRow, Payer
from icd_memory.store import Store

KEY = Payer("key k", "key", "k", 10.0)
TENANT = Payer("tenant a", "tenant", "a", 15.0)
EPISODE = Payer("tenant a e", "tenant", "a", 5.0, episode_id="e")
DAY = Payer("tenant a day", "tenant", "a", 12.0, since=datetime(2026, 11, 22, tzinfo=UTC))


def ask(store: Store, id: str, dollars: float, *payers: Payer) -> bool:
    hold = Hold(id, dollars, payers)
    store.add_batch(Batch(holds=[hold]))
    return hold.refused is None


def bill(store: Store, id: str, cost: float, **changes: str) -> None:
    fields = {"tenant": "a", "account": "k", "episode_id": "e", **changes}
    row = LedgerRow(f"{id}:0", "live", "student", "m", 1, 0, 1, cost, **fields)  # type: ignore[arg-type]
    store.add_batch(Batch(ledger=[row], released=[id]))


def test_what_is_set_aside_is_not_given_out_again(store: Store) -> None:
    assert ask(store, "a", 6.0, KEY, TENANT)
    assert not ask(store, "b", 6.0, KEY, TENANT)
    assert store.reservations.held() == 6.0
    bill(store, "a", 1.5)
    assert store.reservations.held() == 0
    assert ask(store, "b", 8.5, KEY, TENANT)
    assert not ask(store, "c", 0.5, KEY)
    assert ask(store, "c", 5.0, TENANT)


def test_who_lets_go_before_it_is_granted_holds_nothing(store: Store) -> None:
    store.add_batch(Batch(holds=[Hold("a", 6.0, (KEY,)), Hold("b", 6.0, (KEY,))], released=["a"]))
    assert store.reservations.held() == 6.0
    assert not ask(store, "c", 5.0, KEY)


def test_a_decision_sets_aside_more_or_less_in_place_of_what_it_had(store: Store) -> None:
    assert ask(store, "a", 9.0, KEY)
    assert ask(store, "a", 10.0, KEY)
    assert not ask(store, "a", 10.5, KEY)
    assert store.reservations.held() == 10.0
    assert ask(store, "a", 2.0, KEY)
    assert ask(store, "b", 8.0, KEY)


def test_who_refuses_is_told_with_what_was_spent(store: Store) -> None:
    bill(store, "019ac0000000", 4.0)
    hold = Hold("h", 2.0, (KEY, EPISODE, TENANT))
    store.add_batch(Batch(holds=[hold]))
    assert (hold.refused, hold.spent) == (EPISODE, [4.0, 4.0])
    assert store.reservations.held() == 0
    assert ask(store, "other", 5.0, Payer("tenant a f", "tenant", "a", 5.0, episode_id="f"))


def test_a_day_counts_what_was_spent_since_it_began(store: Store) -> None:
    began = int(DAY.since.timestamp() * 1000) if DAY.since else 0
    bill(store, f"{began - 1:012x}", 7.0)
    bill(store, f"{began:012x}", 5.0)
    assert not ask(store, "a", 7.5, DAY)
    assert ask(store, "a", 7.0, DAY)


def test_two_processes_share_what_there_is(store_place: str) -> None:
    if store_place == ":memory:":
        return
    with Store.open(store_place) as one, Store.open(store_place) as other:
        assert ask(one, "a", 6.0, KEY)
        assert not ask(other, "b", 6.0, KEY)
        bill(other, "a", 6.0)
        assert not ask(one, "b", 4.5, KEY)
        assert ask(one, "b", 4.0, KEY)


def test_what_the_dead_had_set_aside_comes_back_whatever_clocks_say(store: Store) -> None:
    reservations, seconds = store.reservations, [0.0]
    reservations.watch, reservations.longest_call = lambda: seconds[0], 60.0
    assert ask(store, "dead", 9.0, KEY)
    assert not ask(store, "b", 2.0, KEY)
    seconds[0] = 59.0
    assert not ask(store, "b", 2.0, KEY)
    seconds[0] = 61.0
    assert ask(store, "b", 2.0, KEY)
    assert reservations.held() == 2.0
    seconds[0] = 500.0
    assert ask(store, "c", 8.0, KEY), "seen anew: its life is measured from there"
    assert not ask(store, "d", 1.0, KEY)


steps = st.lists(
    st.tuples(st.sampled_from("abcdef"), st.integers(1, 9), st.integers(0, 9), st.booleans()), max_size=40
)


@settings(max_examples=25)  # Each makes a store.
@given(steps)
def test_whatever_is_asked_and_billed_no_limit_is_passed(
    steps: list[tuple[str, int, int, bool]],
) -> None:
    with Store.open(":memory:") as store:
        held: dict[str, int] = {}
        spent = 0
        for number, (id, dollars, part, asks) in enumerate(steps):
            if asks:
                granted = ask(store, id, dollars, KEY)
                others = sum(amount for other, amount in held.items() if other != id)
                assert granted == (spent + others + dollars <= KEY.limit)
                if granted:
                    held[id] = dollars
            elif id in held:
                cost = min(part, held.pop(id))
                store.add_batch(
                    Batch(
                        ledger=[LedgerRow(f"r{number}", "live", "s", "m", 1, 0, 1, cost, account="k")],
                        released=[id],
                    )
                )
                spent += cost
            assert spent + sum(held.values()) <= KEY.limit
        assert store.reservations.held() == sum(held.values())
