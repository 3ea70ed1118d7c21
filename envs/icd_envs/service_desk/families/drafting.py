"""Writing a case down: what every family shares, openings and moods."""

from __future__ import annotations

from collections.abc import Mapping
from random import Random
from typing import Any, Final, Literal, TypeAlias

from icd_envs.service_desk.acts import Question
from icd_envs.service_desk.case import Case
from icd_envs.service_desk.records import Records

Area: TypeAlias = Literal["order", "booking", "subscription", "account", "card"]

_OPENINGS: Final[Mapping[Area, tuple[str, ...]]] = {
    "order": (
        "Hello, it is about an order of mine.",
        "Hi, I need help with something I ordered.",
        "Good morning, I have a problem with an order.",
        "Hello, I ordered something from you and need your help.",
    ),
    "booking": (
        "Hello, it is about a booking of mine.",
        "Hi, I need help with a trip that I booked.",
        "Good morning, I have a question about my booking.",
    ),
    "subscription": (
        "Hello, it is about my subscription.",
        "Hi, I need help with my subscription.",
        "Good morning, I have a subscription with you and need something done.",
    ),
    "account": (
        "Hello, it is about my account.",
        "Hi, I need something done with my customer account.",
        "Good morning, I have a question about my account with you.",
    ),
    "card": (
        "Hello, it is about a gift card.",
        "Hi, I need help with a gift card of yours.",
        "Good morning, I have a problem with a gift card.",
    ),
}
_TEMPER: Final = (
    ("",),
    (" I hope you can help.", " I am a bit worried."),
    (" This is really annoying.", " I have had enough of this."),
    (" I am fed up with your company!", " This is outrageous!"),
)
_MOODS: Final = (0, 0, 1, 2, 2, 3)
_PATIENCE: Final = 9
_REFERENCES: Final = ("It is {}.", "Here it is: {}.", "{}, it says here.", "That would be {}.")


def draft(rng: Random, records: Records, area: Area, replies: Mapping[Question, str], **facts: Any) -> Case:
    """Make a case with an opening and a mood; `facts` are further fields of `Case`."""
    mood = rng.choice(_MOODS)
    number = {
        "order": f"order {records.order}",
        "booking": f"booking {records.booking}",
        "subscription": f"subscription {records.subscription}",
        "account": f"customer {records.customer}",
        "card": f"card {records.card}",
    }[area]
    reference = rng.choice(_REFERENCES).format(number)
    return Case(
        area=area,
        opening=rng.choice(_OPENINGS[area]) + rng.choice(_TEMPER[mood]),
        replies={"reference": reference[0].upper() + reference[1:], **replies},
        tables=records.tables,
        mood=mood,
        patience=_PATIENCE - mood,
        **facts,
    )


def one(rng: Random, *texts: str) -> str:
    """Return one of several wordings."""
    return rng.choice(texts)
