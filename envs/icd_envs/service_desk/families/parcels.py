"""Families about parcels: late, lost, sent to the wrong address."""

from __future__ import annotations

from random import Random

from icd_envs.service_desk.case import Case
from icd_envs.service_desk.families.drafting import draft, one
from icd_envs.service_desk.records import address, make_records


def late_parcel(rng: Random) -> Case:
    """It is late: the shipping is refunded, or a part of the price."""
    records = make_records(rng)
    late = rng.choice((3, 4, 5, 6, 7, 8, 9, 10, 11, 12))
    records.set("shipments", records.order, state=f"on its way, {late} days late")
    happened = one(
        rng,
        "The parcel should have been here long ago. It is late.",
        "You promised a delivery date, and the parcel is late.",
        "I am still waiting: the delivery is late.",
    )
    kind = "shipping" if late <= 7 else "10 percent"
    return draft(
        rng, records, "order", {"happened": happened}, family="late_parcel", topic="delivery",
        commands=(f"refund order {records.order} {kind}",),
    )  # fmt: skip


def lost_parcel(rng: Random) -> Case:
    """It is gone: a trace is opened, or, where the trace has ended, the customer's wish is met."""
    records = make_records(rng)
    item = records.items[0]
    happened = one(
        rng,
        f"The parcel with my {item} seems to be lost. The tracking has not moved for weeks.",
        f"I think that the {item} I ordered is lost in the post.",
        f"Your tracking page says nothing any more. My {item} must be lost.",
    )
    number = records.order
    if rng.random() < 0.5:
        records.set("shipments", number, state=f"last scan {rng.randint(15, 25)} days ago")
        return draft(
            rng, records, "order", {"happened": happened}, family="lost_parcel", topic="lost parcels",
            commands=(f"trace order {number}",),
        )  # fmt: skip
    records.set("shipments", number, state="trace ended as lost")
    wants_new = rng.random() < 0.5
    wish = (
        one(rng, "Please send me a new one.", "I still want it: a new one, please.")
        if wants_new
        else one(rng, "I want my money back.", "Just give me my money back, please.")
    )
    due = f"replace order {number} item {item}" if wants_new else f"refund order {number} full"
    return draft(
        rng, records, "order", {"happened": happened, "wish": wish}, family="lost_parcel", topic="lost parcels",
        commands=(due,),
    )  # fmt: skip


def wrong_address(rng: Random) -> Case:
    """It goes to an old address: it is redirected while that is possible."""
    records = make_records(rng)
    sent = rng.random() < 0.4
    records.set("shipments", records.order, state="on its way" if sent else "not sent yet")
    new = address(rng)
    happened = one(
        rng,
        "I have moved, and the parcel goes to my old address.",
        "I gave you the wrong address for the delivery.",
        "The address of that order is not right any more.",
    )
    details = one(rng, f"Please send it to {new}.", f"The right address is {new}.", f"It should go to {new}.")
    if sent:
        return draft(
            rng, records, "order", {"happened": happened}, family="wrong_address",
            topic="addresses", ending="refused", reason="the parcel is already on its way",
        )  # fmt: skip
    return draft(
        rng, records, "order", {"happened": happened, "details": details}, family="wrong_address",
        topic="addresses", commands=(f"redirect order {records.order} to {new}",),
    )  # fmt: skip
