"""A real Chromium in front of the console: what it saw, what went wrong there, and pictures of it."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urldefrag, urljoin, urlsplit

from icd.episode_facts import FactKeeper
from icd_memory.store import Store

PICTURES = os.environ.get("ICD_SCREENSHOTS")
CHROMIUM = os.environ.get("ICD_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")

LOOKS: dict[str, dict[str, Any]] = {
    "light": {"color_scheme": "light", "viewport": {"width": 1280, "height": 900}},
    "dark": {"color_scheme": "dark", "viewport": {"width": 1280, "height": 900}},
    "phone": {"color_scheme": "light", "viewport": {"width": 390, "height": 844}, "has_touch": True},
}
_OF_A_KIND = 2
_PATIENCE_MS = 180_000
"""Of what a browser waits for: the machine may be busy with other things."""
_TELL = """document.addEventListener('securitypolicyviolation',
    e => console.error('refused: ' + e.violatedDirective + ' ' + e.blockedURI + ' ' + e.sample))"""


@dataclass(frozen=True)
class Console:
    """One that is being served."""

    address: str
    link: str
    """Signs in, once."""
    place: Path


@contextmanager
def served(place: Path) -> Iterator[Console]:
    """Run `icd console` on a store while entered."""
    with Store.open(place) as store:
        FactKeeper(store).catch_up()
    main = "import sys; from icd.cli import main; sys.exit(main())"
    command = [sys.executable, "-c", main, "console", "--port", "0", "--store", str(place)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=place.parent)
    try:
        assert process.stdout is not None
        link = process.stdout.readline().strip()
        assert link, "icd console has ended"
        yield Console(link.partition("/ui/")[0], link, place)
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
    assert process.returncode == 0


@asynccontextmanager
async def chromium() -> AsyncIterator[Any]:
    """Start the browser; gives it."""
    from playwright.async_api import async_playwright

    async with async_playwright() as driver:
        # As root it has no sandbox, and in containers hardly any shared memory.
        browser = await driver.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        yield browser
        await browser.close()


@dataclass
class Visitor:
    """Somebody at the console."""

    page: Any
    """Playwright's."""
    console: Console
    problems: list[str] = field(default_factory=list)
    """What no page may do: run a script, ask for something elsewhere, fail."""

    async def go(self, path: str) -> None:
        """Load a page of the console."""
        answer = await self.page.goto(urljoin(self.console.address, f"/ui{path}"))
        assert answer.ok, f"{path}: {answer.status}"

    async def links(self) -> list[str]:
        """Return where this page leads to in the console: paths below /ui, without fragments."""
        found = await self.page.eval_on_selector_all("a[href]", "all => all.map(a => a.href)")
        own = [urldefrag(url).url for url in found if url.startswith(f"{self.console.address}/ui")]
        return list(dict.fromkeys(url.removeprefix(f"{self.console.address}/ui") or "/" for url in own))

    async def picture(self, file: Path) -> None:
        """Keep a picture of the whole page."""
        await self.page.screenshot(path=file, full_page=True)

    def check(self) -> None:
        """Fail if anything went wrong so far."""
        assert self.problems == []

    def _watch(self) -> None:
        self.page.on("dialog", lambda dialog: self._ask(dialog))
        self.page.on("pageerror", lambda error: self.problems.append(f"a script failed: {error}"))
        self.page.on("console", self._said)
        self.page.on("request", self._asked)

    def _ask(self, dialog: Any) -> None:
        self.problems.append(f"a dialog opened: {dialog.message}")
        self._closing = asyncio.ensure_future(dialog.dismiss())

    def _said(self, message: Any) -> None:
        if message.type == "error":
            self.problems.append(f"{self.page.url}: {message.text}")

    def _asked(self, request: Any) -> None:
        if not request.url.startswith(f"{self.console.address}/"):
            self.problems.append(f"{self.page.url} asked for {request.url}")


@asynccontextmanager
async def visitor(browser: Any, console: Console, look: str, state: Any = None) -> AsyncIterator[Visitor]:
    """Open a window; `state` are the cookies of somebody who is signed in."""
    context = await browser.new_context(**LOOKS[look], storage_state=state)
    context.set_default_timeout(_PATIENCE_MS)
    await context.add_init_script(_TELL)
    visit = Visitor(await context.new_page(), console)
    visit._watch()
    yield visit
    await context.close()


async def sign_in(visit: Visitor) -> Any:
    """Sign in by the printed link; return the cookies."""
    await visit.page.goto(visit.console.link)
    await visit.page.get_by_role("button", name="Sign in").click()
    await visit.page.wait_for_url("**/ui/")
    return await visit.page.context.storage_state()


async def accessibility(page: Any) -> list[str]:
    """Return what axe-core finds serious or critical on a page."""
    axe = resources.files("axe_playwright_python").joinpath("axe.min.js")
    await page.evaluate(axe.read_text(encoding="utf-8"))
    found = await page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    return [
        f"{rule['id']} ({rule['impact']}): {node['html'][:200]} {node['failureSummary'][:300]}"
        for rule in found["violations"]
        if rule["impact"] in ("serious", "critical")
        for node in rule["nodes"][:3]
    ]


async def tour(visit: Visitor) -> list[str]:
    """Follow the links from the first page on; return the pages found: two of each kind at most."""
    queue, seen, found = ["/"], {"/"}, []
    kinds: Counter[str] = Counter()
    while queue:
        path = queue.pop(0)
        if kinds[kind(path)] == _OF_A_KIND:
            continue
        kinds[kind(path)] += 1
        await visit.go(path)
        found.append(path)
        new = [link for link in await visit.links() if link not in seen]
        seen.update(new)
        queue += new
    return found


def kind(path: str) -> str:
    """Return what kind of page a path leads to: its section, whether it is of one thing, and what is asked of it."""
    parts = urlsplit(path)
    section, _, one = parts.path.strip("/").partition("/")
    asked = "&".join(sorted({name for name, value in parse_qsl(parts.query) if value}))
    return f"{section or 'overview'}{' one' if one else ''}{f' {asked}' if asked else ''}"
