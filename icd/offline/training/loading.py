"""Loading what is trained: checkpoints and GGUF files, on the device and in the precision of the configuration."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, BitsAndBytesConfig
from transformers.utils import logging

from icd.errors import ConfigurationError, ModelFilesError
from icd.models import resolve
from icd.offline.training.config import LoraSettings, TrainingConfig


class Loaded(NamedTuple):
    """A model with its tokenizer, and where they were read."""

    model: Any
    tokenizer: Any
    folder: Path


def on_cuda(config: TrainingConfig) -> bool:
    """Say whether a run uses CUDA. Raises `ConfigurationError` where it must and there is none."""
    if config.device == "cuda" and not torch.cuda.is_available():
        raise ConfigurationError("device = 'cuda', but PyTorch finds no CUDA device here")
    found = config.device != "cpu" and torch.cuda.is_available()
    if config.load_4bit and not found:
        raise ConfigurationError("load_4bit needs CUDA (bitsandbytes), and PyTorch finds no such device here")
    return found


def in_bf16(config: TrainingConfig, cuda: bool) -> bool:
    """Say whether a run computes in bf16."""
    return config.precision == "bf16" or (config.precision == "auto" and cuda)


def load_student(config: TrainingConfig, say: Callable[[str], None]) -> Loaded:
    """Load the model that is trained. Raises as `checkpoint` and `on_cuda`."""
    cuda = on_cuda(config)
    options: dict[str, Any] = {"dtype": torch.bfloat16 if in_bf16(config, cuda) and cuda else torch.float32}
    if config.load_4bit:
        options["quantization_config"] = quantisation()
    return load(checkpoint(config.model, say), options)


def load_teacher(config: TrainingConfig, say: Callable[[str], None]) -> Loaded:
    """Load the white-box teacher; its weights are not trained. Raises as `load_student`."""
    if config.teacher is None:
        raise ConfigurationError(
            f"{config.objective} compares whole distributions with the teacher's: give teacher = the folder or GGUF "
            "file of a model whose weights are here. For a teacher behind an endpoint take sft, or topk where it "
            "returns log-probabilities"
        )
    cuda = on_cuda(config)
    loaded = load(
        checkpoint(config.teacher, say), {"dtype": torch.bfloat16 if in_bf16(config, cuda) else torch.float32}
    )
    loaded.model.requires_grad_(False)
    return loaded._replace(model=loaded.model.eval())


def quantisation() -> BitsAndBytesConfig:
    """Return how a base is held in 4 bits: NF4, computed in bf16 (QLoRA, arXiv 2305.14314)."""
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.bfloat16,
    )


def adapter(settings: LoraSettings) -> Any:
    """Return PEFT's configuration of the adapter."""
    from peft import LoraConfig

    return LoraConfig(
        r=settings.r,
        lora_alpha=settings.alpha,
        lora_dropout=settings.dropout,
        target_modules=list(settings.targets) or "all-linear",
        task_type="CAUSAL_LM",
    )


def load(folder: Path, options: dict[str, Any]) -> Loaded:
    """Load a checkpoint folder; nothing is downloaded. Raises `ModelFilesError` where it cannot be read."""
    logging.disable_progress_bar()
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        model = AutoModelForCausalLM.from_pretrained(folder, local_files_only=True, **options)
    except (OSError, ValueError, KeyError, ImportError) as error:
        raise ModelFilesError(f"the checkpoint in {folder} cannot be loaded: {error}") from error
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    return Loaded(model, tokenizer, folder)


def checkpoint(model: str, say: Callable[[str], None]) -> Path:
    """Return the folder of a model: as it is; or, of a GGUF file, its weights dequantised, once, beside it.

    Raises:
        ModelFilesError: it has not been fetched, or cannot be read.
        ConfigurationError: neither a folder, a file nor a name of the catalogue.
    """
    folder = Path(model).expanduser()
    if (folder / "config.json").is_file():
        return folder
    if folder.is_dir():
        raise ModelFilesError(f"no checkpoint in {str(folder)!r}: it needs at least a config.json")
    file = resolve(model)
    made = file.with_suffix(".checkpoint")
    if not (made / "config.json").is_file():
        say(f"dequantising {file.name} into {made}, once")
        _dequantise(file, made)
    return made


def _dequantise(file: Path, made: Path) -> None:
    logging.disable_progress_bar()
    try:
        tokenizer = AutoTokenizer.from_pretrained(file.parent, gguf_file=file.name, local_files_only=True)
        model = AutoModelForCausalLM.from_pretrained(
            file.parent, gguf_file=file.name, local_files_only=True, dtype=torch.float32
        )
    except (OSError, ValueError, KeyError, ImportError) as error:
        raise ModelFilesError(f"{file} cannot be dequantised: {error}") from error
    # The weights are whole now: what was said of their quantisation would be believed on loading.
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config
    model.hf_quantizer = None
    model.is_quantized = False
    with TemporaryDirectory(dir=made.parent, prefix=f"{made.name}.", ignore_cleanup_errors=True) as part:
        model.save_pretrained(part)
        tokenizer.save_pretrained(part)
        # Another process of the same run may be there first: then it stays.
        if not made.exists():
            with suppress(OSError):
                Path(part).rename(made)
