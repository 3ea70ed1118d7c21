"""Playing an experiment from the command line: progress, interruption, and how it ended."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from icd.benchmark.experiment import Experiment
from icd.benchmark.runner import Tally
from icd.cli.display import Display
from icd.cli.failures import BACKEND
from icd.cli.output import say
from icd.config import BackendSettings
from icd.errors import ConfigurationError

_REMOTE_WORKERS = 4


def play(experiment: Experiment, title: str) -> Tally:
    """Play what is missing and show how it goes.

    Raises:
        KeyboardInterrupt: it was interrupted; how to go on was said.
    """
    totals = Counter(job.method for job in experiment.jobs)
    try:
        with Display(title, dict(totals)) as display:
            return asyncio.run(experiment.play(display.on_event))
    except KeyboardInterrupt:
        say("interrupted: what was played is kept, and the same command goes on from here")
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
    engine: str | None = None,
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
        "--engine": ("engine", engine, ("alfworld",)),
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


def default_workers(*models: BackendSettings) -> int:
    """Return how many episodes are played at once: a model on this machine already uses all cores."""
    return _REMOTE_WORKERS if models and all(model.kind in ("openai", "expert") for model in models) else 1
