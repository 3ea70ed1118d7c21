"""Signing in, with an operator's key or by the link that was printed at the start; and out."""

from __future__ import annotations

import asyncio
import hmac
import secrets
from typing import Annotated

from fastapi import APIRouter, Cookie, Request
from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse, RedirectResponse, Response

from icd.console.rendering import BASE, render
from icd.console.site import Site
from icd.console.visit import COOKIE, Form, Here, Sent, own_path, read_form, site_of
from icd.serving.keys import RevokedKeyError, UnknownKeyError

routes = APIRouter()
_BEFORE = "icd_sign_in"
"""A cookie that the form has to match: nobody can be signed in from elsewhere as somebody else."""
_PER_MINUTE = 20


@routes.get("/sign-in")
def form(request: Request, next: str = "", link: str = "") -> Response:
    """Ask who comes."""
    return _form(request, site_of(request), next=next, link=link)


def _form(
    request: Request, site: Site, *, next: str, link: str = "", problem: str = "", status: int = 200
) -> Response:
    before = secrets.token_urlsafe(32)
    fits = site.link is not None and site.link.fits(link)
    if link and not fits and not problem:
        problem = "This link was used already, or belongs to another start of the console."
    shown = render(
        "sign_in.html", before=before, next=own_path(next), link=link if fits else "", problem=problem,
        tenant=site.link.tenant if site.link else "",
    )  # fmt: skip
    answer = HTMLResponse(shown, status)
    answer.set_cookie(
        _BEFORE, before, max_age=3600, path=f"{BASE}/sign-in", httponly=True, samesite="strict",
        secure=_is_secure(request),
    )  # fmt: skip
    return answer


@routes.post("/sign-in")
async def sign_in(request: Request, icd_sign_in: Annotated[str, Cookie()] = "") -> Response:
    """Let an operator in."""
    site = site_of(request)
    sent = await read_form(request)
    if not icd_sign_in or not hmac.compare_digest(sent.get("before", "").encode(), icd_sign_in.encode()):
        raise HTTPException(403, "this form is too old: load its page again")
    host = request.client.host if request.client else ""
    if site.limiter.check(host, _PER_MINUTE, site.clock()) > 0:
        raise HTTPException(429, "too many attempts to sign in: wait a minute")
    token, problem = await _token(site, sent)
    if token is None:
        return _form(request, site, next=sent.get("next", ""), problem=problem, status=401)
    answer = RedirectResponse(own_path(sent.get("next", "")), 303)
    answer.set_cookie(COOKIE, token, path=BASE, httponly=True, samesite="strict", secure=_is_secure(request))
    answer.delete_cookie(_BEFORE, path=f"{BASE}/sign-in")
    return answer


async def _token(site: Site, sent: Form) -> tuple[str | None, str]:
    """Return the session's token, or why there is none."""
    if link := sent.get("link", ""):
        if site.link is None or not site.link.use(link):
            return None, "This link was used already."
        return site.sessions.open("", site.link.tenant, "console"), ""
    try:
        caller = await site.keys.verify(sent.get("key", "").strip())
    except (UnknownKeyError, RevokedKeyError):
        return None, "This key is not known here, or was revoked."
    if caller.role != "operator":
        return None, "This key is an agent's: use an operator's (icd keys create --role operator)."
    row = await asyncio.to_thread(site.store.accounts.key, caller.account)
    name = row.name if row is not None and row.name else caller.account
    return site.sessions.open(caller.account, caller.tenant, name), ""


@routes.post("/sign-out")
async def sign_out(here: Here, sent: Sent) -> Response:
    """End the session."""
    here.site.sessions.close(here.request.cookies.get(COOKIE, ""))
    answer = RedirectResponse(f"{BASE}/sign-in", 303)
    answer.delete_cookie(COOKIE, path=BASE)
    return answer


def _is_secure(request: Request) -> bool:
    """Say whether the browser speaks HTTPS, to us or to a proxy before us: then cookies go over nothing else."""
    return "https" in (request.url.scheme, request.headers.get("x-forwarded-proto", ""))
