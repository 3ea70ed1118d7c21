"""A store in which everything happened, the console on it, and the browser."""

from __future__ import annotations

import shutil
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from browsing import CHROMIUM, PICTURES, Console, chromium, served
from recorded_run import Play, record

from icd_memory.store import Store

sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))
from console_seed import Seed, grow


@pytest.fixture(scope="session")
def grown(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a store of real episodes, strategies and students; to be copied, not changed."""
    folder = tmp_path_factory.mktemp("grown")
    grow(folder / "icd.db", Seed(collected=8, compared=2, conversations=6, max_steps=12))
    with Store.open(folder / "icd.db") as store:
        record(store, {"student": [Play(False)] * 2, "cascade": [Play(True, "st")] * 2}, "household-test-2")
    return folder


@pytest.fixture(scope="module")
def console(grown: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Console]:
    """The console on a copy of that store."""
    folder = tmp_path_factory.mktemp("console") / "store"
    shutil.copytree(grown, folder)
    with served(folder / "icd.db") as found:
        yield found


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where screenshots are kept: ICD_SCREENSHOTS, or pytest's folder."""
    folder = Path(PICTURES) if PICTURES else tmp_path_factory.mktemp("screenshots")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def browser() -> AsyncIterator[Any]:
    """Chromium."""
    if CHROMIUM is None:
        pytest.skip("there is no Chromium: install `chromium`, or name one in ICD_CHROMIUM")
    async with chromium() as found:
        yield found
