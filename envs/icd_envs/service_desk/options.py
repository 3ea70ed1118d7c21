"""The commands that the desk can choose among: a finite list, made from what it knows.

What is not on the list may be written too, e.g. a refund of another amount. The list names much that would be wrong: it
follows from what is known, not from what is due.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from icd_envs.service_desk.acts import ACTS, SAY
from icd_envs.service_desk.commands import CLOSE, READ
from icd_envs.service_desk.knowledge import Knowledge
from icd_envs.service_desk.policies import POLICIES

_DAY = re.compile(r"\b\d{4}-\d\d-\d\d\b")
_EMAIL = re.compile(r"\b[\w.]+@[\w.]+\w\b")
_ADDRESS = re.compile(r"\b\d{1,3} [a-z]+ [a-z]+\b")
_NEED = re.compile(r"\b(a wheelchair|a guide dog seat|a hearing loop|boarding help)\b", re.IGNORECASE)
_LESS = re.compile(r"\b(\d+\.\d\d) less\b")
_REFUNDS: Final = ("full", "shipping", "10 percent", "duplicate")
_FOR_ITEMS: Final = ("refund", "replace", "return", "repair")


def options(known: Knowledge) -> tuple[str, ...]:
    """Return what can be done now: acts, policies not read yet, tools for what is known, and to close."""
    acts = [SAY + act for act in ACTS]
    topics = [f"{READ} {topic}" for topic in POLICIES if topic not in known.policies]
    return (*acts, *topics, *_tools(known), CLOSE)


def _tools(known: Knowledge) -> Iterator[str]:
    for thing, number in known.references:
        if (thing, number) not in known.records:
            yield f"lookup {thing} {number}"
        yield from _FOR[thing](known, number) if thing in _FOR else ()


def _order(known: Knowledge, number: str) -> Iterator[str]:
    if ("order", number) not in known.records:
        return
    amounts = _LESS.findall(known.replies.get("proof", ""))
    yield from (f"refund order {number} {kind}" for kind in (*_REFUNDS, *amounts))
    for item in known.items:
        yield from (f"{verb} order {number} item {item}" for verb in _FOR_ITEMS)
    yield from (f"{verb} order {number}" for verb in ("trace", "complain"))
    for place in _ADDRESS.findall(known.replies.get("details", "")):
        yield f"redirect order {number} to {place}"


def _booking(known: Knowledge, number: str) -> Iterator[str]:
    details = known.replies.get("details", "")
    yield f"cancel booking {number}"
    yield from (f"rebook booking {number} {day}" for day in _DAY.findall(details))
    yield from (f"assist booking {number} with {need.lower()}" for need in _NEED.findall(details))


def _subscription(known: Knowledge, number: str) -> Iterator[str]:
    yield from (f"{verb} subscription {number}" for verb in ("pause", "cancel"))


def _customer(known: Knowledge, number: str) -> Iterator[str]:
    if not known.identity:
        born = _DAY.findall(known.replies.get("birth", ""))
        yield from (f"verify customer {number} born {day}" for day in born)
    mails = _EMAIL.findall(known.replies.get("details", ""))
    yield from (f"change customer {number} email {mail}" for mail in mails)
    yield f"delete customer {number}"


def _card(known: Knowledge, number: str) -> Iterator[str]:
    yield f"reissue card {number}"


def _ticket(known: Knowledge, number: str) -> Iterator[str]:
    yield f"escalate ticket {number}"


_FOR: Final = {
    "order": _order,
    "booking": _booking,
    "subscription": _subscription,
    "customer": _customer,
    "card": _card,
    "ticket": _ticket,
}
