"""A store in which everything happened, and the console on copies of it."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from visiting import Operator, connect, copy_store, open_site

from icd.console.site import Site
from icd_memory.store import Store

ROOT = Path(__file__).parents[3]
sys.path += [str(ROOT / "benchmarks"), str(ROOT / "tests/browser")]


@pytest.fixture(scope="session")
def grown(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a store of real episodes; to be copied, not changed."""
    from console_seed import Seed, grow

    folder = tmp_path_factory.mktemp("grown")
    grow(folder / "icd.db", Seed(collected=4, compared=1, conversations=4, max_steps=8))
    return folder


@pytest.fixture
def store(grown: Path, tmp_path: Path) -> Iterator[Store]:
    with copy_store(grown, tmp_path / "store") as opened:
        yield opened


@pytest.fixture
def site(store: Store) -> Iterator[Site]:
    made = open_site(store)
    yield made
    made.close()


@pytest.fixture
async def operator(site: Site) -> AsyncIterator[Operator]:
    """Signed in by the link."""
    assert site.link is not None
    async with connect(site) as client:
        found = Operator(client)
        assert (await found.sign_in(link=site.link.token)).status_code == 303
        yield found
