"""Playing an experiment from the command line: progress, interruption, and how it ended."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from icd.benchmark.experiment import Experiment, Request
from icd.benchmark.runner import Tally
from icd.cli.display import Display
from icd.cli.failures import BACKEND
from icd.cli.output import say
from icd.config import BackendSettings, Settings
from icd.errors import ConfigurationError

_REMOTE_WORKERS = 4


def play(experiment: Experiment, title: str) -> Tally:
    """Play what is missing and show how it goes.

    Raises:
        KeyboardInterrupt: it was interrupted; how to go on was said.
    """
    try:
        with Display(title, experiment.totals) as display:
            return asyncio.run(experiment.play(display.on_event))
    except KeyboardInterrupt:
        command = experiment.config["about"]["command"]
        again = f": {command}" if command else ""
        say(f"interrupted: what was played is kept, and the same command goes on from here{again}")
        raise


def failures(tally: Tally) -> int:
    """Say which episodes a machine failed at, and return the exit code."""
    if not tally.failed:
        return 0
    errors = Counter((row.outcome or {})["error"]["message"] for row in tally.failed)
    for message, count in errors.most_common(3):
        say(f"{count} episode{'s' * (count > 1)} failed: {message}")
    if tally.not_played:
        say(f"stopped after {len(tally.failed)} failures; {tally.not_played} episodes were not started")
    say("the same command plays them again and goes on")
    return BACKEND


def suite_options(
    environment: str,
    games: Sequence[Path] | None = None,
    game_engine: str | None = None,
    appworld_python: Path | None = None,
    appworld_root: Path | None = None,
    *,
    require_sandbox: bool = False,
) -> dict[str, Any]:
    """Return the options of an environment's suite.

    Raises:
        ConfigurationError: they were given for an environment that has none.
    """
    given: dict[str, tuple[str, object, tuple[str, ...]]] = {
        "--games": ("games", [str(path) for path in games or ()], ("alfworld",)),
        "--game-engine": ("engine", game_engine, ("alfworld",)),
        "--require-sandbox": ("require_sandbox", require_sandbox, ("workspace", "appworld")),
        "--appworld-python": ("python", appworld_python and str(appworld_python), ("appworld",)),
        "--appworld-root": ("root", appworld_root and str(appworld_root), ("appworld",)),
    }
    chosen: dict[str, Any] = {}
    for flag, (name, value, environments) in given.items():
        if not value:
            continue
        if environment not in environments:
            raise ConfigurationError(f"{flag} is for {' and '.join(environments)}, not for {environment}")
        chosen[name] = value
    return chosen


def on_engine(
    experiment: Experiment, request: Request, settings: Settings, engine: str, address: str | None
) -> Experiment:
    """Return the experiment as it is played by an engine: local or ray, with the address of a cluster.

    Raises:
        ConfigurationError: there is no such engine, or Ray is not installed.
    """
    if engine == "local":
        if address is not None:
            raise ConfigurationError("--ray-address is for --engine ray")
        return experiment
    if engine != "ray":
        raise ConfigurationError(
            f"no engine {engine!r}: there are local and ray (those of alfworld's games: --game-engine)"
        )
    from icd.benchmark.engine_ray import RayEngine

    return replace(experiment, executor=RayEngine(experiment, request, settings, address))


def default_workers(*models: BackendSettings, engine: str = "local") -> int:
    """Return how many episodes are played at once: a model here already uses all cores; 0: a cluster knows itself."""
    if engine == "ray":
        return 0
    return _REMOTE_WORKERS if models and all(model.kind in ("openai", "expert") for model in models) else 1
