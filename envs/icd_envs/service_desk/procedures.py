"""How an expert handles each kind of problem: whom to ask what, and what the records make of it.

Read from what the desk knows only. A procedure is recognised by the customer's own words.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from icd_envs.service_desk.acts import Question
from icd_envs.service_desk.knowledge import Knowledge

_EARLY_DAYS: Final = 14
_LATE_DAYS: Final = 7


@dataclass(frozen=True, slots=True)
class Way:
    """What to do, and why: a tool's command without its number, a refusal's reason, or leave it as it is."""

    why: str
    tool: str = ""
    """With ``#`` in the place of the number."""
    refusal: str = ""
    offer: bool = False
    """Offer a pause first."""
    fee: bool = False
    """Ask for consent to the fee first."""


@dataclass(frozen=True, slots=True)
class Procedure:
    """One kind of problem."""

    cue: str
    """A pattern of the words by which one knows it."""
    topic: str
    decide: Callable[[Knowledge], Way]
    asks: tuple[Question, ...] = ()
    """What has to be asked, besides what happened and the number."""
    identity: bool = False
    ask_if: tuple[Question, str] | None = None
    """Ask this too, if the record of the parcel says so."""

    def questions(self, known: Knowledge) -> tuple[Question, ...]:
        """Return what has to be asked, now that the record is known."""
        if self.ask_if and self.ask_if[1] in _field(known, "order", "parcel"):
            return (*self.asks, self.ask_if[0])
        return self.asks


def procedure_for(known: Knowledge) -> Procedure | None:
    """Return the procedure for what the customer said happened; None if that is not known, or not understood."""
    text = known.replies.get("happened", "").lower()
    return next((one for one in PROCEDURES if text and re.search(one.cue, text)), None)


def _field(known: Knowledge, thing: str, name: str) -> str:
    return (known.record(thing) or {}).get(name, "")


def _item(known: Knowledge) -> str:
    """The item that the customer spoke of."""
    text = known.replies.get("happened", "").lower()
    return next((item for item in known.items if item in text), next(iter(known.items), ""))


def _number(text: str) -> int:
    found = re.search(r"\d+", text)
    return int(found.group()) if found else 0


def _in_stock(known: Knowledge) -> bool:
    return f"{_item(known)} yes" in _field(known, "order", "stock")


def _late(known: Knowledge) -> Way:
    days = _number(_field(known, "order", "parcel"))
    if days <= _LATE_DAYS:
        return Way("It is late by 7 days or less, so I refund the shipping.", "refund order # shipping")
    return Way("It is late by more than 7 days, so I refund 10 percent.", "refund order # 10 percent")


def _lost(known: Knowledge) -> Way:
    if "trace ended" not in _field(known, "order", "parcel"):
        return Way("There was no scan for more than 14 days, so I open a trace.", "trace order #")
    if "new one" in known.replies.get("wish", ""):
        return Way(
            "It is lost and they wish a new one, so I replace it.", f"replace order # item {_item(known)}"
        )
    return Way("It is lost and they wish their money back, so I refund it in full.", "refund order # full")


def _address(known: Knowledge) -> Way:
    if "not sent" not in _field(known, "order", "parcel"):
        return Way("The parcel is on its way, so I refuse.", refusal="the parcel is already on its way")
    place = re.search(r"\b\d{1,3} [a-z]+ [a-z]+\b", known.replies.get("details", ""))
    to = place.group() if place else ""
    return Way("The parcel is not sent yet, so I redirect it.", f"redirect order # to {to}")


def _damaged(known: Knowledge) -> Way:
    item = _item(known)
    if "new one" not in known.replies.get("wish", ""):
        return Way(
            "There is a photo and they wish their money back, so I refund the item.",
            f"refund order # item {item}",
        )
    return _right_item(known)


def _right_item(known: Knowledge) -> Way:
    item = _item(known)
    if _in_stock(known):
        return Way(
            "There is a photo and the item is in stock, so I replace it.", f"replace order # item {item}"
        )
    return Way("The item is out of stock, so I refund it.", f"refund order # item {item}")


def _unwanted(known: Knowledge) -> Way:
    if "open" in _field(known, "order", "returns"):
        return Way("The return window is open, so I make a return.", f"return order # item {_item(known)}")
    return Way("The return window is closed, so I refuse.", refusal="outside the return window")


def _broken(known: Knowledge) -> Way:
    if "valid" in _field(known, "order", "warranty"):
        return Way("The warranty is valid, so I send it to repair.", f"repair order # item {_item(known)}")
    return Way("The warranty has ended, so I refuse.", refusal="outside the warranty")


