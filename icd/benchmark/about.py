"""What a run was made with, for its report: versions, commit, machine, command, model files."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

import icd
from icd_memory.rows import JsonObject

_PARTS = ("icd-runtime", "xllamacpp", "onnxruntime", "aiohttp", "transformers", "torch", "chromadb", "numpy")


def about(command: str, model_files: Mapping[str, Mapping[str, str]] | None = None) -> JsonObject:
    """Return what is to be told about this process; `model_files` as `icd.assembly.model_files` gives them."""
    return {
        "command": command,
        "model_files": {seat: dict(file) for seat, file in (model_files or {}).items()},
        "started": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        "python": platform.python_version(),
        "versions": {part: found for part in _PARTS if (found := version_of(part))},
        "commit": commit(Path(icd.__file__).parent.parent),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, {platform.system()}",
    }


def version_of(distribution: str) -> str:
    """Return an installed distribution's version; empty if it is not installed."""
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return ""


def commit(checkout: Path) -> str:
    """Return the commit of a checkout, with ``-dirty`` where files differ from it; empty if it is none."""
    if not (checkout / ".git").exists():
        return ""
    command = ["git", "-C", str(checkout), "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""
