"""`icd offline train` and `icd offline export` as commands."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path

import pytest

from icd.cli.app import run
from icd.cli.offline_train import _nested
from icd.errors import ConfigurationError

pytestmark = pytest.mark.filterwarnings("default")


def test_any_setting_can_be_given() -> None:
    given = _nested(["lora.r=8", "style=chat", 'lora.targets=["q_proj"]', "packing=true", "redi.alpha=0.5"])
    assert given == {
        "lora": {"r": 8, "targets": ["q_proj"]},
        "style": "chat",
        "packing": True,
        "redi": {"alpha": 0.5},
    }
    with pytest.raises(ConfigurationError, match="key=value"):
        _nested(["lora"])


@pytest.mark.skipif(find_spec("trl") is not None, reason="the extra `train` is installed")
def test_without_its_extra_it_says_what_to_install(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["--model", "m", "--data", str(tmp_path), "--output", str(tmp_path / "run")]
    assert run(["offline", "train", *given]) == 2
    assert "icd-runtime[train]" in " ".join(capsys.readouterr().err.split())
    assert run(["offline", "export", str(tmp_path), str(tmp_path / "to")]) == 2


def test_a_run_then_its_exports(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from tiny_students import example_rows, write_rows, write_student

    student = write_student(tmp_path / "student")
    write_rows(tmp_path / "rows.jsonl", example_rows())
    given = [
        "--model",
        str(student),
        "--data",
        str(tmp_path / "rows.jsonl"),
        "--output",
        str(tmp_path / "run"),
    ]
    given += ["--steps", "2", "--set", "device=cpu", "--set", "batch_size=2", "--set", "learning_rate=0.01"]
    assert run(["offline", "train", *given, "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["steps"] == 2
    assert result["loss"] < result["first_loss"]
    assert result["tuning"] == "lora"
    assert run(["offline", "export", str(tmp_path / "run"), str(tmp_path / "merged")]) == 0
    assert (
        run(["offline", "export", str(tmp_path / "run"), str(tmp_path / "adapter"), "--as", "adapter"]) == 0
    )
    assert (tmp_path / "adapter/adapter_config.json").is_file()
    same_answers(tmp_path / "merged", student, tmp_path / "adapter")
    assert run(["offline", "export", str(tmp_path / "run"), str(tmp_path / "s.gguf"), "--as", "gguf"]) == 2
    assert "convert_hf_to_gguf.py" in " ".join(capsys.readouterr().err.split())
    assert run(["offline", "export", str(student), str(tmp_path / "x")]) == 2


def same_answers(merged: Path, base: Path, adapter: Path) -> None:
    """The merged weights give what the base with the adapter gives, and not what the base gives."""
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    ids = torch.tensor([[5, 6, 7, 8]])
    with torch.inference_mode():
        whole = AutoModelForCausalLM.from_pretrained(merged)(ids).logits
        bare = AutoModelForCausalLM.from_pretrained(base)
        before = bare(ids).logits
        both = PeftModel.from_pretrained(bare, str(adapter))(ids).logits
    assert torch.allclose(whole, both, atol=1e-5)
    assert not torch.allclose(whole, before, atol=1e-3)
