"""The outermost layer: which hosts are served, the time limit, the count of requests, and errors turned into replies."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from icd.serving import logs
from icd.serving.errors import ApiError, api_error, encoded, openai_body
from icd.serving.lifecycle import Deadline
from icd.serving.request_headers import header
from icd.serving.service import DEADLINE, Service
from icd.telemetry import spans

__all__ = ["ErrorBody", "Gate", "error_reply"]

ErrorBody: TypeAlias = Callable[[ApiError], Mapping[str, Any]]
"""How a wire format writes an error."""

_LOCAL = ("localhost", "127.0.0.1", "[::1]")
_HUNG_UP = 499
"""For the metrics only: nobody is there to read it."""


class _Reply:
    """Sends, and remembers what was sent."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.status = 0

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
        await self._send(message)


def error_reply(error: BaseException, path: str, bodies: Mapping[str, ErrorBody]) -> Response:
    """Return the reply to an error; `bodies` as in `Gate`."""
    told = api_error(error)
    written = next((body for beginning, body in bodies.items() if path.startswith(beginning)), openai_body)
    return Response(encoded(written(told)), told.status, told.headers, "application/json")


class Gate:
    """Stands before the routes."""

    def __init__(self, app: ASGIApp, *, service: Service, error_bodies: Mapping[str, ErrorBody]) -> None:
        """Prepare.

        Args:
            app: what is behind.
            service: whose requests are counted.
            error_bodies: by the beginning of a path, how errors are written there; elsewhere as OpenAI does.
        """
        self._app = app
        self._service = service
        self._error_bodies = error_bodies

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        reply = _Reply(send)
        started = time.perf_counter()
        logs.begin(scope["headers"])
        self._service.metrics.started()
        try:
            await self._guarded(scope, receive, reply)
        except ClientDisconnect:
            pass
        except Exception as error:
            if reply.status:  # What was begun cannot be mended: the connection is dropped.
                raise
            await error_reply(error, scope["path"], self._error_bodies)(scope, receive, reply)
        finally:
            route = getattr(scope.get("route"), "path", "")
            status, seconds = reply.status or _HUNG_UP, time.perf_counter() - started
            self._service.metrics.finished(route, status, seconds)
            logs.finished(scope["method"], route, status, seconds)

    async def _guarded(self, scope: Scope, receive: Receive, reply: _Reply) -> None:
        """Run the routes under the time limit."""
        service = self._service
        if await service.is_open():
            _check_host(scope)
        timeout = asyncio.timeout(service.settings.timeout)
        deadline = Deadline(timeout, service.settings.timeout)
        try:
            async with timeout:
                service.lifecycle.enter(deadline)
                scope[DEADLINE] = deadline
                with spans.continued(scope["headers"]):
                    await self._app(scope, receive, reply)
        except TimeoutError as error:
            if not timeout.expired():
                raise
            if deadline.cause != "disconnected" and not reply.status:
                raise deadline.error() from error
        finally:
            service.lifecycle.leave(deadline)


def _check_host(scope: Scope) -> None:
    """Refuse a name that somebody else's domain resolves to this machine."""
    host = header(scope["headers"], b"host", "localhost").lower()
    name = host.rpartition(":")[0] if not host.endswith("]") and ":" in host else host
    if name not in _LOCAL:
        raise ApiError(
            421,
            f"this server listens on this machine only and is not {name[:100]!r}: use http://127.0.0.1, or make a key "
            "(`icd keys create`) and name the host (`icd serve --host`)",
            code="wrong_host",
        )
