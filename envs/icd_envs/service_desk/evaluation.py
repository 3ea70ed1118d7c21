"""Judging a conversation that is over: the records against what was due, the violations, the satisfaction."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from icd_envs.service_desk.case import Case
from icd_envs.service_desk.conduct import Conduct
from icd_envs.service_desk.customer import UPSET
from icd_envs.service_desk.database import Change, Database, Tables, changes
from icd_envs.service_desk.rubric import GOOD, Conversation, Result, satisfaction
from icd_envs.service_desk.tools import effect

_HANDLED: Final[Mapping[Result, str]] = {
    "met": "The need was met.",
    "refused": "It was rightly refused.",
    "declined": "The customer declined the fee.",
    "missed": "The need was not handled as the policies demand.",
}


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a conversation came to."""

    conversation: Conversation
    """What the rubric was given."""
    satisfaction: float
    violations: tuple[str, ...]
    """Named, in order; promises that were not kept among them."""
    missing: frozenset[Change]
    """Changes that were due and not made."""
    extra: frozenset[Change]
    """Changes that were made and not allowed."""

    @property
    def won(self) -> bool:
        """The need was handled as the policies demand, nothing was violated, and the customer was satisfied."""
        handled = self.conversation.result != "missed" and not self.conversation.left
        return handled and not self.violations and self.satisfaction >= GOOD

    @property
    def told(self) -> str:
        """The verdict in words, for who reads the end of an episode."""
        handled = _HANDLED[self.conversation.result]
        broken = f" Violations: {', '.join(self.violations)}." if self.violations else ""
        return f"Satisfaction: {self.satisfaction:g} of 10. {handled}{broken}"


def evaluate(case: Case, conduct: Conduct, after: Tables) -> Verdict:
    """Judge what the desk did (`conduct`) and left behind (`after`)."""
    before = Database(case.tables).snapshot()
    made = changes(before, after)
    due = _due(case)
    missing, extra = due - made, made - due
    broken = [promise for promise in conduct.promises if not _kept(promise, made)]
    violations = conduct.violations | {f"not_due: {change.table}" for change in extra}
    result = _result(case, conduct, handled=not missing and not extra)
    conversation = Conversation(
        result=result,
        needless=conduct.needless,
        waits=conduct.waits,
        unsoothed=case.mood >= UPSET and "apologise" not in conduct.said,
        untold=conduct.told < len(conduct.done) or "tell what was done" not in conduct.said,
        false_promises=len(broken),
        violations=len(violations),
        alternatives="name the alternatives" in conduct.said,
        left=conduct.left,
    )
    named = sorted(violations) + [f"false_promise: {promise}" for promise in broken]
    return Verdict(conversation, satisfaction(conversation), tuple(named), missing, extra)


def _due(case: Case) -> frozenset[Change]:
    database = Database(case.tables)
    before = database.snapshot()
    effect(case.commands, database)
    return changes(before, database.snapshot())


def _result(case: Case, conduct: Conduct, *, handled: bool) -> Result:
    if not handled:
        return "missed"
    if case.ending == "refused":
        return "refused" if case.reason in conduct.refusals else "missed"
    if case.ending == "declined":
        return "declined" if "state the fee and ask for consent" in conduct.said else "missed"
    return "met"


def _kept(promise: str, made: frozenset[Change]) -> bool:
    if promise == "refund":
        return any(change.table == "refunds" for change in made)
    if promise == "replacement":
        return any(change.id.startswith("replacement ") for change in made)
    return any(change.table == "tickets" for change in made)
