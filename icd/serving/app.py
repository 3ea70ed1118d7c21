"""The HTTP application: routes of every wire format behind one gate."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Receive, Scope, Send

import icd
from icd.errors import IcdError, IcdMemoryError
from icd.serving import anthropic_messages, openai_chat, operations, records, responses
from icd.serving.errors import ApiError, bad_request
from icd.serving.gate import ErrorBody, Gate, error_reply
from icd.serving.service import Service

__all__ = ["create_app"]

_FORMATS = (openai_chat, responses, anthropic_messages, records, operations)
_ERROR_BODIES: dict[str, ErrorBody] = {**anthropic_messages.ERROR_BODIES}
"""By the beginning of a path: who writes errors otherwise than OpenAI."""


def create_app(service: Service, console: ASGIApp | None = None) -> ASGIApp:
    """Return the application. Without keys only requests for this machine's own names are answered.

    `console`: what answers at ``/ui``.

    The gate stands before the framework, not among its middlewares, which a request would pay for.
    """
    app = FastAPI(
        title="icd-runtime",
        version=icd.__version__,
        summary="Model calls of your agent, answered by a cheap model where it can be trusted.",
        docs_url=None,
        redoc_url=None,
    )
    bodies: list[type[BaseModel]] = []
    routes: list[BaseRoute] = []
    for part in _FORMATS:
        router: APIRouter = part.router(service)
        app.include_router(router)
        routes.extend(router.routes)
        bodies.extend(part.BODIES)
    if console is not None:
        app.mount("/ui", console)
    # The framework would write what passes it on the way to the gate.
    for kind in (Exception, HTTPException, RequestValidationError, IcdError, IcdMemoryError):
        app.add_exception_handler(kind, _written)
    _document(app, bodies)
    return Gate(
        Straight(app, endpoints=_plain_endpoints(routes)),
        service=service,
        error_bodies=_ERROR_BODIES,
    )


class Straight:
    """Takes requests to the routes that only want the request, past the framework's resolution of parameters.

    That costs more than all that this server does with a request itself.
    """

    def __init__(self, app: ASGIApp, *, endpoints: Mapping[tuple[str, str], APIRoute]) -> None:
        self._app = app
        self._endpoints = endpoints

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or pass on."""
        route = self._endpoints.get((scope["method"], scope["path"])) if scope["type"] == "http" else None
        if route is None:
            await self._app(scope, receive, send)
            return
        scope["route"] = route
        response = await route.endpoint(Request(scope, receive, send))
        await response(scope, receive, send)


def _plain_endpoints(routes: Iterable[BaseRoute]) -> dict[tuple[str, str], APIRoute]:
    """Return the routes without parameters, by method and path."""
    return {
        (method, route.path): route
        for route in routes
        if isinstance(route, APIRoute) and "{" not in route.path
        for method in route.methods or ()
    }


async def _written(request: Request, error: Exception) -> Response:
    """Write what went wrong between the framework and a route."""
    if isinstance(error, HTTPException):
        error = _http_error(request, error)
    elif isinstance(error, RequestValidationError):
        first = error.errors()[0]
        name = str(first["loc"][-1])
        error = bad_request(f"`{name}`: {first['msg']}", param=name)
    return error_reply(error, request.url.path, _ERROR_BODIES)


def _http_error(request: Request, error: HTTPException) -> ApiError:
    path = request.url.path[:200]
    if error.status_code == 404:
        return ApiError(404, f"there is nothing at {path}: see /openapi.json", code="unknown_url")
    if error.status_code == 405:
        allowed = (error.headers or {}).get("Allow", "another method")
        message = f"{request.method[:20]} is not possible at {path}: use {allowed}"
        return ApiError(405, message, code="method_not_allowed", headers=error.headers)
    return ApiError(error.status_code, str(error.detail), headers=error.headers)


def _document(app: FastAPI, bodies: Sequence[type[BaseModel]]) -> None:
    """Add to the OpenAPI document the request bodies, which the routes read themselves."""
    template = "#/components/schemas/{model}"

    def document() -> dict[str, Any]:
        if app.openapi_schema is None:
            found = get_openapi(title=app.title, version=app.version, summary=app.summary, routes=app.routes)
            _, schemas = models_json_schema([(body, "validation") for body in bodies], ref_template=template)
            components: dict[str, Any] = found.setdefault("components", {}).setdefault("schemas", {})
            components.update(schemas.get("$defs", {}))
            app.openapi_schema = found
        return app.openapi_schema

    app.openapi = document  # type: ignore[method-assign]
