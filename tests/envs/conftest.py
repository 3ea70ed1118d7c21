"""The published games, where this machine has them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from icd_envs.game_library import PACK_VARIABLE, GameLibrary

# Read when tests are collected: a fixture of each test hides the settings of the shell.
_PACK = os.environ.get(PACK_VARIABLE, "")
_REQUIRED = os.environ.get("ICD_REQUIRE_ALFWORLD", "") == "1"


@pytest.fixture(scope="session")
def pack() -> Path:
    """The folder with the published games."""
    if _PACK and Path(_PACK).is_dir():
        return Path(_PACK)
    why = f"{PACK_VARIABLE} names no folder with the published ALFWorld games"
    if _REQUIRED:
        pytest.fail(why + ", and ICD_REQUIRE_ALFWORLD=1 asks for them")
    pytest.skip(why)


@pytest.fixture(scope="session")
def library(pack: Path) -> GameLibrary:
    """The published games, opened once: reading a large split takes seconds."""
    return GameLibrary.at([pack])
