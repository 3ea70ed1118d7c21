"""A trained student for serving: whole weights, an adapter, or GGUF files of either.

GGUF files are written by llama.cpp's own converters. They come in the source package of ``llama-cpp-python`` (folder
``vendor/llama.cpp``) and need the package ``gguf``; give their folder.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal, get_args

from icd.errors import ConfigurationError, ModelFilesError
from icd.offline.training.config import TrainingConfig
from icd.offline.training.loading import checkpoint, load
from icd.offline.training.run import RESULT, RUN, STUDENT

Kind = Literal["merged", "adapter", "gguf", "adapter-gguf"]

_TOLD_LINES = 8
_CONVERTER = """
import pathlib, runpy, sys
del sys.argv[0]
sys.path.insert(0, str(pathlib.Path(sys.argv[0]).parent))
import gguf
gguf.LazyChunkedTensor = getattr(gguf, "LazyChunkedTensor", ())
runpy.run_path(sys.argv[0], run_name="__main__")
"""
"""Runs a converter. Those of llama-cpp-python 0.3.36 ask whether a tensor is of a kind that gguf 0.19.0, the latest one
of the registry, does not have yet: there none is."""


def export(
    run: Path,
    to: Path,
    kind: str,
    *,
    converter: Path | None = None,
    say: Callable[[str], None] = lambda text: None,
) -> Path:
    """Write the student of a run and return where.

    Args:
        run: the folder of a finished training run.
        to: a folder; a file for the GGUF kinds.
        kind: see `Kind`.
        converter: the folder of llama.cpp's converters, for the GGUF kinds.
        say: is told what happens.

    Raises:
        ConfigurationError: the run is not finished, has no adapter, or there is no converter.
        ModelFilesError: the converter failed.
    """
    if kind not in get_args(Kind):
        raise ConfigurationError(f"no kind {kind!r}: there are {', '.join(get_args(Kind))}")
    config, student = _finished(run)
    if kind.startswith("adapter") and config.tuning != "lora":
        raise ConfigurationError(f"{run} trained the whole model: it has no adapter; take merged or gguf")
    to.parent.mkdir(parents=True, exist_ok=True)
    if kind == "adapter":
        shutil.copytree(student, to, dirs_exist_ok=True)
    elif kind == "merged":
        _merged(config, student, to, say)
    elif kind == "adapter-gguf":
        base = checkpoint(config.model, say)
        _convert("convert_lora_to_gguf.py", converter, ["--base", str(base), str(student)], to)
    else:
        with TemporaryDirectory(dir=to.parent) as folder:
            whole = _merged(config, student, Path(folder) / "merged", say)
            _convert("convert_hf_to_gguf.py", converter, [str(whole)], to)
    return to


def _finished(run: Path) -> tuple[TrainingConfig, Path]:
    if not (run / RESULT).is_file():
        raise ConfigurationError(f"no finished training run in {run}: `icd offline train` makes one")
    settings = json.loads((run / RUN).read_text("utf-8"))["config"]
    return TrainingConfig.model_validate(settings), run / STUDENT


def _merged(config: TrainingConfig, student: Path, to: Path, say: Callable[[str], None]) -> Path:
    """Write whole weights: those of the base with the adapter added, in the base's own precision."""
    if config.tuning == "full":
        shutil.copytree(student, to, dirs_exist_ok=True)
        return to
    from peft import PeftModel

    options: dict[str, Any] = {"dtype": "auto"}
    base = load(checkpoint(config.model, say), options)
    PeftModel.from_pretrained(base.model, str(student)).merge_and_unload().save_pretrained(to)
    base.tokenizer.save_pretrained(to)
    return to


def _convert(script: str, converter: Path | None, arguments: list[str], to: Path) -> None:
    if converter is None or not (converter / script).is_file():
        raise ConfigurationError(
            f"GGUF files are written by llama.cpp's {script}: get it with `pip download --no-deps --no-binary :all: "
            "llama-cpp-python`, unpack vendor/llama.cpp, and give that folder as --converter"
        )
    options = [*arguments, "--outfile", str(to), "--outtype", "q8_0"]
    command = [sys.executable, "-c", _CONVERTER, str(converter / script), *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0 or not to.is_file():
        told = "\n".join((done.stderr or done.stdout).strip().splitlines()[-_TOLD_LINES:])
        raise ModelFilesError(f"{script} failed:\n{told}")
