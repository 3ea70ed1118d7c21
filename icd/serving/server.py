"""The process around the application: its socket, its event loop's settings, and what a signal does."""

from __future__ import annotations

import asyncio
import gc
import math
import signal
import socket
import sys
from collections.abc import Callable
from types import FrameType

import uvicorn
from starlette.types import ASGIApp

from icd.errors import ConfigurationError
from icd.serving.app import create_app
from icd.serving.service import Service

__all__ = ["Server", "listen"]

_KEEP_ALIVE = 75
"""Seconds: longer than the usual load balancer keeps a connection, so that it is never us who closes a used one."""
_COLLECT_AFTER = (20_000, 20, 50)
"""Objects, and collections of the younger generations, as `gc.set_threshold` takes them."""
_SWITCH_AFTER = 0.0005
"""Seconds."""
_CLEARING_UP = 5
"""Seconds for writing the replies of requests that were ended."""


def listen(host: str, port: int) -> socket.socket:
    """Return a listening socket; port 0: any free one.

    Raises:
        ConfigurationError: it is taken, not allowed, or no such host.
    """
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family)
    except OSError as error:
        raise ConfigurationError(
            f"cannot listen on {host}:{port} ({error.strerror or error}): use another --port, or 0 for any free one"
        ) from error


class Server(uvicorn.Server):
    """Serves until a signal comes; then lets the requests under way finish. A second Ctrl-C ends it at once."""

    def __init__(
        self, service: Service, *, console: ASGIApp | None = None, started: Callable[[], None] = lambda: None
    ) -> None:
        """Prepare; `console` answers at ``/ui``, `started` is called when requests are answered."""
        drain = service.settings.drain
        super().__init__(
            uvicorn.Config(
                create_app(service, console),
                log_config=None,
                access_log=False,
                lifespan="off",
                ws="none",
                server_header=False,
                proxy_headers=False,
                timeout_keep_alive=_KEEP_ALIVE,
                timeout_graceful_shutdown=math.ceil(drain) + _CLEARING_UP,
            )
        )
        self._service = service
        self._started = started
        self._loop: asyncio.AbstractEventLoop | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin."""
        self._loop = asyncio.get_running_loop()
        await super().startup(sockets)
        _settle_in()
        self._started()

    def stop(self) -> None:
        """Take no more connections, and give the requests under way their time. May be called from any thread."""
        self.should_exit = True
        if self._loop is not None:
            lifecycle, drain = self._service.lifecycle, self._service.settings.drain
            self._loop.call_soon_threadsafe(lifecycle.drain, drain)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Stop; the base class would raise the signal again, and the exit code would not be 0."""
        if not self.should_exit:
            self.stop()
        elif sig == signal.SIGINT:
            signal.signal(sig, signal.SIG_DFL)
            signal.raise_signal(sig)


def _settle_in() -> None:
    """Spare the collector what stays for good, and let the event loop have its turn sooner: a thread that searches or
    writes would keep it waiting five milliseconds at a time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_COLLECT_AFTER)
    sys.setswitchinterval(_SWITCH_AFTER)


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Return what makes the quickest event loop there is here; None: the standard one."""
    return uvicorn.Config("", log_config=None).get_loop_factory()
