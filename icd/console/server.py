"""The console on a store alone: it listens on this machine only, and needs no models."""

from __future__ import annotations

import socket
from collections.abc import Callable
from contextlib import suppress

import uvicorn
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.types import ASGIApp

from icd.console.app import create_console
from icd.console.rendering import BASE
from icd.console.site import Site

__all__ = ["alone", "serve"]

_NAMES = ["localhost", "127.0.0.1", "::1", "[::1]"]
"""A name of somebody else's domain may resolve to this machine: it gets no answer."""


def alone(site: Site) -> ASGIApp:
    """Return an application that is the console and nothing else."""
    return Starlette(
        routes=[Route("/", _to_console), Mount(BASE, create_console(site))],
        middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=_NAMES)],
    )


def serve(site: Site, listening: socket.socket, started: Callable[[], None]) -> None:
    """Serve until a signal comes; `started` is called when pages are answered."""
    config = uvicorn.Config(
        alone(site), log_config=None, access_log=False, lifespan="off", ws="none", server_header=False,
        proxy_headers=False, timeout_graceful_shutdown=5,
    )  # fmt: skip
    server = _Server(config, started)
    try:
        with suppress(KeyboardInterrupt):
            server.run(sockets=[listening])
    finally:
        site.close()


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, started: Callable[[], None]) -> None:
        super().__init__(config)
        self._told = started

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin."""
        await super().startup(sockets)
        self._told()


async def _to_console(request: Request) -> Response:
    return RedirectResponse(f"{BASE}/", 307)
