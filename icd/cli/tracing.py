"""Traces of a command, where the environment asks for them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["tracing"]


@contextmanager
def tracing() -> Iterator[None]:
    """Export what is done in the `with` block, if a variable of OpenTelemetry asks for it.

    Raises:
        ConfigurationError: what it asks for is not possible.
    """
    if not any(name.startswith("OTEL_") for name in os.environ):
        yield
        return
    from icd.cli.output import say
    from icd.errors import MissingExtraError
    from icd.telemetry.setup import export_from_environment

    stop = None
    try:
        stop = export_from_environment()
    except MissingExtraError as error:
        # The variables are often set for all programs of a machine: no reason not to work.
        say(f"no traces: {error}")
    try:
        yield
    finally:
        if stop is not None:
            stop()
