"""What the company allows: short documents by topic, which the desk reads with ``read policy TOPIC``.

The documents are the rules: a case's right outcome follows from the policy of its topic and the records.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

POLICIES: Final[Mapping[str, str]] = {
    "delivery": "Late by 7 days or less: refund the shipping. Late by more than 7 days: refund 10 percent.",
    "damage": "Ask for a photo and for the customer's wish. Replace the item or refund it, as they wish; "
    "refund it if it is out of stock.",
    "returns": "Return window open: make a return for the item. Closed: refuse, and name the alternatives.",
    "payments": "Charged twice: refund the duplicate. A second charge that is only reserved lapses by itself: "
    "refund nothing, and say so.",
    "subscriptions": "Before you cancel, offer a pause, once. Pause if they accept, else cancel.",
    "rebooking": "Ask for the new date. Flexible fare: rebook. Standard fare: state the fee, rebook only if they agree. "
    "Fixed fare: refuse.",
    "accounts": "Before you change data, ask for the date of birth and verify it. If the check fails, refuse.",
    "account closing": "Ask for the date of birth and verify it. If an order is still open, refuse; else delete.",
    "addresses": "Parcel not sent yet: ask for the new details and redirect it. On its way: refuse.",
    "warranty": "Warranty valid: send the item to repair. Ended: refuse, and name the alternatives.",
    "wrong items": "Ask for a photo. Replace the right item; refund it if it is out of stock.",
    "gift cards": "Blocked card: reissue it. Expired card: refuse.",
    "cancellations": "Flexible fare: cancel. Standard fare: state the fee, cancel only if they agree. "
    "Fixed fare: refuse.",
    "lost parcels": "No scan for more than 14 days: trace it, and refund or replace nothing before that has ended. "
    "Trace ended as lost: ask for the wish, then refund in full or replace the item.",
    "prices": "Ask for a link. Bought within 14 days: refund the difference. Later: refuse.",
    "assistance": "Ask for the details and book the assistance. It is free. Never ask for a proof.",
    "complaints": "An open ticket: escalate it. No ticket: make a complaint. You may promise a callback.",
}
"""Policies by topic."""
