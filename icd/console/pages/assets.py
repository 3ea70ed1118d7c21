"""The console's own files."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.exceptions import HTTPException
from starlette.responses import Response

from icd.console.rendering import asset

routes = APIRouter()
_KINDS = {"console.css": "text/css; charset=utf-8", "icon.svg": "image/svg+xml"}


@routes.get("/assets/{name}")
def file(name: str) -> Response:
    """Return a file; its address changes with its content."""
    if name not in _KINDS:
        raise HTTPException(404, "there is no such file")
    kept = {"Cache-Control": "public, max-age=31536000, immutable"}
    return Response(asset(name), media_type=_KINDS[name], headers=kept)
