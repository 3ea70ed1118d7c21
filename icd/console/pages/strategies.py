"""The strategies: what waits for a reviewer, what each says and did, and what is decided about it."""

from __future__ import annotations

from collections import Counter
from typing import Annotated, Literal, get_args

from fastapi import APIRouter, Query
from starlette.exceptions import HTTPException
from starlette.responses import Response

from icd.benchmark.statistics import wilson
from icd.console.rendering import segment
from icd.console.visit import Form, Here, Sent, Visit
from icd.strategy_texts import difference
from icd.strategy_use import known_tools
from icd_memory.strategies import StrategyLibrary
from icd_memory.strategy import MeasuredUse, Strategy, StrategyStatus, StrategyText

routes = APIRouter()
_MOST = 100
_Version = Annotated[int | None, Query(ge=1)]
_OFFERED: dict[str, tuple[tuple[str, str, str], ...]] = {
    "proposed": (("approve", "Approve: show it", "quiet"), ("reject", "Reject", "grave")),
    "held": (("approve", "Approve in spite of that", "quiet"), ("reject", "Reject", "grave")),
    "approved": (("retire", "Retire: show it no more", "grave"),),
    "retired": (("approve", "Approve again", "quiet"),),
}
"""By status: action, label, kind of button."""


def _library(here: Visit) -> StrategyLibrary:
    return StrategyLibrary(here.site.store, tools_of=known_tools, now=here.site.now)


@routes.get("/strategies")
def listing(
    here: Here,
    status: Literal["", "proposed", "held", "approved", "rejected", "retired"] = "",
    environment: str = "",
    page: Annotated[int, Query(ge=0, le=10_000)] = 0,
) -> Response:
    """A page of strategies with what was measured of them."""
    library = _library(here)
    every = library.list(tenant=here.tenant)
    fitting = [
        one
        for one in every
        if (not status or one.status == status) and (not environment or one.environment == environment)
    ]
    measured = library.all_measured(tenant=here.tenant)
    shown = fitting[::-1][page * _MOST : (page + 1) * _MOST]
    return here.page(
        "strategies.html",
        rows=[(one, measured.get(one.id, MeasuredUse())) for one in shown],
        asked={"status": status, "environment": environment},
        counts=Counter(one.status for one in every),
        statuses=get_args(StrategyStatus),
        environments=sorted({one.environment for one in every}),
        page=page,
        further=len(fitting) > (page + 1) * _MOST,
    )


@routes.get("/strategies/{id:path}")
def one(here: Here, id: str, old: _Version = None, new: _Version = None) -> Response:
    """A strategy: its text, its effect, its versions and its history."""
    library = _library(here)
    found = library.get(id, tenant=here.tenant)
    versions = {version.version: version for version in library.versions(id, tenant=here.tenant)}
    last = new or max(versions)
    first = old or max(1, last - 1)
    if missing := {first, last} - set(versions):
        raise HTTPException(404, f"there is no version {min(missing)}")
    measured = library.measured(id, tenant=here.tenant)
    outcomes = (measured.shown_outcomes, measured.other_outcomes)
    return here.page(
        "strategy.html",
        found=found,
        measured=measured,
        with_it=wilson(outcomes[0].successes, outcomes[0].episodes),
        without=wilson(outcomes[1].successes, outcomes[1].episodes),
        tests=library.tests(id, tenant=here.tenant),
        history=library.history(id, tenant=here.tenant),
        versions=sorted(versions),
        first=first,
        last=last,
        difference=difference(versions[first], versions[last]) if first != last else [],
        offered=() if found.merged_into else _OFFERED.get(found.status, ()),
    )


@routes.post("/strategies/change")
def change(here: Here, sent: Sent) -> Response:
    """Approve, reject or retire the version that the reviewer has seen."""
    library = _library(here)
    seen, why = _seen(here, library, sent), sent.text("why", 500)
    actions = {"approve": library.approve, "reject": library.reject, "retire": library.retire}
    action = actions.get(sent.text("action"))
    if action is None:
        raise HTTPException(400, "this cannot be done here")
    changed = action(seen.id, by=here.session.name, why=why, tenant=here.tenant)
    return here.back(f"/strategies/{segment(changed.id)}", f"It is {changed.status}.")


@routes.post("/strategies/edit")
def edit(here: Here, sent: Sent) -> Response:
    """Store a new version, which waits for approval."""
    library = _library(here)
    seen, why = _seen(here, library, sent), sent.text("why", 500)
    text = StrategyText(
        sent.text("scenario", 5_000), sent.text("guidance", 20_000), sent.get("category", "")[:500]
    )
    edited = library.edit(
        seen.id, text, by=here.session.name, why=why, based_on=seen.version, tenant=here.tenant
    )
    if edited.version == seen.version:
        said = "Nothing was changed."
    elif edited.status == "held":
        said = f"Version {edited.version} is held back: {edited.reason}"
    else:
        said = f"Version {edited.version} waits for approval."
    return here.back(f"/strategies/{segment(edited.id)}", said)


def _seen(here: Visit, library: StrategyLibrary, sent: Form) -> Strategy:
    """Return the strategy that a form is about. Raises `HTTPException` if it says something else by now."""
    found = library.get(sent.text("id"), tenant=here.tenant)
    if sent.get("version") != str(found.version):
        raise HTTPException(409, f"there is a version {found.version} by now: read it first")
    return found
