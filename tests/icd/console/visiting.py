"""An operator of a console in this process, without sockets."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from html import unescape
from html.parser import HTMLParser
from pathlib import Path

import httpx

from icd.config import Settings
from icd.console.opening import site_alone
from icd.console.server import alone
from icd.console.site import Site
from icd.serving.keys import NewKey, new_key
from icd_memory.rows import KeyRole
from icd_memory.store import Store

PAGES = ("/", "/episodes", "/memory", "/strategies", "/experiments", "/students")
CHANGES = (
    "/sign-out", "/memory/change", "/memory/source", "/strategies/change", "/strategies/edit", "/students/roll-back",
)  # fmt: skip


class Clock:
    """Time that passes when it is told to."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


def open_site(store: Store, clock: Clock | None = None) -> Site:
    """A console that has taken in all that is in its store."""
    settings = Settings(memory={"store": store.place, "embedder": "hashing"})  # type: ignore[arg-type]
    site = site_alone(store, settings, "default")
    if clock is not None:
        site.clock = clock
    assert site.facts.catch_up()
    return site


def connect(site: Site) -> httpx.AsyncClient:
    """A browser that has never been there."""
    return httpx.AsyncClient(
        transport=httpx.ASGITransport(alone(site)), base_url="http://localhost/", follow_redirects=False
    )


def make_key(store: Store, tenant: str = "default", role: KeyRole = "operator", name: str = "ann") -> NewKey:
    made = new_key(tenant, role, name, None, None, datetime.now(UTC))
    store.accounts.add_key(made.row)
    return made


class Operator:
    """Somebody at a browser."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self.client = client
        self.csrf = ""

    async def sign_in(self, **fields: str) -> httpx.Response:
        """Send the form, with a key or a link."""
        form = await self.client.get("/ui/sign-in", params={k: v for k, v in fields.items() if k == "link"})
        before = field(form.text, "before")
        answer = await self.client.post("/ui/sign-in", data={"before": before, **fields})
        if answer.status_code == 303:
            self.csrf = field((await self.get("/students")).text, "csrf")
        return answer

    async def get(self, path: str, **query: str | list[str]) -> httpx.Response:
        return await self.client.get(f"/ui{path}", params=query)

    async def post(self, path: str, **fields: str) -> httpx.Response:
        return await self.client.post(f"/ui{path}", data={"csrf": self.csrf, **fields})

    async def said(self, path: str, **fields: str) -> str:
        """Send a form, follow where it leads, and return what that page says was done."""
        answer = await self.post(path, **fields)
        assert answer.status_code == 303, answer.text
        page = await self.client.get(answer.headers["location"])
        found = re.search(r'<p class="said" role="status">([^<]*)</p>', page.text)
        assert page.status_code == 200
        return unescape(found[1]) if found else ""


def field(page: str, name: str) -> str:
    found = re.search(rf'name="{name}" value="([^"]*)"', page)
    assert found, f"no field {name}"
    return unescape(found[1])


class Markup(HTMLParser):
    """What a page is made of."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.addresses: list[str] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        self.addresses += [value or "" for name, value in attrs if name in ("href", "src", "action")]

    def handle_data(self, data: str) -> None:
        self.text += data


def links(page: str, beginning: str) -> list[str]:
    """The addresses in a page's tables that begin so, without their query."""
    found = re.findall(rf'href="(/ui{beginning}[^"?#]+)', page)
    return list(dict.fromkeys(unescape(address)[3:] for address in found))


def copy_store(folder: Path, to: Path) -> Store:
    """Open a copy of the store in a folder."""
    import shutil

    shutil.copytree(folder, to)
    return Store.open(to / "icd.db")
