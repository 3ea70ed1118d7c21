"""Shared by all tests: no connection leaves this machine, and no setting of the developer's shell is seen."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

from icd.backends.network import allow_only_loopback

allow_only_loopback()

# The first example of a property pays for imports, and a busy machine is no failure.
settings.register_profile("icd", deadline=None)
settings.load_profile("icd")

_TEST_SWITCHES = {"ICD_ALLOW_NETWORK", "ICD_ALFWORLD_PACK", "ICD_TEST_POSTGRES", "ICD_MODELS_DIR"}


@pytest.fixture(autouse=True)
def _no_inherited_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("ICD_") and name not in _TEST_SWITCHES:
            monkeypatch.delenv(name)


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current folder, and no configuration of the user's own."""
    folder = tmp_path / "workspace"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return folder
