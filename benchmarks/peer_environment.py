"""A virtual environment of its own for a peer: what it brings never mixes with ours."""

from __future__ import annotations

import subprocess
import venv
from collections.abc import Sequence
from pathlib import Path

__all__ = ["CACHE", "PeerMissingError", "environment_python"]

CACHE = Path("~/.cache/icd-benchmarks").expanduser()
"""Where the environments lie, and what else is slow to make."""


class PeerMissingError(Exception):
    """A peer cannot be installed; the message says why."""


def environment_python(home: Path, requirements: Sequence[str], install: bool = True) -> Path:
    """Return the Python of the virtual environment in `home`, made unless it is there with these requirements.

    Raises:
        PeerMissingError: it is not there and cannot be made.
    """
    python, mark, wanted = home / "bin" / "python", home / "installed.txt", "\n".join(requirements)
    if mark.exists() and mark.read_text() == wanted:
        return python
    if not install:
        raise PeerMissingError("not installed")
    venv.create(home, with_pip=True, clear=True)
    pip = [str(python), "-m", "pip", "install", "--quiet", "--only-binary", ":all:"]
    done = subprocess.run([*pip, *requirements], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        last = done.stderr.strip().splitlines()[-1:] or ["pip failed"]
        raise PeerMissingError(f"{' '.join(requirements)} does not install: {last[0][:200]}")
    mark.write_text(wanted)
    return python
