"""From a section of the settings to a backend, without loading anything."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from icd.backends import make_backend
from icd.backends.expert import ExpertBackend
from icd.backends.openai_compatible import OpenAICompatibleBackend
from icd.config import BackendSettings, TeacherSettings
from icd.errors import ConfigurationError, ModelFilesError


def test_an_endpoint() -> None:
    section = BackendSettings(
        kind="openai", model="m", base_url="http://127.0.0.1:1/v1", guided="json", context=1000
    )
    backend = make_backend(section)
    assert isinstance(backend, OpenAICompatibleBackend)
    assert (backend.model, backend.capabilities.context_tokens) == ("m", 1000)
    assert backend.capabilities.constrained


def test_the_expert_counts_with_the_tokenizer_it_is_given() -> None:
    backend = make_backend(TeacherSettings(), count_tokens=lambda text: 42)
    assert isinstance(backend, ExpertBackend)
    assert backend.count_tokens("x") == 42


def test_a_local_model_by_its_path(tmp_path: Path) -> None:
    path = tmp_path / "my-model.gguf"
    path.write_bytes(b"GGUF")
    for section in (BackendSettings(path=str(path)), BackendSettings(model=str(path))):
        backend = make_backend(section)
        assert backend.model == section.effective_model == "my-model"
        assert backend.capabilities.context_tokens == 4096


def test_an_adapter_is_for_a_local_model_and_has_to_be_there(tmp_path: Path) -> None:
    base, adapter = tmp_path / "base.gguf", tmp_path / "adapter.gguf"
    base.write_bytes(b"GGUF")
    section = BackendSettings(model="tuned", path=str(base), adapter=str(adapter))
    with pytest.raises(ModelFilesError, match="icd offline export"):
        make_backend(section)
    adapter.write_bytes(b"GGUF")
    assert make_backend(section).model == "tuned"
    with pytest.raises(ConfigurationError, match="adapter is for kind = 'local'"):
        make_backend(BackendSettings(kind="openai", model="m", adapter=str(adapter)))


def test_missing_files_are_found_at_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ICD_MODELS_DIR", str(tmp_path))
    with pytest.raises(ModelFilesError, match="icd models pull smollm2-135m"):
        make_backend(BackendSettings())
    with pytest.raises(ConfigurationError, match="catalogue"):
        make_backend(BackendSettings(model="nothing-of-the-kind"))
    with pytest.raises(ModelFilesError, match="no checkpoint"):
        make_backend(BackendSettings(kind="transformers", path=str(tmp_path)))


def test_nothing_heavy_is_loaded_by_making_one() -> None:
    import subprocess

    code = (
        "import sys; from icd.backends import make_backend; from icd.config import BackendSettings as S;"
        "make_backend(S(kind='openai', model='m', base_url='http://127.0.0.1:1/v1'));"
        "print({'openai', 'torch', 'xllamacpp', 'numpy'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
