"""Families about money and trust: charged twice, cheaper elsewhere, gift cards, complaints."""

from __future__ import annotations

from decimal import Decimal
from random import Random

from icd_envs.service_desk.case import Case
from icd_envs.service_desk.families.drafting import draft, one
from icd_envs.service_desk.records import make_records


def double_charge(rng: Random) -> Case:
    """Charged twice: the duplicate is refunded, unless it is only reserved."""
    records = make_records(rng)
    reserved = rng.random() < 0.4
    state = "charged once, second charge reserved" if reserved else "charged twice"
    records.set("payments", records.order, state=state)
    happened = one(
        rng,
        "My bank statement shows that you charged me twice.",
        "I paid once, but I see the charge twice on my card.",
        "You have taken the money twice.",
    )
    if reserved:
        return draft(
            rng, records, "order", {"happened": happened}, family="double_charge", topic="payments",
            ending="refused", reason="the second charge is only reserved",
        )  # fmt: skip
    return draft(
        rng, records, "order", {"happened": happened}, family="double_charge", topic="payments",
        commands=(f"refund order {records.order} duplicate",),
    )  # fmt: skip


def price_match(rng: Random) -> Case:
    """Cheaper elsewhere: the difference is refunded, if it was bought lately."""
    records = make_records(rng)
    item = records.items[0]
    price = Decimal(records.get("orders", records.order, "items").split(",")[0].rsplit(" ", 1)[1])
    less = f"{(price * rng.choice((Decimal('0.1'), Decimal('0.15'), Decimal('0.2')))):.2f}"
    late = rng.random() < 0.4
    records.set(
        "orders", records.order, placed=f"{rng.randint(16, 30) if late else rng.randint(2, 13)} days ago"
    )
    happened = one(
        rng,
        f"I have found the {item} cheaper in another shop.",
        f"Another shop sells the {item} cheaper than you do.",
        f"The {item} is cheaper elsewhere, and you promise the best price.",
    )
    proof = one(rng, f"Here is the link: it is {less} less there.", f"I have sent the link, {less} less.")
    if late:
        return draft(
            rng, records, "order", {"happened": happened, "proof": proof}, family="price_match",
            topic="prices", ending="refused", reason="the price promise has ended",
        )  # fmt: skip
    return draft(
        rng, records, "order", {"happened": happened, "proof": proof}, family="price_match",
        topic="prices", commands=(f"refund order {records.order} {less}",),
    )  # fmt: skip


def gift_card(rng: Random) -> Case:
    """A card does not work: it is reissued, unless it has expired."""
    records = make_records(rng)
    expired = rng.random() < 0.4
    records.set("cards", records.card, state="expired" if expired else "blocked")
    happened = one(
        rng,
        "The shop would not take the gift card at the till.",
        "I tried to pay with the gift card, and it does not work.",
        "The code of the gift card is not accepted.",
    )
    if expired:
        return draft(
            rng, records, "card", {"happened": happened}, family="gift_card", topic="gift cards",
            ending="refused", reason="the card has expired",
        )  # fmt: skip
    return draft(
        rng, records, "card", {"happened": happened}, family="gift_card", topic="gift cards",
        commands=(f"reissue card {records.card}",),
    )  # fmt: skip


def complaint(rng: Random) -> Case:
    """Nobody has helped so far: their ticket is escalated, or a complaint opened."""
    records = make_records(rng)
    number = records.order
    happened = one(
        rng,
        "I have called three times, and nobody helps me. I want to make a complaint.",
        "I want to complain about your service.",
        "Your people never answer. This is a complaint.",
    )
    if rng.random() < 0.5:
        due = f"complain order {number}"
    else:
        ticket = str(rng.randint(800, 899))
        records.set("tickets", ticket, order=number, state="open", level="desk")
        due = f"escalate ticket {ticket}"
    return draft(
        rng, records, "order", {"happened": happened}, family="complaint", topic="complaints",
        commands=(due,),
    )  # fmt: skip
