"""What a failed call means: which typed error it is, whether trying again may help, and when."""

from __future__ import annotations

import email.utils
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import openai

from icd.errors import (
    BackendError,
    BackendOverloadedError,
    BackendRefusedError,
    BackendReplyError,
    BackendTimeoutError,
    BackendUnreachableError,
)

__all__ = ["Failure", "classify", "retry_after_seconds"]

_TRY_AGAIN = frozenset({408, 409, 425, 429})


@dataclass(frozen=True, slots=True)
class Failure:
    """A failed call, understood."""

    error: BackendError
    """What to raise if it stays so."""
    passing: bool
    """Trying again may help."""
    retry_after: float | None = None
    """Seconds that the endpoint asked for."""


def classify(error: openai.OpenAIError | BackendReplyError, model: str, url: str) -> Failure:
    """Understand what the client or the decoder raised. Messages name `model` and `url`."""
    if isinstance(error, BackendReplyError):
        return Failure(error, passing=True)
    if isinstance(error, openai.APITimeoutError):
        return Failure(BackendTimeoutError(f"{url} did not answer in time"), passing=True)
    if isinstance(error, openai.APIConnectionError):
        cause = error.__cause__ or error
        unreachable = BackendUnreachableError(
            f"no connection to {url}, or it broke off ({type(cause).__name__}: {cause}): "
            "is the server running, and is base_url right?"
        )
        return Failure(unreachable, passing=True)
    if isinstance(error, openai.APIStatusError):
        return _of_status(error, model, url)
    return Failure(BackendRefusedError(f"{url}: {error}"), passing=False)


def retry_after_seconds(headers: Mapping[str, str], now: Callable[[], float] = time.time) -> float | None:
    """Return the seconds that a reply's headers ask to wait (as a number or as a date); None if they
    don't."""
    if (text := headers.get("retry-after-ms")) is not None and (number := _number(text)) is not None:
        return max(number / 1000, 0.0)
    if (text := headers.get("retry-after")) is None:
        return None
    if (number := _number(text)) is not None:
        return max(number, 0.0)
    try:
        return max(email.utils.parsedate_to_datetime(text).timestamp() - now(), 0.0)
    except (ValueError, TypeError):
        return None


def _of_status(error: openai.APIStatusError, model: str, url: str) -> Failure:
    status, said = error.status_code, f"{url} answered {error.status_code}: {error.message}"
    wait = retry_after_seconds(error.response.headers)
    if status == 429 and error.code == "insufficient_quota":
        return Failure(BackendRefusedError(f"{said}: the account has no credit left"), passing=False)
    if status == 429 or status >= 500 or status in _TRY_AGAIN:
        passing = error.response.headers.get("x-should-retry") != "false"
        return Failure(BackendOverloadedError(said), passing, wait)
    remedies = {
        400: f"it does not suit {model!r}: if it is too long, set `context` to the model's window",
        401: "check the key that api_key_env names",
        403: f"this key may not use {model!r}",
        404: f"check the model name {model!r}, and base_url (it often ends in /v1)",
    }
    remedy = remedies.get(status, "the request was refused")
    return Failure(BackendRefusedError(f"{said}: {remedy}"), passing=False)


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if number == number else None
