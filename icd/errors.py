"""Errors of the runtime, by the boundary that was crossed; this module also re-exports those of the other packages.

    IcdError
    ├── ConfigurationError          a setting is wrong, unknown or missing
    │   ├── PriceUnknownError       a model has no price: costs are never guessed
    │   └── MissingExtraError       an optional dependency is not installed
    ├── ModelFilesError             weights are missing, damaged or cannot be fetched
    ├── BackendError                a model could not answer
    │   ├── BackendUnreachableError the endpoint cannot be reached, or broke off
    │   ├── BackendTimeoutError     the deadline passed
    │   ├── BackendRefusedError     the endpoint refuses: key, model name, request
    │   ├── BackendOverloadedError  rate-limited or overloaded, retries used up
    │   └── BackendReplyError       the reply cannot be read
    ├── ContextOverflowError        the prompt does not fit the model's window, even after cutting
    ├── BudgetError                 a call would overspend the budget
    ├── ClusterError                the machines that play episodes: none answers, or none is left
    └── UnknownEpisodeError         nothing is recorded under this episode or decision

Each has a stable `code`; the message says what to do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from icd_envs.errors import EnvsError
from icd_memory.errors import IcdMemoryError

if TYPE_CHECKING:
    from icd.backends.base import Usage

__all__ = [
    "BackendError",
    "BackendOverloadedError",
    "BackendRefusedError",
    "BackendReplyError",
    "BackendTimeoutError",
    "BackendUnreachableError",
    "BudgetError",
    "ClusterError",
    "ConfigurationError",
    "ContextOverflowError",
    "EnvsError",
    "IcdError",
    "IcdMemoryError",
    "MissingExtraError",
    "ModelFilesError",
    "PriceUnknownError",
    "UnknownEpisodeError",
]


class IcdError(Exception):
    """Root of the runtime's own errors."""

    code = "icd"


class ConfigurationError(IcdError):
    """A setting is wrong, unknown or missing."""

    code = "configuration"


class PriceUnknownError(ConfigurationError):
    """A model has no price in the table and none was given."""

    code = "configuration.price"


class MissingExtraError(ConfigurationError):
    """A feature needs an optional dependency that is not installed."""

    code = "configuration.extra"

    def __init__(self, feature: str, extra: str) -> None:
        super().__init__(f"{feature} needs an optional part: pip install 'icd-runtime[{extra}]'")


class ModelFilesError(IcdError):
    """Weights are missing, damaged or cannot be fetched."""

    code = "model_files"


class BackendError(IcdError):
    """A model could not answer."""

    code = "backend"
    usage: Usage | None = None
    """What the failed call is known to have used nevertheless; it was billed."""
    failures: tuple[str, ...] = ()
    """Codes of the errors after which it was tried again before."""


class BackendUnreachableError(BackendError):
    """The endpoint cannot be reached, or the connection broke off."""

    code = "backend.unreachable"


class BackendTimeoutError(BackendError):
    """The deadline passed before an answer came."""

    code = "backend.timeout"


class BackendRefusedError(BackendError):
    """The endpoint refuses the request: key, model name or content."""

    code = "backend.refused"


class BackendOverloadedError(BackendError):
    """Rate-limited or overloaded, and the retries are used up."""

    code = "backend.overloaded"


class BackendReplyError(BackendError):
    """The reply cannot be read."""

    code = "backend.reply"


class ContextOverflowError(IcdError):
    """The prompt does not fit the model's window, even after cutting."""

    code = "context_overflow"


class BudgetError(IcdError):
    """A call would overspend the budget."""

    code = "budget"


class ClusterError(IcdError):
    """The machines that play episodes: none answers, or none is left."""

    code = "cluster"


class UnknownEpisodeError(IcdError):
    """Nothing is recorded under this episode or decision."""

    code = "unknown_episode"
