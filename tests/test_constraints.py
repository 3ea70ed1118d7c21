"""The lock of tested versions names every direct dependency, once, at a version that its range allows."""

from __future__ import annotations

import tomllib
from collections import Counter
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
NOT_LOCKED = {"icd-runtime", "alfworld", "sentence-transformers"}
"""Ourselves; what is tested in an environment of its own; what was not tested."""


def required() -> list[Requirement]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lines = [
        *project["dependencies"],
        *(line for extra in project["optional-dependencies"].values() for line in extra),
    ]
    return [Requirement(line) for line in lines]


def locked() -> list[Requirement]:
    lines = (ROOT / "constraints" / "tested.txt").read_text().splitlines()
    return [Requirement(line) for line in lines if line and not line.startswith("#")]


def test_each_direct_dependency_is_locked_within_its_range() -> None:
    versions = {canonicalize_name(one.name): next(iter(one.specifier)).version for one in locked()}
    missing = {
        str(one)
        for one in required()
        if (name := canonicalize_name(one.name)) not in NOT_LOCKED
        and not (name in versions and one.specifier.contains(versions[name], prereleases=True))
    }
    assert not missing


def test_nothing_is_locked_twice_or_loosely() -> None:
    found = locked()
    assert all(len(one.specifier) == 1 and str(one.specifier).startswith("==") for one in found)
    assert max(Counter((canonicalize_name(one.name), str(one.marker)) for one in found).values()) == 1
