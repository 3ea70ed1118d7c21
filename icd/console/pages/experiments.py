"""Benchmark runs: a list, and as many as are chosen side by side."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from starlette.exceptions import HTTPException
from starlette.responses import Response

from icd.console.experiments import RUNS_TENANT, listed
from icd.console.visit import Here

routes = APIRouter()
_MOST = 6
"""Runs side by side."""


@routes.get("/experiments")
def page(here: Here, run: Annotated[list[str] | None, Query(max_length=_MOST)] = None) -> Response:
    """The runs; of those that are chosen, success against cost, differences, ablations and all else that reports show."""
    pending = here.site.refresh()
    if here.tenant != RUNS_TENANT:
        return here.page("not_yours.html", what="Experiments", whose=RUNS_TENANT)
    runs = listed(here.site.store)
    wanted = list(dict.fromkeys(run or ()))
    known = {one.id for one in runs if not one.collection}
    if unknown := [id for id in wanted if id not in known]:
        raise HTTPException(404, f"there is no comparison “{unknown[0][:200]}” here")
    found = here.site.reports.compared(wanted) if wanted else None
    return here.page("experiments.html", pending=pending, runs=runs, wanted=wanted, found=found)
