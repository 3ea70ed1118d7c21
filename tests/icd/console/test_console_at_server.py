"""The console at /ui of the server: beside the API, behind the same gate."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest
from scripted import ScriptedAnswerer, service_of
from visiting import Operator, make_key, open_site

from icd.console.app import create_console
from icd.console.site import Site
from icd.serving.app import create_app
from icd_memory.store import Store


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with Store.open(tmp_path / "icd.db") as store:
        made = open_site(store)
        yield made
        made.close()


@pytest.fixture
async def client(site: Site) -> AsyncIterator[httpx.AsyncClient]:
    app = create_app(service_of(ScriptedAnswerer()), create_console(site))
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8080") as found:
        yield found


async def test_both_answer(client: httpx.AsyncClient, site: Site) -> None:
    assert (await client.get("/ui")).headers["location"].endswith("/ui/")
    assert (await client.get("/ui/")).headers["location"] == "/ui/sign-in?next=/ui/"
    operator = Operator(client)
    assert (await operator.sign_in(key=make_key(site.store).token)).status_code == 303
    shown = await operator.get("/")
    assert "There are no episodes yet" in shown.text
    assert "default-src 'none'" in shown.headers["content-security-policy"]
    models = await client.get("/v1/models")
    assert models.json()["object"] == "list"
    assert "content-security-policy" not in models.headers
    missing = await operator.get("/nothing")
    assert (missing.status_code, missing.headers["content-type"]) == (404, "text/html; charset=utf-8")


async def test_a_session_is_no_key_to_the_api(client: httpx.AsyncClient, site: Site) -> None:
    await Operator(client).sign_in(key=make_key(site.store).token)
    cookie = next(cookie for cookie in client.cookies.jar if cookie.name == "icd_console")
    assert cookie.path == "/ui"


async def test_the_gate_stands_before_it(client: httpx.AsyncClient) -> None:
    answer = await client.get("/ui/", headers={"host": "console.attacker.example"})
    assert answer.status_code == 421
