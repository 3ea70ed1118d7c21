"""Connections to one OpenAI-compatible endpoint: bytes out, bytes in.

aiohttp, because it costs a fifth of the processor time of the official client (`docs/decisions/004-http-client.md`).
Redirects are not followed: they could lead where the network switch or the key's owner does not want to go.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import os
import urllib.request
from urllib.parse import urlsplit

import aiohttp
from yarl import URL

from icd.backends.location import OPENAI_URL
from icd.backends.network import MOST_BYTES, check_address, check_elsewhere, is_loopback
from icd.backends.openai_errors import StatusError
from icd.errors import BackendReplyError, ConfigurationError
from icd.telemetry import spans

__all__ = ["Endpoint"]

_LARGE = 1 << 20
"""Bytes from which a body is sent in pieces."""
_ERROR_BYTES = 65_536
"""Read of an error's body."""
_END = 0.05
"""Seconds that the end of a stream may come after its last event; else its connection is closed."""


class Endpoint:
    """The connections of one event loop to one endpoint; kept open between requests, as many as are needed."""

    def __init__(self, base_url: str | None, key: str) -> None:
        """Prepare; connections are opened by the first request.

        Raises:
            ConfigurationError: `base_url` is no address, or the proxy that the environment names cannot be used.
        """
        base = (base_url or OPENAI_URL).rstrip("/")
        check_address(base)
        self._url = URL(f"{base}/chat/completions")
        self._elsewhere = None if is_loopback(base) else self._url.host
        headers = {"Content-Type": "application/json", "User-Agent": "icd-runtime"}
        if key:
            headers["Authorization"] = f"Bearer {key}"
        if base_url is None:
            headers |= _account_headers()
        self.loop = asyncio.get_running_loop()
        # No limit on connections: how many calls run at once is decided by who calls. No time limit: the backend's
        # deadline is around every wait. No trust_env: it would read ~/.netrc for every request.
        self._session = aiohttp.ClientSession(
            headers=headers,
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=60.0),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=None),
            cookie_jar=aiohttp.DummyCookieJar(),
            proxy=_proxy(base),
        )

    async def post(self, body: bytes) -> bytes:
        """Send a request and return the reply's bytes.

        Raises:
            StatusError: the endpoint answered with an error.
            BackendReplyError: the reply is too long.
            aiohttp.ClientError: no connection, or it broke off.
            ConfigurationError: the network switch forbids the endpoint.
        """
        response = await self.open(body)
        try:
            return await _body(response)
        finally:
            response.release()

    async def open(self, body: bytes) -> aiohttp.ClientResponse:
        """Send a request and return its reply, to be read and closed by the caller. Raises as `post`."""
        if self._elsewhere is not None:
            check_elsewhere(self._elsewhere)
        data = io.BytesIO(body) if len(body) > _LARGE else body
        response = await self._session.post(
            self._url, data=data, headers=spans.outgoing(), allow_redirects=False
        )
        if response.status < 300:
            return response
        try:
            raise StatusError.of_reply(response.status, await _beginning(response), response.headers)
        finally:
            response.release()

    @staticmethod
    async def finish(reply: aiohttp.ClientResponse) -> None:
        """Read the end of a reply whose content is known, so that its connection can be used again."""
        with contextlib.suppress(TimeoutError, aiohttp.ClientError):
            async with asyncio.timeout(_END):
                await reply.read()

    async def close(self) -> None:
        """Close the connections; those of a loop that has ended are just forgotten."""
        if self.loop is asyncio.get_running_loop() or self.loop.is_closed():
            await self._session.close()


async def _beginning(response: aiohttp.ClientResponse) -> bytes:
    try:
        return await response.content.readexactly(_ERROR_BYTES)
    except asyncio.IncompleteReadError as error:
        return error.partial


async def _body(response: aiohttp.ClientResponse) -> bytes:
    """Return a reply's bytes, unpacked, if they are not too many."""
    pieces, size = [], 0
    async for piece in response.content.iter_any():
        size += len(piece)
        if size > MOST_BYTES:
            response.close()
            raise BackendReplyError(f"the reply is longer than {MOST_BYTES:,} bytes: it was cut off")
        pieces.append(piece)
    return b"".join(pieces)


def _account_headers() -> dict[str, str]:
    """Return the headers by which OpenAI books to an organization or project, as its own client sends them."""
    named = {"OpenAI-Organization": "OPENAI_ORG_ID", "OpenAI-Project": "OPENAI_PROJECT_ID"}
    return {header: os.environ[name] for header, name in named.items() if os.environ.get(name)}


def _proxy(url: str) -> str | None:
    """Return the proxy that the environment names for `url`."""
    parts = urlsplit(url)
    if is_loopback(url) or urllib.request.proxy_bypass(parts.hostname or ""):
        return None
    proxies = urllib.request.getproxies()
    proxy = proxies.get(parts.scheme) or proxies.get("all")
    if proxy and not proxy.startswith(("http://", "https://")):
        raise ConfigurationError(
            f"only http proxies can be used, not {proxy!r}: see {parts.scheme.upper()}_PROXY"
        )
    return proxy
