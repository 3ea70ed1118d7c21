"""Errors of `icd_envs`, by the boundary that was crossed.

EnvsError
├── GameFileError      a game, domain, grammar or problem text cannot be read
├── TaskNotFoundError  no such task, split or game
├── EngineError        the engine was used out of order (a step before a reset, a closed world)
├── SandboxError       the model's Python cannot be run as asked, or its worker is gone
└── RemoteWorldError   a world behind a server did not start, answer, or do what it was asked
"""

from __future__ import annotations

_LONGEST = 1000
"""Characters of a message about a file."""


class EnvsError(Exception):
    """Something about an environment; `code` is stable, the message says what to do."""

    code = "envs"


class GameFileError(EnvsError):
    """A game, domain, grammar or problem text cannot be read. What the message repeats of the file is cut short."""

    code = "envs.game_file"

    def __init__(self, message: str) -> None:
        super().__init__(message if len(message) <= _LONGEST else f"{message[:_LONGEST]}...")


class TaskNotFoundError(EnvsError):
    """No such task, split or game."""

    code = "envs.task_not_found"


class EngineError(EnvsError):
    """The engine was used out of order: a step before a reset, or after the end."""

    code = "envs.engine"


class SandboxError(EnvsError):
    """The model's Python cannot be run as asked, or its worker is gone."""

    code = "envs.sandbox"


class RemoteWorldError(EnvsError):
    """A world behind a server did not start, did not answer, or refused what it was asked."""

    code = "envs.remote_world"
