"""What models, users and sources wrote is shown as the text that it is, whatever it is."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("playwright", reason="needs the extra `browser`")
pytest.importorskip("axe_playwright_python", reason="needs the extra `browser`")

import pytest_asyncio
from browsing import Console, Visitor, kind, served, sign_in, tour, visitor
from hostile_store import ATTACKS, grow_hostile

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]

_ALIVE = """() => [...document.querySelectorAll('*')].filter(node =>
    [...node.attributes].some(a => a.name.startsWith('on') || /^\\s*javascript:/i.test(a.value) && a.name == 'href')
    || ['SCRIPT', 'IFRAME', 'OBJECT', 'EMBED', 'BASE', 'IMG'].includes(node.tagName)
    || node.tagName == 'META' && node.httpEquiv
).map(node => node.outerHTML.slice(0, 200))"""
_SHOWN = """() => document.body.innerText + [...document.querySelectorAll('input, textarea, option')]
    .map(node => node.value + node.textContent).join(' ')"""


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Console]:
    place = tmp_path_factory.mktemp("hostile") / "icd.db"
    grow_hostile(place)
    with served(place) as found:
        yield found


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def visit(browser: Any, hostile: Console) -> AsyncIterator[Visitor]:
    async with visitor(browser, hostile, "phone") as found:
        await sign_in(found)
        yield found


async def test_attacks_stay_text_on_every_page(visit: Visitor, pictures: Path) -> None:
    kinds = set()
    for path in await tour(visit):
        await visit.go(path)
        for summary in await visit.page.locator("details > summary").all():
            await summary.click()
        assert await visit.page.evaluate("window.hacked") is None, path
        assert await visit.page.evaluate(_ALIVE) == [], path
        shown = await visit.page.evaluate(_SHOWN)
        if " one" in kind(path):
            assert ATTACKS[0] in shown, path
        assert "7006652" not in shown, path
        wide = await visit.page.evaluate("document.scrollingElement.scrollWidth - innerWidth")
        assert wide <= 0, f"{path} has to be moved sideways"
        if kind(path) not in kinds:
            await visit.picture(pictures / f"hostile-{len(kinds):02d}.png")
        kinds.add(kind(path))
    visit.check()
    assert {"episodes one", "memory one", "strategies one"} <= kinds


async def test_attacks_in_addresses_and_fields_stay_text(visit: Visitor) -> None:
    page = visit.page
    for attack in ATTACKS:
        typed = attack.replace("\x00", "").replace("\ud800", "")[:200]
        await visit.go("/episodes")
        await page.fill("#text", typed)
        async with page.expect_navigation():
            await page.keyboard.press("Enter")
        assert await page.input_value("#text") == typed.replace("\n", "")
        assert await page.evaluate(_ALIVE) == []
        assert await page.evaluate("window.hacked") is None
    await visit.go("/?done=" + "%3Cscript%3Ewindow.hacked%3D1%3C/script%3E")
    assert await page.evaluate(_ALIVE) == []
    visit.check()
