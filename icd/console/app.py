"""The console as an application: its pages behind one wall, and what browsers are told about them."""

from __future__ import annotations

from urllib.parse import quote

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from icd.console.pages import (
    assets,
    episodes,
    experiments,
    memory,
    overview,
    sign_in,
    strategies,
    students,
)
from icd.console.rendering import BASE, render
from icd.console.site import Site
from icd.console.visit import SignInNeededError
from icd.errors import IcdError, IcdMemoryError

__all__ = ["create_console"]

_PAGES = (assets, sign_in, overview, episodes, memory, strategies, experiments, students)
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; "
    "frame-ancestors 'none'; base-uri 'none'",
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
"""Nothing is loaded from elsewhere, and no script runs at all: what stands in a trace stays text."""


def create_console(site: Site) -> ASGIApp:
    """Return the application, to be mounted at `icd.console.rendering.BASE`."""
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    app.state.site = site
    for page in _PAGES:
        app.include_router(page.routes)
    for kind in (HTTPException, RequestValidationError, IcdError, IcdMemoryError):
        app.add_exception_handler(kind, _told)
    app.add_exception_handler(SignInNeededError, _to_sign_in)
    return Walled(app)


class Walled:
    """Adds to every answer what a browser has to know."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer."""

        async def told(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.update(_HEADERS)
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        await self._app(scope, receive, told)


async def _to_sign_in(request: Request, error: Exception) -> Response:
    asked = request.url.path if request.method == "GET" else f"{BASE}/"
    if request.method == "GET" and request.url.query:
        asked += f"?{request.url.query}"
    return RedirectResponse(f"{BASE}/sign-in?next={quote(asked, safe='/')}", 303)


async def _told(request: Request, error: Exception) -> Response:
    """Write what went wrong."""
    if isinstance(error, HTTPException):
        status, message = error.status_code, str(error.detail)
    elif isinstance(error, RequestValidationError):
        first = error.errors()[0]
        status, message = 400, f"“{first['loc'][-1]}”: {first['msg']}"
    elif isinstance(error, IcdMemoryError):
        status, message = (404 if "not_found" in error.code else 409), str(error)
    else:
        status, message = 409, str(error)
    return HTMLResponse(render("error.html", status=status, message=message), status)
