"""Traces and metrics by OpenTelemetry's conventions for generative AI; off until `enable` is called.

The rest of the runtime imports only `spans` and `operations`, which need nothing that is not installed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from icd.telemetry.spans import disable

if TYPE_CHECKING:
    from opentelemetry.metrics import MeterProvider
    from opentelemetry.trace import TracerProvider

__all__ = ["disable", "enable"]


def enable(
    tracer_provider: TracerProvider | None = None,
    meter_provider: MeterProvider | None = None,
    *,
    capture_content: bool | None = None,
) -> None:
    """Trace what the runtime does from now on, in this process.

    Args:
        tracer_provider: makes the spans; None: the process's own.
        meter_provider: makes the metrics; None: the process's own.
        capture_content: whether prompts, answers, queries and observations are in the spans, as they are, secrets and
            all; None: as ``OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT`` says, which is no by default.

    Raises:
        MissingExtraError: the extra `otel` is not installed.
    """
    from icd.errors import MissingExtraError

    try:
        from icd.telemetry import exported
    except ImportError as error:
        raise MissingExtraError("tracing", "otel") from error
    exported.enable(tracer_provider, meter_provider, capture_content=capture_content)
