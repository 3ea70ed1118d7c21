"""A training run's configuration: read, checked, and turned into TRL's arguments, for CUDA too. Loads nothing heavy."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from icd.errors import ConfigurationError
from icd.offline.training.arguments import arguments
from icd.offline.training.config import load_config
from icd.offline.training.monitor import Validation, collapsed, judge
from icd.offline.training.rows import Conversation, Pair, read_rows

EXAMPLES = Path(__file__).parents[2] / "examples/offline"
GIVEN: dict[str, Any] = {"model": "smollm2-135m", "data": "data", "output": "out"}
GPU: dict[str, Any] = {
    **GIVEN,
    "device": "cuda",
    "precision": "bf16",
    "packing": True,
    "gradient_checkpointing": True,
    "load_4bit": True,
    "accumulate": 4,
}


def test_arguments_win_over_the_file(tmp_path: Path) -> None:
    file = tmp_path / "run.toml"
    file.write_text('model = "a"\ndata = "d"\noutput = "o"\nsteps = 3\n[lora]\nr = 4\nalpha = 8\n')
    config = load_config(file, {"steps": 5, "lora": {"r": 2}})
    assert (config.model, config.steps, config.lora.r, config.lora.alpha) == ("a", 5, 2, 8)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"learning_rat": 1}, "did you mean 'learning_rate'"),
        ({"load_4bit": True, "tuning": "full"}, "load_4bit needs tuning"),
        ({"load_4bit": True, "device": "cpu"}, "load_4bit needs CUDA"),
        ({"packing": True, "objective": "dpo"}, "packing is for sft"),
        ({"objective": "magic"}, "objective"),
        ({"onpolicy": {"t_start": 0.9, "t_end": 0.5}}, "t_start is above"),
    ],
)
def test_what_does_not_fit_is_named(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        load_config(None, {**GIVEN, **wrong})


def test_rates_are_those_of_the_objective() -> None:
    rates = [
        load_config(None, {**GIVEN, "objective": objective, "tuning": tuning}).rate
        for objective, tuning in (("sft", "lora"), ("sft", "full"), ("redi", "lora"), ("redi", "full"))
    ]
    assert rates == pytest.approx([2e-4, 2e-5, 1e-5, 1e-6])


@pytest.mark.filterwarnings("ignore:.*gradient_checkpointing.*:FutureWarning")
def test_the_gpu_configuration_is_well_formed() -> None:
    """TRL, PEFT and bitsandbytes' own configurations take it; only the presence of CUDA cannot be checked here."""
    pytest.importorskip("trl", reason="the extra `train` is not installed")
    from transformers.utils import is_bitsandbytes_available
    from trl import SFTConfig

    from icd.offline.training.loading import adapter, quantisation

    config = load_config(None, GPU)
    made = arguments(config, cuda=True, bf16=True)
    assert made["use_cpu"] is False
    trl = SFTConfig(**{**made, "use_cpu": True}, packing=config.packing)
    assert (trl.bf16, trl.packing, trl.gradient_checkpointing) == (True, True, True)
    assert (trl.gradient_accumulation_steps, trl.learning_rate, trl.max_length) == (4, 2e-4, 1024)
    assert adapter(config.lora).target_modules == "all-linear"
    if is_bitsandbytes_available():
        assert quantisation().load_in_4bit


def test_the_launch_configuration_is_well_formed() -> None:
    """accelerate takes it; four GPUs cannot be had here."""
    args = pytest.importorskip(
        "accelerate.commands.config.config_args", reason="the extra `train` is not installed"
    )
    config = args.load_config_from_file(str(EXAMPLES / "accelerate.yaml"))
    assert (config.distributed_type.value, config.num_processes) == ("MULTI_GPU", 4)
    assert config.mixed_precision == "bf16"
    assert not config.use_cpu


def test_the_example_is_a_configuration_on_a_gpu_too() -> None:
    example = EXAMPLES / "household-smollm2.toml"
    config = load_config(example, {})
    assert (config.seed, config.lora.r, config.batch_size * config.accumulate) == (0, 16, 8)
    wide = load_config(example, {"batch_size": 8, "accumulate": 1, "packing": True, "load_4bit": True})
    made = arguments(wide, cuda=True, bf16=True)
    assert (made["bf16"], made["use_cpu"], made["per_device_train_batch_size"]) == (True, False, 8)


def test_cuda_that_is_not_there_is_refused() -> None:
    torch = pytest.importorskip("torch")
    pytest.importorskip("transformers")
    from icd.offline.training.loading import on_cuda

    if torch.cuda.is_available():
        pytest.skip("this machine has CUDA")
    with pytest.raises(ConfigurationError, match="no CUDA device"):
        on_cuda(load_config(None, {**GIVEN, "device": "cuda"}))
    with pytest.raises(ConfigurationError, match="load_4bit needs CUDA"):
        on_cuda(load_config(None, {**GIVEN, "load_4bit": True}))


def test_rows_are_read_as_conversations_or_pairs(tmp_path: Path) -> None:
    turn = {"role": "assistant", "content": "go"}
    ask = [{"role": "user", "content": "?"}]
    lines = [
        {"messages": [*ask, turn], "id": "1", "won": True},
        {"messages": ask, "chosen": turn, "rejected": {**turn, "content": "look"}},
        {"prompt": ask, "chosen": [turn], "rejected": [turn]},
    ]
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    first, second, third = read_rows(path)
    assert isinstance(first, Conversation)
    assert isinstance(second, Pair)
    assert isinstance(third, Pair)
    assert second.worse.messages[-1].text == "look"
    assert [one.learnt for one in second.better.messages] == [False, True]


@pytest.mark.parametrize(
    "text", ["", '{"messages": []}\n', "no json\n", '{"messages": [{"role": "poet"}]}\n']
)
def test_a_file_without_rows_is_refused(text: str, tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(text)
    with pytest.raises(ConfigurationError, match=r"rows\.jsonl"):
        read_rows(path)


def history(*pairs: tuple[float, int]) -> list[Validation]:
    return [Validation(10 * (i + 1), imitation, won, 8) for i, (imitation, won) in enumerate(pairs)]


@pytest.mark.parametrize(
    ("seen", "action", "said"),
    [
        (history((2.0, 3)), "go on", ""),
        (history((2.0, 3), (1.5, 5), (1.0, 6)), "go on", ""),
        (history((2.0, 5), (1.0, 3)), "stop", "success fell"),
        (history((2.0, 5), (1.5, 4), (1.2, 5)), "go on", ""),
        (history((2.0, 5), (1.5, 4), (1.2, 5), (1.0, 5)), "stop", "success stalled"),
        (history((1.0, 5), (1.2, 3), (1.4, 3), (1.5, 3)), "go on", ""),
        (history((2.0, 8), (1.5, 8), (1.2, 8), (1.0, 8)), "go on", ""),
    ],
    ids=["first", "both better", "falls", "not yet", "stalls", "imitates no better", "all won"],
)
def test_the_monitor_stops_on_success_not_on_imitation(
    seen: list[Validation], action: str, said: str
) -> None:
    verdict = judge(seen, patience=3, fall=0.25)
    assert verdict.action == action
    assert said in verdict.reason
    assert verdict.best.won == max(one.won for one in seen)


def test_winners_that_lose_probability_are_a_collapse() -> None:
    assert not collapsed([-1.0], 0.5)
    assert not collapsed([-1.0, -0.5, -1.4], 0.5)
    assert collapsed([-1.0, -0.5, -1.6], 0.5)