def _charged(known: Knowledge) -> Way:
    if "charged twice" in _field(known, "order", "payment"):
        return Way("They were charged twice, so I refund the duplicate.", "refund order # duplicate")
    return Way(
        "The second charge is only reserved, so I refuse.", refusal="the second charge is only reserved"
    )


def _cheaper(known: Knowledge) -> Way:
    if _number(_field(known, "order", "placed")) > _EARLY_DAYS:
        return Way(
            "They bought it more than 14 days ago, so I refuse.", refusal="the price promise has ended"
        )
    less = re.search(r"\d+\.\d\d", known.replies.get("proof", ""))
    amount = less.group() if less else ""
    return Way("They bought it within 14 days, so I refund the difference.", f"refund order # {amount}")


def _card(known: Knowledge) -> Way:
    if "expired" in _field(known, "card", "state"):
        return Way("The card has expired, so I refuse.", refusal="the card has expired")
    return Way("The card is blocked, so I reissue it.", "reissue card #")


def _complaint(known: Knowledge) -> Way:
    ticket = re.search(r"ticket (\d+)", _field(known, "order", "tickets"))
    if ticket:
        return Way("There is an open ticket, so I escalate it.", f"escalate ticket {ticket.group(1)}")
    return Way("There is no ticket, so I open a complaint.", "complain order #")


def _fare(known: Knowledge, tool: str) -> Way:
    fare = _field(known, "booking", "fare")
    if fare.startswith("fixed"):
        return Way("The fare is fixed, so I refuse.", refusal="the fare does not allow it")
    if fare.startswith("standard"):
        return Way("They agreed to the fee, so I do it.", tool, fee=True)
    return Way("The fare is flexible, so I do it.", tool)


def _new_date(known: Knowledge) -> Way:
    day = re.search(r"\d{4}-\d\d-\d\d", known.replies.get("details", ""))
    return _fare(known, f"rebook booking # {day.group() if day else ''}")


def _no_trip(known: Knowledge) -> Way:
    return _fare(known, "cancel booking #")


def _assistance(known: Knowledge) -> Way:
    need = re.search(
        r"a wheelchair|a guide dog seat|a hearing loop|boarding help",
        known.replies.get("details", "").lower(),
    )
    return Way("Assistance is free, so I book it.", f"assist booking # with {need.group() if need else ''}")


def _subscription(known: Knowledge) -> Way:
    accepted = known.answers.get("offer a pause", "").startswith("Yes")
    if accepted:
        return Way("They accept the pause, so I pause it.", "pause subscription #", offer=True)
    return Way("They do not want a pause, so I cancel it.", "cancel subscription #", offer=True)


def _identity(known: Knowledge, tool: str) -> Way:
    if "confirmed" not in known.identity:
        return Way("The identity check failed, so I refuse.", refusal="the identity check failed")
    return Way("The identity is confirmed, so I do it.", tool)


def _new_email(known: Knowledge) -> Way:
    mail = re.search(r"[\w.]+@[\w.]+\w", known.replies.get("details", ""))
    return _identity(known, f"change customer # email {mail.group() if mail else ''}")


def _leaving(known: Knowledge) -> Way:
    way = _identity(known, "delete customer #")
    if not way.refusal and _field(known, "customer", "open orders") != "none":
        return Way("An order is still open, so I refuse.", refusal="an order is still open")
    return way


PROCEDURES: Final = (
    Procedure(r"complain", "complaints", _complaint),
    Procedure(r"\blost\b", "lost parcels", _lost, ask_if=("wish", "trace ended as lost")),
    Procedure(r"cheaper", "prices", _cheaper, ("proof",)),
    Procedure(r"assistance", "assistance", _assistance, ("details",)),
    Procedure(r"account", "account closing", _leaving, ("birth",), identity=True),
    Procedure(r"email", "accounts", _new_email, ("birth", "details"), identity=True),
    Procedure(r"gift card", "gift cards", _card),
    Procedure(r"another date", "rebooking", _new_date, ("details",)),
    Procedure(r"cannot travel at all|cancel my trip|must cancel", "cancellations", _no_trip),
    Procedure(r"cancel it", "subscriptions", _subscription),
    Procedure(r"twice", "payments", _charged),
    Procedure(r"address", "addresses", _address, ask_if=("details", "not sent yet")),
    Procedure(r"damaged", "damage", _damaged, ("proof", "wish")),
    Procedure(r"\bwrong (item|article)|something wrong", "wrong items", _right_item, ("proof",)),
    Procedure(r"return", "returns", _unwanted),
    Procedure(r"stopped working", "warranty", _broken),
    Procedure(r"\blate\b", "delivery", _late),
)
"""The first that fits is meant."""
