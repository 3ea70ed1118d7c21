"""The memory: what is shown and what waits, what use it was, and who may show."""

from __future__ import annotations

from typing import Annotated, Literal, get_args

from fastapi import APIRouter, Query
from starlette.exceptions import HTTPException
from starlette.responses import Response

from icd.benchmark.statistics import wilson
from icd.console.curating import Action, change, change_source
from icd.console.finding import by_meaning
from icd.console.rendering import segment
from icd.console.visit import Here, Sent, Visit
from icd.exchange import restriction_of
from icd_memory.curation import ListedDemonstration
from icd_memory.figures import Page, Totals
from icd_memory.rows import Status

routes = APIRouter()
_MOST_SHOWN = 100
_Place = Annotated[int | None, Query(ge=0)]


@routes.get("/memory")
def listing(
    here: Here,
    status: Literal["", "demonstration", "quarantine", "rejected", "disabled"] = "demonstration",
    environment: str = "",
    source: str = "",
    text: Annotated[str, Query(max_length=200)] = "",
    how: Literal["words", "meaning"] = "words",
    order: Literal["newest", "shown"] = "newest",
    older: _Place = None,
    newer: _Place = None,
) -> Response:
    """A page of trajectories, or what a search finds."""
    pending = here.site.refresh()
    curation, text = here.site.store.curation, text.strip()
    environments = curation.environments(here.tenant)
    found, similarity, problem = None, {}, ""
    if text and how == "meaning":
        near = by_meaning(here.site, here.tenant, environment or next(iter(environments), ""), text)
        if near is None:
            problem = "There is no embedder here to search by meaning: this is what has these words."
        else:
            found = Page([one.demonstration for one in near], None, None)
            similarity = {one.demonstration.id: one.similarity for one in near}
    elif order == "shown" and not text:
        found = Page(curation.most_shown(here.tenant, _MOST_SHOWN), None, None)
    if found is None:
        found = curation.demonstrations(
            here.tenant, status=status or None, environment=environment or None, source=source or None,
            text=text or None, older=older, newer=newer,
        )  # fmt: skip
    return here.page(
        "memory.html", pending=pending, found=found, similarity=similarity, problem=problem,
        asked={
            "status": status, "environment": environment, "source": source, "text": text, "how": how, "order": order,
        },
        counts=curation.counts(here.tenant), environments=environments, sources=curation.sources(here.tenant),
        statuses=get_args(Status),
    )  # fmt: skip


@routes.get("/memory/{id:path}")
def one(here: Here, id: str, older: _Place = None, newer: _Place = None) -> Response:
    """A trajectory, what use it was, and where it was used."""
    here.site.refresh()
    store = here.site.store
    own = store.of(here.tenant)
    trajectory, stands = own.trajectories([id]).get(id), own.admission(id)
    if trajectory is None:
        raise HTTPException(404, "there is no such demonstration here")
    listed = store.curation.one(here.tenant, id)
    return here.page(
        "demonstration.html",
        id=id,
        trajectory=trajectory,
        stands=stands,
        restriction=restriction_of(trajectory),
        level=store.trust.levels(here.tenant).get(trajectory.provenance.source),
        listed=listed,
        won=wilson(listed.won, listed.judged) if listed else None,
        others=_others(here, listed) if listed else None,
        uses=store.curation.uses(here.tenant, id, older=older, newer=newer),
    )


def _others(here: Visit, listed: ListedDemonstration) -> Totals:
    """Return the sums of the other episodes of its kind, in which students took steps."""
    rows = here.site.store.figures.totals(here.tenant, category=listed.category)
    mine = Totals.over([row for row in rows if row.student_steps])
    return Totals(
        episodes=mine.episodes - listed.episodes,
        judged=mine.judged - listed.judged,
        won=mine.won - listed.won,
    )


@routes.post("/memory/change")
def change_one(here: Here, sent: Sent) -> Response:
    """Disable, show again, approve or reject a trajectory."""
    action = _known(sent.text("action"), get_args(Action))
    id = sent.text("id")
    return here.back(f"/memory/{segment(id)}", change(here, id, action, sent.text("why", 500)))  # type: ignore[arg-type]


@routes.post("/memory/source")
def change_all(here: Here, sent: Sent) -> Response:
    """Trust a source, or recall it."""
    action = _known(sent.text("action"), ("approve", "recall"))
    source = sent.text("source")
    return here.back("/memory", change_source(here, source, action, sent.text("why", 500)))  # type: ignore[arg-type]


def _known(action: str, known: tuple[str, ...]) -> str:
    if action not in known:
        raise HTTPException(400, f"“{action[:50]}” cannot be done here")
    return action
