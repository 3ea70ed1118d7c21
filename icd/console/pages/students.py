"""The students: which there are, who is used, and how a candidate on trial stands."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.exceptions import HTTPException
from starlette.responses import Response

from icd.console.experiments import RUNS_TENANT
from icd.console.trials import trial
from icd.console.visit import Here, Sent
from icd.offline.active import read_pointer
from icd.offline.gate import history, roll_back
from icd.offline.registry import datasets, students

routes = APIRouter()


@routes.get("/students")
def page(here: Here) -> Response:
    """The registry, who is active or on trial, and what was decided."""
    here.site.refresh()
    if here.tenant != RUNS_TENANT:
        return here.page("not_yours.html", what="Students", whose=RUNS_TENANT)
    store = here.site.store
    pointer = read_pointer(store)
    return here.page(
        "students.html",
        pointer=pointer,
        students=students(store)[::-1],
        datasets=datasets(store)[::-1],
        decided=history(store)[::-1],
        trial=trial(store, pointer.canary) if pointer.canary else None,
    )


@routes.post("/students/roll-back")
def go_back(here: Here, sent: Sent) -> Response:
    """End the trial; without one, go back to the student before the active one."""
    if here.tenant != RUNS_TENANT:
        raise HTTPException(403, f"only operators of the tenant {RUNS_TENANT} may do this")
    event = roll_back(here.site.store, f"{sent.text('why', 500)} ({here.session.name})", here.site.now)
    return here.back("/students", f"{event.student} is {event.decision}.")
