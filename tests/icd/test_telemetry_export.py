"""Traces of commands go where OpenTelemetry's variables say, and nowhere else."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest
from chat_world import different, runtime, same, student, teacher
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from scripted import service_of

from icd.cli.app import run
from icd.errors import ConfigurationError, MissingExtraError
from icd.serving.app import create_app
from icd.telemetry import disable, enable, spans
from icd.telemetry.setup import export_from_environment

SECRET = "rosebud-7261"


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in [name for name in os.environ if name.startswith("OTEL_")]:
        monkeypatch.delenv(name)
    yield
    disable()


class Collector:
    """Takes OTLP over HTTP on this machine."""

    def __init__(self) -> None:
        received = self.received = []  # type: list[tuple[str, bytes]]

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                received.append((self.path, self.rfile.read(int(self.headers["content-length"]))))
                self.send_response(200)
                self.end_headers()

            def log_message(self, format: str, *arguments: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def collector() -> Iterator[Collector]:
    a_collector = Collector()
    yield a_collector
    a_collector.close()


def test_a_command_exports_to_the_endpoint(
    collector: Collector, workspace: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_COMPRESSION", "none")
    assert run(["collect", "household", "-n", "1", "--embedder", "hashing"]) == 0, capsys.readouterr().err
    assert {path for path, _ in collector.received} == {"/v1/traces", "/v1/metrics"}
    traces = b"".join(body for path, body in collector.received if path == "/v1/traces")
    for name in (
        b"invoke_agent icd",
        b"icd.decide",
        b"chat expert",
        b"execute_tool household",
        b"schemas/1.41.1",
    ):
        assert name in traces
    assert spans.ambient() is spans.OFF, "ended with the command"


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {"OTEL_SERVICE_NAME": "mine"},
        {
            "OTEL_TRACES_EXPORTER": "none",
            "OTEL_METRICS_EXPORTER": "none",
            "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1",
        },
        {"OTEL_SDK_DISABLED": "true", "OTEL_TRACES_EXPORTER": "console"},
    ],
)
def test_nothing_is_exported_unless_asked_for(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert export_from_environment() is None
    assert spans.ambient() is spans.OFF


def test_the_console_is_standard_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "console")
    stop = export_from_environment()
    assert stop is not None
    with spans.ambient().start(lambda: spans.Operation("a name", "internal", {})):
        pass
    stop()
    out, err = capsys.readouterr()
    assert out == ""
    assert '"name": "a name"' in err
    assert '"service.name": "icd"' in err


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("OTEL_TRACES_EXPORTER", "zipkin", "use otlp, console or none"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4317", "no http"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector.example:4318", "ICD_ALLOW_NETWORK=0"),
    ],
)
def test_what_is_not_possible_is_said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str, value: str, said: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigurationError, match=said.replace(".", r"\.")):
        export_from_environment()
    assert run(["models", "list"]) == 2
    assert said in " ".join(capsys.readouterr().err.split())


def test_without_the_extra_commands_work_untraced(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], workspace: Path
) -> None:
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "console")
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    with pytest.raises(MissingExtraError, match=r"icd-runtime\[otel\]"):
        export_from_environment()
    assert run(["models", "list"]) == 0
    assert "no traces: " in capsys.readouterr().err


async def test_the_server_goes_on_with_a_clients_trace() -> None:
    exporter, tracers = InMemorySpanExporter(), TracerProvider()
    tracers.add_span_processor(SimpleSpanProcessor(exporter))
    enable(tracers)
    app = create_app(service_of(runtime(student(different), teacher(same("Sent.")))))
    trace_id = "0af7651916cd43dd8448eb211c80319c"
    headers = {"traceparent": f"00-{trace_id}-b7ad6b7169203331-01"}
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1") as client:
        for stream in (False, True):
            body = {
                "model": "icd/cascade",
                "stream": stream,
                "messages": [{"role": "user", "content": SECRET}],
            }
            reply = await client.post("/v1/chat/completions", json=body, headers=headers)
            assert reply.status_code == 200
    found = exporter.get_finished_spans()
    assert [span.name for span in found].count("invoke_agent icd") == 2
    assert {f"{span.context.trace_id:032x}" for span in found if span.context} == {trace_id}
    assert SECRET not in "".join(span.to_json() for span in found)
    tracers.shutdown()
