"""Everything that an operator can do in the console, done in Chromium; the store says what came of it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import pytest

pytest.importorskip("playwright", reason="needs the extra `browser`")
pytest.importorskip("axe_playwright_python", reason="needs the extra `browser`")

import pytest_asyncio
from browsing import Console, Visitor, sign_in, visitor

from icd.offline.active import read_pointer
from icd.serving.keys import new_key
from icd_memory.store import Store
from icd_memory.strategies import StrategyLibrary

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]


@pytest.fixture(scope="module")
def store(console: Console) -> Iterator[Store]:
    """The store that the console shows, opened beside it."""
    with Store.open(console.place) as opened:
        yield opened


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def visit(browser: Any, console: Console) -> AsyncIterator[Visitor]:
    async with visitor(browser, console, "light") as found:
        await sign_in(found)
        yield found
        found.check()


async def _do(visit: Visitor, button: str, *, within: str = "form") -> str:
    """Give a reason and press a button; return what the console says then."""
    form = visit.page.locator(within, has=visit.page.get_by_role("button", name=button))
    await form.locator("input[name=why]").fill("because of a test")
    await form.get_by_role("button", name=button).click()
    told = visit.page.get_by_role("status")
    await told.wait_for()
    return str(await told.inner_text())


def _waiting(store: Store, source: str) -> str:
    """Store a trajectory of a source that waits for a person; return its id."""
    one = next(store.trajectories(environment="household"))
    given = replace(one, id=f"of {source}", provenance=replace(one.provenance, source=source))
    store.add_trajectory(given, status="quarantine", reason="waits for trust in its source")
    return given.id


async def test_a_demonstration_is_disabled_and_shown_again(visit: Visitor, store: Store) -> None:
    id = store.listing(environment="household", status="demonstration")[0].id
    await visit.go(f"/memory/{quote(id)}")
    await _do(visit, "Show it no more")
    assert store.admission(id).status == "disabled"
    assert "because of a test" in store.admission(id).reason
    await _do(visit, "Show it again")
    assert store.admission(id).status == "demonstration"


async def test_what_waits_is_approved_from_the_list(visit: Visitor, store: Store) -> None:
    await visit.go("/memory")
    await visit.page.get_by_role("link", name="quarantine").first.click()
    await visit.page.locator("main table tbody th a").first.click()
    await visit.page.get_by_role("heading", name="Decide").wait_for()
    before = len(store.listing(status="demonstration"))
    await _do(visit, "Approve: show it")
    assert len(store.listing(status="demonstration")) == before + 1


async def test_what_waits_is_rejected(visit: Visitor, store: Store) -> None:
    id = _waiting(store, "stranger")
    await visit.go(f"/memory/{quote(id)}")
    await _do(visit, "Reject: never show it")
    assert store.admission(id).status == "rejected"
    assert "because of a test" in store.admission(id).reason


async def test_a_source_is_trusted(visit: Visitor, store: Store) -> None:
    await visit.go(f"/memory/{quote(_waiting(store, 'partner'))}")
    await visit.page.get_by_text("All of its source").click()
    assert "trusted" in await _do(visit, "Trust this source")
    assert store.trust.levels("default")["partner"] == "approved"


async def test_a_source_is_recalled(visit: Visitor, store: Store) -> None:
    t = next(store.trajectories(environment="chat", status="demonstration"))
    await visit.go(f"/memory/{quote(t.id)}")
    await visit.page.get_by_text("All of its source").click()
    assert "recalled" in await _do(visit, "Recall all that it gave")
    assert store.trust.levels("default")[t.provenance.source] == "recalled"
    assert not store.listing(environment="chat", status="demonstration")


async def test_a_strategy_is_edited_compared_approved_and_retired(visit: Visitor, store: Store) -> None:
    library = StrategyLibrary(store)
    one = next(s for s in library.list() if s.status == "approved")
    await visit.go(f"/strategies/{one.id}")
    await visit.page.get_by_text("Edit: write a new version").click()
    await visit.page.fill("#guidance", "Look twice.\nThen act.")
    await visit.page.fill("#why-edit", "clearer")
    await visit.page.get_by_role("button", name="Store the new version").click()
    await visit.page.get_by_role("status").wait_for()
    edited = library.get(one.id)
    assert (edited.guidance, edited.status, edited.version) == (
        "Look twice.\nThen act.",
        "proposed",
        one.version + 1,
    )
    lines = (await visit.page.get_by_label("Difference").inner_text()).splitlines()
    assert any(line.startswith("+") and "Look twice." in line for line in lines)
    await _do(visit, "Approve: show it")
    assert library.get(one.id).status == "approved"
    await _do(visit, "Retire: show it no more")
    assert library.get(one.id).status == "retired"
    assert [entry.by for entry in library.history(one.id)][-1] == "console"


async def test_a_strategy_that_is_held_is_rejected(visit: Visitor, store: Store) -> None:
    await visit.go("/strategies?status=held")
    await visit.page.locator("main table tbody th a").first.click()
    await visit.page.get_by_role("heading", name="Decide").wait_for()
    await _do(visit, "Reject")
    assert not [s for s in StrategyLibrary(store).list() if s.status == "held"]


async def test_the_trial_of_a_student_is_ended(visit: Visitor, store: Store) -> None:
    assert read_pointer(store).canary is not None
    await visit.go("/students")
    assert "rolled back" in await _do(visit, "End the trial")
    assert read_pointer(store).canary is None


async def test_episodes_are_narrowed(visit: Visitor) -> None:
    await visit.go("/episodes")
    every = await visit.page.locator("main table tbody tr").count()
    await visit.page.select_option("#method", "cascade")
    await visit.page.select_option("#end", "won")
    await visit.page.get_by_role("button", name="Show").click()
    await visit.page.wait_for_url("**method=cascade**")
    rows = visit.page.locator("main table tbody tr")
    assert 0 < await rows.count() < every
    assert all("cascade" in text and "won" in text for text in await rows.all_inner_texts())


async def test_demonstrations_are_found_by_meaning(visit: Visitor) -> None:
    await visit.go("/memory")
    await visit.page.fill("#text", "put something into the bin")
    await visit.page.select_option("#how", "meaning")
    await visit.page.select_option("#environment", "household")
    await visit.page.get_by_role("button", name="Search").click()
    await visit.page.get_by_role("columnheader", name="similarity").wait_for()


async def test_an_operator_signs_in_with_a_key_and_out(browser: Any, console: Console, store: Store) -> None:
    key = new_key("default", "operator", "Ada", None, None, datetime.now(UTC))
    store.accounts.add_key(key.row)
    async with visitor(browser, console, "phone") as visit:
        await visit.go("/memory?status=quarantine")
        await visit.page.fill("#key", key.token)
        await visit.page.get_by_role("button", name="Sign in").click()
        await visit.page.wait_for_url("**/ui/memory?status=quarantine")
        await visit.page.get_by_text("Ada, tenant default").wait_for()
        await visit.page.get_by_role("button", name="Sign out").click()
        await visit.page.wait_for_url("**/ui/sign-in")
        await visit.go("/memory")
        assert "/ui/sign-in" in visit.page.url
        visit.check()
