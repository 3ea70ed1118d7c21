"""The training of a cycle: `icd.offline.training`, its result as whole weights, for transformers and vLLM."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from icd.errors import MissingExtraError
from icd.offline.cycle import Trained, TrainStep
from icd.offline.training.config import TrainingConfig, load_config

__all__ = ["training_step"]


def training_step(
    file: Path | None, arguments: Mapping[str, Any], say: Callable[[str], None] = lambda text: None
) -> TrainStep:
    """Return the step that trains by a configuration file, `arguments` winning over it.

    Raises:
        ConfigurationError: the configuration is wrong.
    """

    def config(data: Path, output: Path) -> TrainingConfig:
        return load_config(file, {**arguments, "data": data, "output": output})

    def train(data: Path, folder: Path) -> Trained:
        wanted = config(data, folder / "training")
        try:
            from icd.offline.training.export import export
            from icd.offline.training.run import train as run
            from icd.offline.training.validation import evaluator_for
        except ImportError as error:
            raise MissingExtraError("training", "train") from error
        result = run(wanted, evaluator=evaluator_for(wanted), say=say)
        weights = export(wanted.output, folder / "student", "merged", say=say)
        name = f"{Path(wanted.model).stem}-{folder.name}"
        backend = {
            "kind": "transformers",
            "path": str(weights.resolve()),
            "model": name,
            "style": wanted.style,
        }
        metrics = {"loss": result.loss, "steps": result.steps, "stopped": result.stopped}
        return Trained(weights, "merged", wanted.model, backend, _plain(wanted), metrics)

    return TrainStep(_plain(config(Path(), Path())), train)


def _plain(config: TrainingConfig) -> dict[str, Any]:
    """Return a configuration without its places."""
    return config.model_dump(mode="json", exclude={"data", "output"})
