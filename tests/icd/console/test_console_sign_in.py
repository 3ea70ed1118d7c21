"""Who comes in, how long they stay, and what other sites can do: nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from visiting import CHANGES, PAGES, Clock, Operator, connect, field, make_key, open_site

from icd.console.site import Site
from icd.console.visit import own_path
from icd_memory.store import Store


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "icd.db") as opened:
        yield opened


@pytest.fixture
def site(store: Store, clock: Clock) -> Iterator[Site]:
    made = open_site(store, clock)
    yield made
    made.close()


@pytest.fixture
async def browser(site: Site) -> AsyncIterator[httpx.AsyncClient]:
    async with connect(site) as client:
        yield client


async def test_nothing_is_shown_to_who_is_not_signed_in(browser: httpx.AsyncClient) -> None:
    for path in (*PAGES, "/episodes/some/id", "/memory/some/id", "/strategies/x"):
        answer = await browser.get(f"/ui{path}")
        assert (answer.status_code, answer.text) == (303, "")
        assert answer.headers["location"] == f"/ui/sign-in?next=/ui{path}"
    for path in CHANGES:
        answer = await browser.post(f"/ui{path}", data={"csrf": "x"})
        assert answer.status_code == 303
        assert answer.headers["location"].startswith("/ui/sign-in")


async def test_the_link_is_good_once_and_only_when_the_form_is_sent(site: Site) -> None:
    assert site.link is not None
    async with connect(site) as first, connect(site) as second:
        for _ in range(2):
            assert (
                "Sign in to tenant default"
                in (await first.get("/ui/sign-in", params={"link": site.link.token})).text
            )
        assert (await Operator(first).sign_in(link=site.link.token)).status_code == 303
        assert (await first.get("/ui/")).status_code == 200
        shown = await second.get("/ui/sign-in", params={"link": site.link.token})
        assert "was used already" in shown.text
        again = await second.post(
            "/ui/sign-in", data={"before": field(shown.text, "before"), "link": site.link.token}
        )
        assert again.status_code == 401
        assert (await second.get("/ui/")).status_code == 303


async def test_an_operators_key_signs_in_to_its_tenant(browser: httpx.AsyncClient, store: Store) -> None:
    key = make_key(store, "shop", name="bea")
    answer = await Operator(browser).sign_in(key=key.token)
    assert answer.status_code == 303
    cookie = next(c for c in answer.headers.get_list("set-cookie") if c.startswith("icd_console="))
    assert {"HttpOnly", "SameSite=strict", "Path=/ui"} <= {part.strip() for part in cookie.split(";")}
    assert "bea, tenant shop" in (await browser.get("/ui/")).text


async def test_cookies_go_over_https_only_where_that_is_spoken(site: Site, store: Store) -> None:
    key = make_key(store)
    async with connect(site) as client:
        client.headers["x-forwarded-proto"] = "https"
        form = await client.get("/ui/sign-in")
        assert "Secure" in form.headers["set-cookie"]
        answer = await client.post(
            "/ui/sign-in", data={"before": field(form.text, "before"), "key": key.token},
            headers={"cookie": form.headers["set-cookie"].partition(";")[0]},
        )  # fmt: skip
        assert "Secure" in answer.headers["set-cookie"]


@pytest.mark.parametrize("role", ["agent", "unknown", "revoked"])
async def test_other_keys_do_not(browser: httpx.AsyncClient, store: Store, role: str) -> None:
    key = make_key(store, role="agent" if role == "agent" else "operator")
    if role == "revoked":
        store.accounts.revoke_key(key.row.id, datetime.now(UTC))
    token = "icd_000000000000_" + "x" * 43 if role == "unknown" else key.token
    answer = await Operator(browser).sign_in(key=token)
    assert answer.status_code == 401
    assert "icd_console" not in browser.cookies
    assert token not in answer.text


async def test_a_session_ends_with_its_key(browser: httpx.AsyncClient, store: Store, clock: Clock) -> None:
    key = make_key(store)
    await Operator(browser).sign_in(key=key.token)
    store.accounts.revoke_key(key.row.id, datetime.now(UTC))
    clock.seconds += 1
    assert (await browser.get("/ui/")).status_code == 303


@pytest.mark.parametrize(("idle", "times"), [(3700.0, 1), (3000.0, 15)])
async def test_a_session_ends_with_time(
    browser: httpx.AsyncClient, store: Store, clock: Clock, idle: float, times: int
) -> None:
    await Operator(browser).sign_in(key=make_key(store).token)
    answers = []
    for _ in range(times):
        clock.seconds += idle
        answers.append((await browser.get("/ui/")).status_code)
    assert answers == [200] * (times - 1) + [303]


async def test_signing_out_ends_it_for_the_cookie_too(browser: httpx.AsyncClient, store: Store) -> None:
    operator = Operator(browser)
    await operator.sign_in(key=make_key(store).token)
    cookie = browser.cookies["icd_console"]
    assert (await operator.post("/sign-out")).status_code == 303
    browser.cookies.set("icd_console", cookie, path="/ui")
    assert (await browser.get("/ui/")).status_code == 303


async def test_guessing_is_slow(browser: httpx.AsyncClient) -> None:
    codes = [(await Operator(browser).sign_in(key="icd_0_x")).status_code for _ in range(21)]
    assert codes == [401] * 20 + [429]


async def test_a_sign_in_form_belongs_to_its_browser(
    browser: httpx.AsyncClient, site: Site, store: Store
) -> None:
    key = make_key(store)
    async with connect(site) as other:
        before = field((await other.get("/ui/sign-in")).text, "before")
    await browser.get("/ui/sign-in")
    answer = await browser.post("/ui/sign-in", data={"before": before, "key": key.token})
    assert answer.status_code == 403
    browser.cookies.clear()
    assert (await browser.post("/ui/sign-in", data={"before": "", "key": key.token})).status_code == 403


async def test_forms_need_their_sessions_token(browser: httpx.AsyncClient, site: Site, store: Store) -> None:
    operator = Operator(browser)
    await operator.sign_in(key=make_key(store).token)
    async with connect(site) as client:
        other = Operator(client)
        await other.sign_in(key=make_key(store).token)
        stranger = other.csrf
    for path in CHANGES:
        for csrf in ("", "wrong", "ü", stranger):
            answer = await browser.post(f"/ui{path}", data={"csrf": csrf, "why": "x", "id": "x"})
            assert answer.status_code == 403, path
        with_origin = await browser.post(
            f"/ui{path}", data={"csrf": operator.csrf}, headers={"origin": "http://elsewhere.example"}
        )
        assert with_origin.status_code == 403
        assert (await browser.post(f"/ui{path}", json={"csrf": operator.csrf})).status_code == 415
    assert (await browser.get("/ui/")).status_code == 200  # Nobody was signed out.


async def test_a_form_has_a_size(browser: httpx.AsyncClient, store: Store) -> None:
    operator = Operator(browser)
    await operator.sign_in(key=make_key(store).token)
    assert (await operator.post("/strategies/edit", guidance="x" * 250_000)).status_code == 413
    assert (await operator.post("/strategies/edit", **{f"f{n}": "" for n in range(60)})).status_code == 400


async def test_names_of_other_machines_get_no_answer(site: Site) -> None:
    async with connect(site) as client:
        answer = await client.get("/ui/sign-in", headers={"host": "console.attacker.example"})
        assert answer.status_code == 400
        assert "before" not in answer.text


@given(
    st.text()
    | st.sampled_from(["//evil.example", "/ui//evil.example", "/ui/\\evil", "https://e.example/ui/"])
)
def test_one_is_only_ever_led_into_the_console(asked: str) -> None:
    path = own_path(asked)
    assert path.startswith("/ui/")
    assert "//" not in path
    assert "\\" not in path
