"""Taking strategies in from a file: new ones are proposed, edited ones become new versions, conflicts are told.

Nothing is deleted, and no approval travels by itself: another library's reviewer is not this one's.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple

from icd_memory.errors import StrategyConflictError, StrategyNotFoundError, StrategyStatusError
from icd_memory.strategies import StrategyLibrary
from icd_memory.strategy import Strategy, StrategyDraft
from icd_memory.strategy_files import StrategyEntry

TakenAs = Literal["new", "edited", "unchanged", "conflict"]


class Taken(NamedTuple):
    """What became of one entry."""

    id: str
    taken: TakenAs
    status: str
    """Of the strategy afterwards."""
    detail: str = ""
    """Why there is a conflict, or why the text is held back."""


def take_in(
    library: StrategyLibrary,
    entries: Iterable[StrategyEntry],
    *,
    by: str,
    why: str,
    tenant: str = "default",
    approve: bool = False,
) -> Sequence[Taken]:
    """Take entries in, one by one: the same file twice is once.

    Args:
        library: where they go.
        entries: what the file holds.
        by: who takes them in.
        why: for the history.
        tenant: whose library it is.
        approve: what the file calls approved is approved here too, by the same person; but nothing that is held back.
    """
    taken = []
    for entry in entries:
        one = _take(library, entry, by, why, tenant)
        if approve and entry.status == "approved" and one.taken != "conflict" and one.status == "proposed":
            one = one._replace(status=library.approve(one.id, by=by, why=why, tenant=tenant).status)
        taken.append(one)
    return taken


def _take(library: StrategyLibrary, entry: StrategyEntry, by: str, why: str, tenant: str) -> Taken:
    draft = StrategyDraft(
        entry.scenario, entry.guidance, entry.environment, entry.category, tenant, entry.provenance, entry.id
    )
    try:
        present = library.get(draft.identity, tenant=tenant)
    except StrategyNotFoundError:
        return _told(library.propose(draft, by=by, why=why), "new")
    if present.environment != entry.environment:
        return Taken(
            present.id, "conflict", present.status, f"it belongs to the environment {present.environment}"
        )
    if _is_known(library, entry, present):
        return _told(present, "unchanged")
    try:
        edited = library.edit(
            present.id, draft.text, by=by, why=why, based_on=entry.version, origin=draft.origin, tenant=tenant
        )
    except (StrategyConflictError, StrategyStatusError) as error:
        return Taken(present.id, "conflict", present.status, str(error))
    return _told(edited, "edited")


def _is_known(library: StrategyLibrary, entry: StrategyEntry, present: Strategy) -> bool:
    """Say whether an entry is the present text, or an older one that nobody edited in the file."""
    if entry.text == present.text:
        return True
    versions = library.versions(present.id, tenant=present.tenant)
    return any(old.version == entry.version and old.text == entry.text for old in versions)


def _told(strategy: Strategy, taken: TakenAs) -> Taken:
    return Taken(strategy.id, taken, strategy.status, strategy.reason if strategy.status == "held" else "")
