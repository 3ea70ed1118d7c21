"""`icd offline train` and `icd offline export`: fine-tuning the student on a data set, and its weights for serving."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from icd.cli import options
from icd.cli.output import results, say, write_json
from icd.cli.settings import typed_command

if TYPE_CHECKING:
    from icd.offline.training.config import TrainingConfig
    from icd.offline.training.run import TrainingResult


def train(
    file: Annotated[
        Path | None, typer.Argument(metavar="[FILE]", help="A TOML file with the run's configuration.")
    ] = None,
    data: Annotated[Path | None, typer.Option(help="A data set's folder, or a file of its rows.")] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Folder for checkpoints, metrics and the result.")
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="The student: a checkpoint folder, a GGUF file or a catalogue name.")
    ] = None,
    objective: Annotated[
        str | None,
        typer.Option(help="sft, step_by_step, redi, dpo, topk, onpolicy or crosstokenizer."),
    ] = None,
    teacher: Annotated[
        str | None, typer.Option(help="A white-box teacher, for onpolicy and crosstokenizer.")
    ] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Optimiser steps.")] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Of weights, order and sampling.")] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set", help="Any setting as key=value, e.g. lora.r=8; repeatable.", metavar="KEY=VALUE"
        ),
    ] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Start anew instead of going on.")] = False,
    engine: Annotated[
        str,
        typer.Option(
            help="Where it is trained: local (this process) or ray.", rich_help_panel=options.CLUSTER
        ),
    ] = "local",
    workers: Annotated[
        int | None,
        typer.Option(min=1, help="ray only: processes that train together.", rich_help_panel=options.CLUSTER),
    ] = None,
    ray_address: options.RayAddress = None,
    json: options.Json = False,
) -> None:
    """Fine-tune the student on a data set. A run that was cut off goes on from its last checkpoint."""
    # Threads that spin while they wait make a machine that is also doing something else many times slower.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    from icd.offline.training.config import load_config

    flags = {
        "data": data,
        "output": output,
        "model": model,
        "objective": objective,
        "teacher": teacher,
        "steps": steps,
        "seed": seed,
    }
    given = _nested(set_ or ()) | {key: value for key, value in flags.items() if value is not None}
    config = load_config(file, given)
    result = _trained(config, fresh, engine, workers, ray_address)
    if int(os.environ.get("RANK", "0")):
        return  # Another process of a launcher says it.
    if json:
        write_json(result)
        return
    _show(result)


def export(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="The folder of a training run.")],
    to: Annotated[Path, typer.Argument(metavar="TO", help="A folder, or a .gguf file, to write.")],
    kind: Annotated[
        str, typer.Option("--as", help="merged (whole weights), adapter, gguf, or adapter-gguf.")
    ] = "merged",
    converter: Annotated[
        Path | None,
        typer.Option(help="Folder with llama.cpp's convert_hf_to_gguf.py and convert_lora_to_gguf.py."),
    ] = None,
    json: options.Json = False,
) -> None:
    """Write a trained student for serving: for vLLM and transformers, or as GGUF for the local backend."""
    from icd.errors import MissingExtraError

    try:
        from icd.offline.training.export import export as write
    except ImportError as error:
        raise MissingExtraError("exporting a trained student", "train") from error

    written = write(run, to, kind, converter=converter, say=say)
    if json:
        write_json({"path": written, "kind": kind})
        return
    say(f"wrote {written}")


def _trained(
    config: TrainingConfig, fresh: bool, engine: str, workers: int | None, address: str | None
) -> TrainingResult:
    from icd.errors import ConfigurationError, MissingExtraError

    if engine == "local":
        if workers is not None or address is not None:
            raise ConfigurationError(
                "--workers and --ray-address are for --engine ray; several processes of this machine: "
                "torchrun --nproc_per_node N, or accelerate launch"
            )
        return _train(config, fresh)
    if engine != "ray":
        raise ConfigurationError(f"no engine {engine!r}: there are local and ray")
    from icd.ray_cluster import joined

    with joined(address, workers or 1):
        try:
            from icd.offline.training.on_ray import train_on_ray
        except ImportError as error:
            raise MissingExtraError("training on a cluster", "train,ray") from error
        say(f"training on Ray, processes: {workers or 1}; metrics: {config.output / 'metrics.csv'}")
        return train_on_ray(config, workers or 1, fresh=fresh)


def _train(config: TrainingConfig, fresh: bool) -> TrainingResult:
    from icd.cli.training_display import TrainingDisplay
    from icd.errors import MissingExtraError

    try:
        from icd.offline.training.run import train as run
        from icd.offline.training.validation import evaluator_for
    except ImportError as error:
        raise MissingExtraError("training", "train") from error
    try:
        with TrainingDisplay(f"training ({config.objective})") as display:
            return run(config, evaluator=evaluator_for(config), fresh=fresh, on_step=display.on_step, say=say)
    except KeyboardInterrupt:
        say(f"interrupted: go on from the last checkpoint with: {typed_command()}")
        raise


def _nested(settings: list[str] | tuple[str, ...]) -> dict[str, Any]:
    """Return ``key=value`` settings, their dotted keys as tables; a value is TOML, else a text."""
    import tomllib

    from icd.errors import ConfigurationError

    nested: dict[str, Any] = {}
    for setting in settings:
        key, equals, value = setting.partition("=")
        if not equals:
            raise ConfigurationError(f"--set takes key=value, not {setting!r}")
        inner = nested
        *path, name = key.strip().split(".")
        for part in path:
            inner = inner.setdefault(part, {})
        try:
            inner[name] = tomllib.loads(f"x = {value}")["x"]
        except tomllib.TOMLDecodeError:
            inner[name] = value
    return nested


def _show(result: TrainingResult) -> None:
    pace = "" if result.seconds_per_step is None else f", {result.seconds_per_step:.1f} s a step"
    results.print(
        f"{result.steps} steps on {result.examples} examples{pace}: loss {result.first_loss:.3f} to {result.loss:.3f}"
    )
    if result.best_step is not None:
        results.print(f"most success at step {result.best_step}")
    results.print(f"{result.tuning}: {result.student}", markup=False)
    if result.stopped:
        say(f"stopped early: {result.stopped}")
