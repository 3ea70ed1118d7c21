"""Where a command's traces and metrics go, by OpenTelemetry's own environment variables.

``OTEL_EXPORTER_OTLP_ENDPOINT`` is enough. Nothing is exported unless a variable names an exporter or an endpoint, though
OpenTelemetry's default would be an address on this machine. A program that uses the runtime as a library makes its
providers itself and calls `icd.telemetry.enable`.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

from icd.errors import ConfigurationError, MissingExtraError

if TYPE_CHECKING:
    from opentelemetry.sdk.metrics.export import MetricReader
    from opentelemetry.sdk.trace.export import SpanExporter

__all__ = ["export_from_environment"]

Signal = Literal["TRACES", "METRICS"]
_ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
_LOCAL = "http://localhost:4318"


def export_from_environment() -> Callable[[], None] | None:
    """Begin to export what the environment asks for; return what sends the rest and ends it. None: it asks for nothing.

    Raises:
        MissingExtraError: it asks, and the extra `otel` is not installed.
        ConfigurationError: it asks for an exporter that there is none of, or the network switch forbids the endpoint.
    """
    wanted = {signal: _exporter(signal) for signal in ("TRACES", "METRICS")}
    if os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true" or not any(wanted.values()):
        return None
    try:
        from opentelemetry.sdk.metrics import MeterProvider
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor

        spans, metrics = _span_exporter(wanted["TRACES"]), _metric_reader(wanted["METRICS"])
    except ImportError as error:
        raise MissingExtraError("exporting traces (an OTEL_ variable asks for it)", "otel") from error
    from icd.telemetry import disable, enable

    # `create` lets OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES win.
    resource = Resource.create(None if os.environ.get("OTEL_SERVICE_NAME") else {"service.name": "icd"})
    tracers = TracerProvider(resource=resource)
    if spans is not None:
        tracers.add_span_processor(BatchSpanProcessor(spans))
    meters = MeterProvider([] if metrics is None else [metrics], resource)
    enable(tracers, meters)

    def stop() -> None:
        disable()
        tracers.shutdown()
        meters.shutdown()

    return stop


def _exporter(signal: Signal) -> str:
    """Return the exporter that the environment names for a signal; empty: none."""
    named = os.environ.get(f"OTEL_{signal}_EXPORTER", "").strip().lower()
    if not named and (os.environ.get(_ENDPOINT) or os.environ.get(_endpoint_of(signal))):
        named = "otlp"
    if named not in ("", "none", "otlp", "console"):
        raise ConfigurationError(
            f"OTEL_{signal}_EXPORTER={named} is not possible here: use otlp, console or none"
        )
    if named == "otlp":
        _check_endpoint(signal)
    return "" if named == "none" else named


def _endpoint_of(signal: Signal) -> str:
    return f"OTEL_EXPORTER_OTLP_{signal}_ENDPOINT"


def _check_endpoint(signal: Signal) -> None:
    from icd.backends.network import check_address, check_url

    url = os.environ.get(_endpoint_of(signal)) or os.environ.get(_ENDPOINT) or _LOCAL
    check_address(url)
    check_url(url)


def _span_exporter(name: str) -> SpanExporter | None:
    if name == "otlp":
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

        return OTLPSpanExporter()
    if name == "console":
        import sys

        from opentelemetry.sdk.trace.export import ConsoleSpanExporter

        return ConsoleSpanExporter(out=sys.stderr)
    return None


def _metric_reader(name: str) -> MetricReader | None:
    from opentelemetry.sdk.metrics.export import ConsoleMetricExporter, PeriodicExportingMetricReader

    if name == "otlp":
        from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter

        return PeriodicExportingMetricReader(OTLPMetricExporter())
    if name == "console":
        import sys

        return PeriodicExportingMetricReader(ConsoleMetricExporter(out=sys.stderr))
    return None
