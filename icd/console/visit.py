"""What a page gets: who visits, what their form says, and how it answers."""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import parse_qsl, urlsplit

from fastapi import Depends, Request
from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse, RedirectResponse, Response

from icd.console.rendering import BASE, render
from icd.console.sessions import Session
from icd.console.site import Site

__all__ = ["COOKIE", "Form", "Here", "Sent", "SignInNeededError", "Visit", "own_path", "read_form", "site_of"]

COOKIE = "icd_console"
_LONGEST_FORM = 200_000
_MOST_FIELDS = 50


class SignInNeededError(Exception):
    """Nobody is signed in."""


def site_of(request: Request) -> Site:
    """Return the console that a request came to."""
    found: Site = request.app.state.site
    return found


@dataclass(frozen=True, slots=True)
class Visit:
    """An operator at a page."""

    request: Request
    site: Site
    session: Session
    token: str

    @property
    def tenant(self) -> str:
        """Whose data the operator sees."""
        return self.session.tenant

    def page(self, template: str, status: int = 200, **values: Any) -> Response:
        """Return a page."""
        told = {
            "session": self.session,
            "place": self.site.store.place,
            "path": self.request.url.path,
            "done": self.site.sessions.said(self.token),
        }
        return HTMLResponse(render(template, **{**told, **values}), status)

    def back(self, path: str, done: str = "") -> Response:
        """Return what leads on to a page after a change, which then says what was `done`."""
        self.site.sessions.say(self.token, done)
        return RedirectResponse(f"{BASE}{path}", 303)


def _visit(request: Request) -> Visit:
    site = site_of(request)
    token = request.cookies.get(COOKIE, "")
    session = site.session(token)
    if session is None:
        raise SignInNeededError
    return Visit(request, site, session, token)


Here = Annotated[Visit, Depends(_visit)]


class Form(dict[str, str]):
    """The fields of a form."""

    def text(self, name: str, most: int = 2_000) -> str:
        """Return a field, which must not be blank. Raises `HTTPException`."""
        value = self.get(name, "").strip()
        if not value:
            raise HTTPException(400, f"“{name}” must not be empty")
        if len(value) > most:
            raise HTTPException(400, f"“{name}” must not be longer than {most} characters")
        return value


async def read_form(request: Request) -> Form:
    """Return the fields of a form that was sent as browsers do it without files.

    Raises:
        HTTPException: it is too large, of another kind, or comes from another site.
    """
    _check_origin(request)
    if (
        request.headers.get("content-type", "").partition(";")[0].strip()
        != "application/x-www-form-urlencoded"
    ):
        raise HTTPException(415, "this takes what a form of the console sends")
    pieces, size = [], 0
    async for piece in request.stream():
        size += len(piece)
        if size > _LONGEST_FORM:
            raise HTTPException(413, "this is longer than a form may be")
        pieces.append(piece)
    try:
        pairs = parse_qsl(
            b"".join(pieces).decode(), keep_blank_values=True, max_num_fields=_MOST_FIELDS, errors="strict"
        )
    except ValueError as error:
        raise HTTPException(400, "the form cannot be read") from error
    # Browsers send line ends as the protocols of mail want them.
    return Form((name, value.replace("\r\n", "\n")) for name, value in pairs)


def _check_origin(request: Request) -> None:
    """Refuse what another site sends: a second wall behind the token of each form."""
    origin = request.headers.get("origin")
    if origin is not None and urlsplit(origin).netloc != request.headers.get("host"):
        raise HTTPException(403, "this was sent by another site")


async def _checked_form(request: Request, here: Here) -> Form:
    form = await read_form(request)
    if not hmac.compare_digest(form.pop("csrf", "").encode(), here.session.csrf.encode()):
        raise HTTPException(403, "this form is too old: load its page again")
    return form


Sent = Annotated[Form, Depends(_checked_form)]
"""The form of a signed-in operator, sent from a page of this session."""


def own_path(path: str) -> str:
    """Return where to go after signing in: a page of this console, whatever was asked for."""
    plain = path.startswith(f"{BASE}/") and not any(mark in path for mark in ("\\", "//", "\r", "\n"))
    return path if plain else f"{BASE}/"
