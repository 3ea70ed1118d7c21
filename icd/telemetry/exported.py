"""Spans and metrics that OpenTelemetry exports. Loaded by `icd.telemetry.enable` only."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import ParamSpec, cast

from opentelemetry import context as contexts
from opentelemetry import metrics, propagate, trace
from opentelemetry.context import Context
from opentelemetry.trace import SpanKind, Status, StatusCode

import icd
from icd.telemetry import spans
from icd.telemetry.conventions import CAPTURE_CONTENT, SCHEMA_URL, SECOND_BUCKETS, TOKEN_BUCKETS
from icd.telemetry.spans import Attributes, Operation

__all__ = ["enable"]

P = ParamSpec("P")
_CONVERSATION = contexts.create_key("icd-conversation")
_KINDS = {"internal": SpanKind.INTERNAL, "client": SpanKind.CLIENT}
_OF_METRICS = (
    "gen_ai.operation.name",
    "gen_ai.provider.name",
    "gen_ai.request.model",
    "gen_ai.response.model",
    "server.address",
    "server.port",
    "error.type",
)


def enable(
    tracer_provider: trace.TracerProvider | None,
    meter_provider: metrics.MeterProvider | None,
    *,
    capture_content: bool | None = None,
) -> None:
    """See `icd.telemetry.enable`."""
    wanted = _content_wanted() if capture_content is None else capture_content
    spans.watch(Exporter(tracer_provider, meter_provider, capture_content=wanted))


def _content_wanted() -> bool:
    """Say whether the environment asks for content on spans (events are not made here)."""
    return os.environ.get(CAPTURE_CONTENT, "").strip().lower() in ("true", "span_only", "span_and_event")


class Exporter:
    """A `Watcher` that gives everything to OpenTelemetry."""

    def __init__(
        self,
        tracer_provider: trace.TracerProvider | None,
        meter_provider: metrics.MeterProvider | None,
        *,
        capture_content: bool,
    ) -> None:
        self.capture_content = capture_content
        about = ("icd", icd.__version__)
        self.tracer = trace.get_tracer(*about, tracer_provider, SCHEMA_URL)
        meter = metrics.get_meter(*about, meter_provider, SCHEMA_URL)
        self.tokens = meter.create_histogram(
            "gen_ai.client.token.usage", "{token}", "Number of input and output tokens used.",
            explicit_bucket_boundaries_advisory=TOKEN_BUCKETS,
        )  # fmt: skip
        self.seconds = meter.create_histogram(
            "gen_ai.client.operation.duration", "s", "GenAI operation duration.",
            explicit_bucket_boundaries_advisory=SECOND_BUCKETS,
        )  # fmt: skip

    def ambient(self) -> spans.Span:
        """See `icd.telemetry.spans.Watcher`."""
        return _Within(self, contexts.get_current())

    @contextmanager
    def continued(self, headers: Iterable[tuple[bytes, bytes]]) -> Iterator[None]:
        """See `icd.telemetry.spans.Watcher`. A span that is there already (of the web framework) is gone on with."""
        if trace.get_current_span().get_span_context().is_valid:
            yield
            return
        carrier = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in headers}
        with _attached(propagate.extract(carrier)):
            yield

    def outgoing(self) -> dict[str, str]:
        """See `icd.telemetry.spans.Watcher`."""
        carrier: dict[str, str] = {}
        propagate.inject(carrier)
        return carrier


class _Within(spans.Span):
    """A place where operations begin."""

    __slots__ = ("_context", "_exporter")

    def __init__(self, exporter: Exporter, context: Context) -> None:
        self._exporter, self._context = exporter, context

    def start(self, describe: Callable[P, Operation], /, *args: P.args, **kwargs: P.kwargs) -> spans.Span:
        """Begin an operation."""
        operation = describe(*args, **kwargs)
        context, attributes = self._context, dict(operation.attributes)
        if operation.conversation:
            context = contexts.set_value(_CONVERSATION, operation.conversation, context)
        elif attributes.get("gen_ai.operation.name") == "chat" and (
            known := contexts.get_value(_CONVERSATION, context)
        ):
            attributes["gen_ai.conversation.id"] = cast("str", known)
        span = self._exporter.tracer.start_span(
            operation.name, context, _KINDS[operation.kind], attributes,
            record_exception=False, set_status_on_exception=False,
        )  # fmt: skip
        return _Exported(self._exporter, trace.set_span_in_context(span, context), span, attributes)


class _Exported(_Within):
    """An operation that is exported when it ends."""

    __slots__ = ("_attributes", "_span", "_started")

    def __init__(
        self,
        exporter: Exporter,
        context: Context,
        span: trace.Span,
        attributes: dict[str, str | bool | int | float | list[str]],
    ) -> None:
        super().__init__(exporter, context)
        self._span, self._attributes = span, attributes
        self._started = time.perf_counter()

    def tell(self, describe: Callable[P, Attributes], /, *args: P.args, **kwargs: P.kwargs) -> None:
        """Say more."""
        told = describe(*args, **kwargs)
        self._attributes.update(told)
        self._span.set_attributes(told)

    def content(self, describe: Callable[P, Attributes], /, *args: P.args, **kwargs: P.kwargs) -> None:
        """Say what was written, if that is wanted."""
        if self._exporter.capture_content:
            self._span.set_attributes(describe(*args, **kwargs))

    def current(self) -> AbstractContextManager[object]:
        """Make it the current one."""
        return _attached(self._context)

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        """End it. An error's message is left out: it may hold what people wrote."""
        if error is not None:
            told = {"error.type": _error_type(error)}
            self._attributes.update(told)
            self._span.set_attributes(told)
            self._span.set_status(Status(StatusCode.ERROR))
        self._span.end()
        if self._attributes.get("gen_ai.operation.name") == "chat":
            self._measure()

    def _measure(self) -> None:
        """Add a call to the conventions' metrics."""
        about = {name: self._attributes[name] for name in _OF_METRICS if name in self._attributes}
        self._exporter.seconds.record(time.perf_counter() - self._started, about, self._context)
        for kind in ("input", "output"):
            if (count := self._attributes.get(f"gen_ai.usage.{kind}_tokens")) is not None:
                with_kind = {**about, "gen_ai.token.type": kind}
                self._exporter.tokens.record(cast("int", count), with_kind, self._context)


@contextmanager
def _attached(context: Context) -> Iterator[None]:
    token = contexts.attach(context)
    try:
        yield
    finally:
        contexts.detach(token)


def _error_type(error: BaseException) -> str:
    """Return our own error's code, or the name of another's class."""
    if isinstance(error, GeneratorExit | asyncio.CancelledError | KeyboardInterrupt):
        return "cancelled"
    code = getattr(error, "code", None)
    return code if isinstance(code, str) else type(error).__qualname__
