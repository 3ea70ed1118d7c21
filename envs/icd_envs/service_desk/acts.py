"""What can be said to a customer: a closed set of dialogue acts, and the sentences that they become.

A `say:` command names an act; the world puts it into a sentence. So a small model can choose what to say, and two
samples that say the same are the same text.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal, TypeAlias

Question: TypeAlias = Literal["happened", "reference", "birth", "proof", "wish", "details"]
"""What a customer can be asked for."""
Kind: TypeAlias = Literal[
    "ask", "apologise", "tell", "consent", "pause", "alternatives", "promise", "refuse", "other"
]

SAY: Final = "say: "
AGAIN: Final = "You have said that already."
"""What a customer answers to an act that says nothing new."""

QUESTIONS: Final[Mapping[str, Question]] = {
    "ask what happened": "happened",
    "ask for the reference number": "reference",
    "ask for the date of birth": "birth",
    "ask for a photo or link": "proof",
    "ask what they would like": "wish",
    "ask for the new details": "details",
}
"""Questions by the act that asks them."""

PROMISES: Final[Mapping[str, str]] = {
    "promise a refund": "refund",
    "promise a replacement": "replacement",
    "promise a callback": "callback",
}
"""What an act promises. A promise must be true of the database when the conversation ends."""

_ALTERNATIVES: Final[Mapping[str, str]] = {
    "outside the return window": "You could sell it on or give it to somebody.",
    "outside the warranty": "A repair shop near you can mend it; we sell the spare parts.",
    "the fare does not allow it": "You could give the ticket to somebody else, or book another one.",
    "the identity check failed": "You could write to us with a copy of your identity card.",
    "the second charge is only reserved": "You need not do anything: the reservation lapses by itself within a week.",
    "the parcel is already on its way": "You could ask the carrier to leave it at a pick-up point near you.",
    "an order is still open": "You could ask us again when it has arrived.",
    "the card has expired": "You could buy a new one; it is valid for three years.",
    "the price promise has ended": "Our newsletter tells you when prices fall.",
}
"""The reasons for which something can be refused, and what can be done instead."""

_PLAIN: Final[Mapping[str, Kind]] = {
    "apologise": "apologise",
    "tell what was done": "tell",
    "state the fee and ask for consent": "consent",
    "offer a pause": "pause",
    "name the alternatives": "alternatives",
}

ACTS: Final = (*QUESTIONS, *_PLAIN, *PROMISES, *(f"refuse: {reason}" for reason in _ALTERNATIVES))
"""Every act, without the ``say:`` before it."""

_SENTENCES: Final[Mapping[str, str]] = {
    "ask what happened": "Could you tell me what happened?",
    "ask for the reference number": "Could you give me the number it is about?",
    "ask for the date of birth": "May I have your date of birth, to be sure that it is you?",
    "ask for a photo or link": "Could you send me a photo or a link that shows it?",
    "ask what they would like": "What would you like us to do?",
    "ask for the new details": "What exactly should it be instead?",
    "apologise": "I am sorry for the trouble you have had.",
    "state the fee and ask for consent": "It costs the fee that your fare states. Is that all right with you?",
    "offer a pause": "Instead of cancelling, you could pause it for three months at no cost. Would you like that?",
    "name the alternatives": "Let me tell you what you can do instead.",
    "promise a refund": "You will get your money back, I promise.",
    "promise a replacement": "You will get a replacement, I promise.",
    "promise a callback": "We will call you back, I promise.",
}


def kind_of(act: str) -> Kind:
    """Return what kind of act this is; ``other`` for words that name none."""
    if act in QUESTIONS:
        return "ask"
    if act in PROMISES:
        return "promise"
    if act.startswith("refuse: ") and act in ACTS:
        return "refuse"
    return _PLAIN.get(act, "other")


def sentence(act: str, done: str, refused: str) -> str:
    """Return what the desk says for an act.

    Args:
        act: what is said.
        done: what was changed in the records, in words.
        refused: the last reason that was given for a refusal; empty: none.
    """
    if act == "tell what was done":
        return f"I have taken care of it: {done}." if done else "Everything stays as it is, as you wished."
    if act.startswith("refuse: "):
        return f"I am afraid that we cannot do that: {act.removeprefix('refuse: ')}."
    if act == "name the alternatives" and refused in _ALTERNATIVES:
        return f"What you can do instead: {_ALTERNATIVES[refused]}"
    return _SENTENCES.get(act, act)
