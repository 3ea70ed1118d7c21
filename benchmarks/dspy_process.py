"""The process of the DSPy program, and the model that it asks: the student's file, served on loopback."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import IO, Any

from icd.config import Settings
from icd.models import resolve
from icd_memory.embedding import CachedEmbedder

__all__ = ["Program", "ProgramFailedError", "serve_student"]


class ProgramFailedError(Exception):
    """The program could not decide; the message says why."""


class Program:
    """The DSPy program's process."""

    def __init__(self, python: Path, settings: Path, embedder: CachedEmbedder) -> None:
        self._embedder = embedder
        self._said: IO[str] = settings.with_suffix(".log").open("w", encoding="utf-8")
        script = Path(__file__).with_name("dspy_program.py")
        self._process = subprocess.Popen(
            [str(python), str(script), str(settings)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._said, text=True,
            env={"PATH": "/usr/bin:/bin", "HOME": str(settings.parent), "LITELLM_LOCAL_MODEL_COST_MAP": "True",
                 "LITELLM_LOG": "ERROR", "OMP_NUM_THREADS": "1"},
        )  # fmt: skip
        self._answer()

    def decide(self, asked: dict[str, Any]) -> dict[str, Any]:
        """Return action, reasoning and usage of a step.

        Raises:
            ProgramFailedError: the model could not be asked.
        """
        self._tell(asked)
        answer = self._answer()
        if "failed" in answer:
            raise ProgramFailedError(answer["failed"])
        return answer

    def close(self) -> None:
        """End the process."""
        self._process.communicate()
        self._said.close()

    def _tell(self, record: dict[str, Any]) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(record) + "\n")
        self._process.stdin.flush()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        while True:
            line = self._process.stdout.readline()
            if not line:
                raise ProgramFailedError(f"the program ended; see {self._said.name}")
            answer: dict[str, Any] = json.loads(line)
            if "embed" not in answer:
                return answer
            self._tell({"vectors": self._embedder.embed(answer["embed"], keep=False).tolist()})


def serve_student(settings: Settings) -> Any:
    """Return llama.cpp's server with the student's model; it serves as long as it is held."""
    import xllamacpp

    student = settings.student
    params = xllamacpp.CommonParams()
    params.model.path = str(resolve(student.path or student.model or student.effective_model))
    params.n_ctx = student.effective_context
    params.n_parallel = 1
    params.warmup = False
    params.verbosity = -1
    params.cache_ram_mib = 256
    if student.threads:
        params.cpuparams.n_threads = params.cpuparams_batch.n_threads = student.threads
    return xllamacpp.Server(params)
