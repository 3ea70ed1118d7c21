"""Families about what was in the parcel: damaged, wrong, unwanted, broken after a while."""

from __future__ import annotations

from random import Random

from icd_envs.service_desk.case import Case
from icd_envs.service_desk.families.drafting import draft, one
from icd_envs.service_desk.records import Records, make_records

_PHOTO = ("Here is a photo.", "I have attached a photo.", "Yes, I have sent you a photo.")


def _out_of_stock(records: Records, item: str) -> None:
    records.set(
        "orders", records.order, stock=", ".join(f"{i} {'no' if i == item else 'yes'}" for i in records.items)
    )


def damaged_item(rng: Random) -> Case:
    """An item arrived damaged: it is replaced or refunded, as the customer wishes and the stock allows."""
    records = make_records(rng)
    item = rng.choice(records.items)
    wants_new, gone = rng.random() < 0.6, rng.random() < 0.4
    if gone:
        _out_of_stock(records, item)
    happened = one(
        rng,
        f"The {item} arrived damaged.",
        f"When I opened the parcel, the {item} was damaged.",
        f"The {item} you sent me is damaged, it has a big crack.",
    )
    wish = (
        one(rng, "I would like a new one.", "Please send me a new one.")
        if wants_new
        else one(rng, "I want my money back.", "I would rather have my money back.")
    )
    due = "replace" if wants_new and not gone else "refund"
    return draft(
        rng, records, "order", {"happened": happened, "proof": one(rng, *_PHOTO), "wish": wish},
        family="damaged_item", topic="damage", commands=(f"{due} order {records.order} item {item}",),
    )  # fmt: skip


def wrong_item(rng: Random) -> Case:
    """Another item was sent: the right one is sent, or refunded."""
    records = make_records(rng)
    item = rng.choice(records.items)
    gone = rng.random() < 0.4
    if gone:
        _out_of_stock(records, item)
    happened = one(
        rng,
        f"You sent me something wrong: I ordered a {item}, and got something else.",
        f"There was a wrong item in the parcel instead of the {item}.",
        f"Instead of my {item} there is a wrong article in the box.",
    )
    due = "refund" if gone else "replace"
    return draft(
        rng, records, "order", {"happened": happened, "proof": one(rng, *_PHOTO)},
        family="wrong_item", topic="wrong items", commands=(f"{due} order {records.order} item {item}",),
    )  # fmt: skip


def unwanted_item(rng: Random) -> Case:
    """They do not want it: a return is made, or refused outside the window."""
    records = make_records(rng)
    item = rng.choice(records.items)
    closed = rng.random() < 0.5
    happened = one(
        rng,
        f"I do not like the {item}. I want to return it.",
        f"I would like to return the {item}, it is not what I hoped for.",
        f"I want to send back the {item} as a return.",
    )
    if not closed:
        return draft(
            rng, records, "order", {"happened": happened}, family="unwanted_item", topic="returns",
            commands=(f"return order {records.order} item {item}",),
        )  # fmt: skip
    records.set("orders", records.order, returns="window closed", placed=f"{rng.randint(40, 90)} days ago")
    return draft(
        rng, records, "order", {"happened": happened}, family="unwanted_item", topic="returns",
        ending="refused", reason="outside the return window",
    )  # fmt: skip


def warranty(rng: Random) -> Case:
    """It stopped working: it goes to repair, or the warranty has ended."""
    records = make_records(rng)
    item = rng.choice(records.items)
    ended = rng.random() < 0.4
    happened = one(
        rng,
        f"The {item} stopped working.",
        f"The {item} worked well at first, but it stopped working last week.",
        f"Since yesterday the {item} has stopped working.",
    )
    state = "window closed"
    records.set("orders", records.order, returns=state, placed=f"{rng.randint(200, 900)} days ago")
    if not ended:
        return draft(
            rng, records, "order", {"happened": happened}, family="warranty", topic="warranty",
            commands=(f"repair order {records.order} item {item}",),
        )  # fmt: skip
    records.set("orders", records.order, warranty="ended")
    return draft(
        rng, records, "order", {"happened": happened}, family="warranty", topic="warranty",
        ending="refused", reason="outside the warranty",
    )  # fmt: skip
