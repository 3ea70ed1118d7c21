"""The same training run on a Ray cluster: Ray Train starts the processes, and starts them again where one is lost.

The data, the model's files and the run's folder have to be where all machines see them.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import ray
from ray.train import FailureConfig, RunConfig, ScalingConfig
from ray.train.torch import TorchConfig, TorchTrainer

from icd.errors import ClusterError, ConfigurationError, IcdError
from icd.offline.training.arguments import PATIENCE_S
from icd.offline.training.config import TrainingConfig, load_config
from icd.offline.training.run import TrainingResult, forget, train
from icd.offline.training.validation import evaluator_for

_RAY = "ray"
"""What Ray Train keeps for itself, in the run's folder."""
_RESTARTS = 3
"""How often a lost machine may cost no more than the steps since the last checkpoint."""


def train_on_ray(config: TrainingConfig, workers: int, *, fresh: bool = False) -> TrainingResult:
    """Train a student in so many processes of the cluster that this process has joined, a GPU each where there are any.

    Batches add up: with two processes a step takes twice as many rows. Otherwise as `icd.offline.training.run.train`.

    Raises:
        ClusterError: processes were lost too often, or failed.
    """
    if fresh:
        forget(config)
    config.output.mkdir(parents=True, exist_ok=True)
    gpu = config.device != "cpu" and ray.cluster_resources().get("GPU", 0) >= workers
    given = config.model_dump(mode="json")
    for name in ("output", "data", "model", "teacher"):
        # The processes have another working directory.
        if given[name] is not None and Path(given[name]).exists():
            given[name] = str(Path(given[name]).resolve())
    trainer = TorchTrainer(
        _work,
        train_loop_config=given,
        scaling_config=ScalingConfig(num_workers=workers, use_gpu=gpu),
        torch_config=TorchConfig(backend="nccl" if gpu else "gloo", timeout_s=PATIENCE_S),
        run_config=RunConfig(
            name=_RAY, storage_path=given["output"], failure_config=FailureConfig(max_failures=_RESTARTS)
        ),
    )
    try:
        told: dict[str, Any] = trainer.fit().return_value
    except Exception as error:
        *_, last = repr(error), *str(error).strip().splitlines()
        raise ClusterError(f"the training on Ray failed: {last[-300:]}; the same command goes on") from error
    if "refused" in told:
        raise ConfigurationError(told["refused"])
    return TrainingResult(**told)


def _work(given: dict[str, Any]) -> dict[str, Any]:
    """Train, as one of the processes; return the result, or why it is refused."""
    config = load_config(None, given)
    if not config.output.is_dir():
        # Raised, not told: a machine that is not like the others may be replaced.
        raise ConfigurationError(
            f"{config.output} is not there on machine {ray.util.get_node_ip_address()}: all machines have to share "
            "the folders of the output, the data and the model"
        )
    try:
        return asdict(train(config, evaluator=evaluator_for(config)))
    except IcdError as error:
        return {"refused": str(error)}  # Raised, it would be tried again.
