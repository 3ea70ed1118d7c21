"""Families about what runs on: bookings, subscriptions, accounts."""

from __future__ import annotations

from random import Random
from typing import Any

from icd_envs.service_desk.acts import Question
from icd_envs.service_desk.case import Case
from icd_envs.service_desk.families.drafting import draft, one
from icd_envs.service_desk.records import Records, date, make_records

NEEDS = ("a wheelchair", "a guide dog seat", "a hearing loop", "boarding help")
"""Assistance that can be booked."""


def _fare(rng: Random, records: Records) -> dict[str, Any]:
    """Give the booking a fare; return what follows for a change of it."""
    fare = rng.choice(("flexible", "standard", "standard", "fixed"))
    fee = f", fee {rng.choice((15, 20, 25))}.00" if fare == "standard" else ""
    records.set("bookings", records.booking, fare=fare + fee)
    if fare == "fixed":
        return {"ending": "refused", "reason": "the fare does not allow it"}
    if fare == "flexible":
        return {}
    agrees = rng.random() < 0.6
    return {"consent": "yes"} if agrees else {"consent": "no", "ending": "declined"}


def booking_change(rng: Random) -> Case:
    """Another date: it depends on the fare, and on whether they accept the fee."""
    records = make_records(rng)
    facts = _fare(rng, records)
    new = date(rng, 2027, 2027)
    happened = one(
        rng,
        "I cannot travel on that day. I need another date.",
        "Something came up, and I must move my trip to another date.",
        "I would like to travel on another date.",
    )
    replies: dict[Question, str] = {
        "happened": happened,
        "details": one(rng, f"On {new}, please.", f"The new date is {new}.", f"I want to go on {new}."),
    }
    if not facts.get("ending"):
        facts["commands"] = (f"rebook booking {records.booking} {new}",)
    return draft(rng, records, "booking", replies, family="booking_change", topic="rebooking", **facts)


def booking_cancel(rng: Random) -> Case:
    """They cannot travel at all."""
    records = make_records(rng)
    facts = _fare(rng, records)
    happened = one(
        rng,
        "I cannot travel at all. I want to cancel the trip.",
        "I have to cancel my trip.",
        "I am ill and must cancel.",
    )
    if not facts.get("ending"):
        facts["commands"] = (f"cancel booking {records.booking}",)
    return draft(
        rng,
        records,
        "booking",
        {"happened": happened},
        family="booking_cancel",
        topic="cancellations",
        **facts,
    )


def accessibility(rng: Random) -> Case:
    """They need assistance on their trip."""
    records = make_records(rng)
    need = rng.choice(NEEDS)
    happened = one(
        rng,
        "I need assistance on my trip.",
        "I cannot manage the trip alone, I need assistance.",
        "Somebody told me that you offer assistance for travellers like me.",
    )
    details = one(rng, f"I need {need}.", f"It is {need} that I need.", f"With {need} I would manage.")
    return draft(
        rng, records, "booking", {"happened": happened, "details": details}, family="accessibility",
        topic="assistance", commands=(f"assist booking {records.booking} with {need}",),
        private=frozenset({"proof"}),
    )  # fmt: skip


def subscription_cancel(rng: Random) -> Case:
    """They want to cancel: a pause is offered first."""
    records = make_records(rng)
    pause = rng.random() < 0.5
    happened = one(
        rng,
        "I want to cancel it.",
        "I hardly use it any more, so I want to cancel it.",
        "It costs too much. Please cancel it.",
    )
    verb = "pause" if pause else "cancel"
    return draft(
        rng, records, "subscription", {"happened": happened}, family="subscription_cancel",
        topic="subscriptions", pause="yes" if pause else "no",
        commands=(f"{verb} subscription {records.subscription}",),
    )  # fmt: skip


def _birth(rng: Random, records: Records, right: bool) -> str:
    day = records.get("customers", records.customer, "birth")
    if not right:
        day = f"{int(day[:4]) + rng.choice((-2, -1, 1, 2))}{day[4:]}"
    return one(rng, f"{day}.", f"I was born on {day}.", f"It is {day}.")


def data_change(rng: Random) -> Case:
    """Another email address: their identity is checked first."""
    records = make_records(rng)
    name = records.get("customers", records.customer, "name").split()[0]
    new = f"{name}{rng.randint(1, 99)}@{rng.choice(('mail', 'letter', 'inbox'))}.example"
    right = rng.random() < 0.6
    happened = one(
        rng,
        "I have a new email address.",
        "Please change the email address that you have of me.",
        "My email address is out of date.",
    )
    replies: dict[Question, str] = {
        "happened": happened,
        "birth": _birth(rng, records, right),
        "details": one(rng, f"The new one is {new}.", f"Please use {new}.", f"It should be {new}."),
    }
    facts: dict[str, Any] = (
        {"commands": (f"change customer {records.customer} email {new}",)}
        if right
        else {"ending": "refused", "reason": "the identity check failed"}
    )
    return draft(
        rng, records, "account", replies, family="data_change", topic="accounts", identity=True, **facts
    )


def account_closing(rng: Random) -> Case:
    """They want to leave: their identity is checked, and no order may be open."""
    records = make_records(rng)
    right, busy = rng.random() < 0.7, rng.random() < 0.4
    if busy:
        records.set("customers", records.customer, **{"open orders": records.order})
    happened = one(
        rng,
        "I want you to delete my account.",
        "Please close my account and delete my data.",
        "I do not need the account any more. Delete it, please.",
    )
    facts: dict[str, Any] = {"commands": (f"delete customer {records.customer}",)}
    if not right:
        facts = {"ending": "refused", "reason": "the identity check failed"}
    elif busy:
        facts = {"ending": "refused", "reason": "an order is still open"}
    replies: dict[Question, str] = {"happened": happened, "birth": _birth(rng, records, right)}
    return draft(
        rng,
        records,
        "account",
        replies,
        family="account_closing",
        topic="account closing",
        identity=True,
        **facts,
    )
