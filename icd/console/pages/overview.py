"""What is saved, and at what success."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import Response

from icd.console.overview import break_even_words, choose_scope, overview
from icd.console.visit import Here

routes = APIRouter()


@routes.get("/")
def page(here: Here, run: str = "", method: str = "", since: str = "", until: str = "") -> Response:
    """Success, cost beside the teacher's, escalations and break-even; over time and by kind of task."""
    pending = here.site.refresh()
    scopes = here.site.store.figures.scopes(here.tenant)
    scope = choose_scope(scopes, run, method)
    found = None if scope is None else overview(here.site.store, here.tenant, scope, since, until)
    words = break_even_words(found.whole.break_even) if found and found.whole.break_even else ""
    return here.page(
        "overview.html", pending=pending, scopes=scopes, scope=scope, found=found, since=since, until=until,
        break_even=words,
    )  # fmt: skip
