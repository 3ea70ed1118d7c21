"""Every page of the console in Chromium: nothing fails or is asked for elsewhere, all of it can be read, also in the
dark, on a phone, and without a mouse."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

pytest.importorskip("playwright", reason="needs the extra `browser`")
pytest.importorskip("axe_playwright_python", reason="needs the extra `browser`")

import pytest_asyncio
from browsing import LOOKS, Console, accessibility, kind, sign_in, tour, visitor

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]

SECTIONS = {"overview", "episodes", "memory", "strategies", "experiments", "students"}


class Toured(NamedTuple):
    """Somebody has seen all of the console."""

    cookies: Any
    pages: list[str]


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def toured(browser: Any, console: Console, pictures: Path) -> AsyncIterator[Toured]:
    """Sign in and follow all links."""
    async with visitor(browser, console, "light") as visit:
        await visit.page.goto(console.link)
        await visit.picture(pictures / "sign-in.light.png")
        assert await accessibility(visit.page) == []
        cookies = await sign_in(visit)
        pages = await tour(visit)
        await visit.go("/experiments")
        for box in await visit.page.get_by_role("checkbox").all():
            await box.check()
        await visit.page.get_by_role("button", name="Show those chosen").click()
        await visit.page.get_by_role("heading", name="Side by side").wait_for()
        pages.append(visit.page.url.partition("/ui")[2])
        visit.check()
    yield Toured(cookies, pages)


async def test_the_links_lead_everywhere(toured: Toured) -> None:
    kinds = {kind(path) for path in toured.pages}
    assert kinds >= SECTIONS | {f"{name} one" for name in ("episodes", "memory", "strategies")}


@pytest.mark.parametrize("look", LOOKS)
async def test_every_page_can_be_read(
    look: str, toured: Toured, browser: Any, console: Console, pictures: Path
) -> None:
    kept: set[str] = set()
    async with visitor(browser, console, look, toured.cookies) as visit:
        for path in toured.pages:
            name = kind(path)
            if name in kept:
                continue
            kept.add(name)
            await visit.go(path)
            for summary in await visit.page.locator("details > summary").all():
                await summary.click()
            await visit.picture(pictures / f"{re.sub('[^a-z]+', '-', name)}.{look}.png")
            if look == "phone":
                wide = await visit.page.evaluate("document.scrollingElement.scrollWidth - innerWidth")
                assert wide <= 0, f"{path} has to be moved sideways"
            else:
                assert await accessibility(visit.page) == [], path
        visit.check()


async def test_the_keyboard_is_enough(toured: Toured, browser: Any, console: Console) -> None:
    async with visitor(browser, console, "light", toured.cookies) as visit:
        page = visit.page
        await visit.go("/")
        await page.keyboard.press("Tab")
        assert await _focused(page) == "Skip to the content"
        names = [await _next(page) for _ in SECTIONS]
        assert [name.lower() for name in names] == [
            "overview", "episodes", "memory", "strategies", "experiments", "students",
        ]  # fmt: skip
        await visit.go("/episodes")
        await _tab_to(page, "main table a")
        await page.keyboard.press("Enter")
        await page.wait_for_url(re.compile(r"/ui/episodes/.+"))
        await visit.go("/strategies?status=proposed")
        await _tab_to(page, "main table a")
        await page.keyboard.press("Enter")
        await page.wait_for_url(re.compile(r"/ui/strategies/.+"))
        await _tab_to(page, "input[name=why]")
        await page.keyboard.type("by keyboard")
        await page.keyboard.press("Enter")
        await page.get_by_role("status").wait_for()
        assert await page.get_by_role("status").inner_text() == "It is approved."
        visit.check()


async def _focused(page: Any) -> str:
    """Return the text of what has the focus, which must show it."""
    text, outline = await page.evaluate(
        "[document.activeElement.innerText, getComputedStyle(document.activeElement).outlineStyle]"
    )
    assert outline != "none", f"nobody sees that {text!r} has the focus"
    return str(text)


async def _next(page: Any) -> str:
    await page.keyboard.press("Tab")
    return await _focused(page)


async def _tab_to(page: Any, selector: str) -> None:
    for _ in range(60):
        await _next(page)
        if await page.evaluate("selector => document.activeElement.matches(selector)", selector):
            return
    raise AssertionError(f"the keyboard does not reach {selector}")
