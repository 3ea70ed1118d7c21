"""What was played and answered: a list, and each episode step by step."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Query
from starlette.exceptions import HTTPException
from starlette.responses import Response

from icd.console.steps import excerpt_ids, shown_step
from icd.console.visit import Here
from icd_memory.figures import EpisodeFilter

routes = APIRouter()
_STEPS = 40
"""Of an episode on a page."""
_ENDS: dict[str, dict[str, bool]] = {
    "": {},
    "won": {"success": True},
    "lost": {"success": False},
    "unknown": {"judged": False},
}
_Day = Annotated[str, Query(pattern=r"^(\d{4}-\d{2}-\d{2})?$")]
_Place = Annotated[int | None, Query(ge=0)]


@routes.get("/episodes")
def listing(
    here: Here,
    run: str = "",
    method: str = "",
    category: str = "",
    end: Literal["", "won", "lost", "unknown"] = "",
    teacher: Literal["", "yes", "no"] = "",
    since: _Day = "",
    until: _Day = "",
    text: Annotated[str, Query(max_length=200)] = "",
    older: _Place = None,
    newer: _Place = None,
) -> Response:
    """A page of episodes, the newest first, narrowed as asked."""
    pending = here.site.refresh()
    figures = here.site.store.figures
    wanted = EpisodeFilter(
        run_id=run or None, method=method or None, category=category or None,
        escalated=None if not teacher else teacher == "yes", since=since or None, until=until or None,
        text=text.strip() or None, **_ENDS[end],
    )  # fmt: skip
    asked = {
        "run": run, "method": method, "category": category, "end": end, "teacher": teacher, "since": since,
        "until": until, "text": text,
    }  # fmt: skip
    return here.page(
        "episodes.html",
        pending=pending,
        found=figures.episodes(here.tenant, wanted, older=older, newer=newer),
        asked=asked,
        scopes=figures.scopes(here.tenant),
        categories=figures.categories(here.tenant),
    )


@routes.get("/episodes/{id:path}")
def one(here: Here, id: str, start: Annotated[int, Query(ge=0)] = 0) -> Response:
    """An episode, step by step."""
    here.site.refresh()
    store = here.site.store
    rows = store.figures.receipts(here.tenant, id, start, _STEPS + 1)
    found = store.figures.episode(here.tenant, id)
    if found is None and not rows:
        raise HTTPException(404, "there is no such episode here")
    shown = rows[:_STEPS]
    goals = store.figures.goals(here.tenant, excerpt_ids(shown))
    return here.page(
        "episode.html",
        id=id,
        found=found,
        steps=[shown_step(row, goals) for row in shown],
        feedback=store.feedback(here.tenant, id),
        start=start,
        before=max(start - _STEPS, 0) if start else None,
        after=start + _STEPS if len(rows) > _STEPS else None,
    )
