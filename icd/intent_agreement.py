"""Whether sampled actions in words mean the same, though they name another one of a kind. Pure functions.

"go to shelf 2" and "go to shelf 3" look for the same thing on the same kind of place: often either will do. Exact
agreement escalates there, agreement of intents does not. It can be wrong: where it matters which one is meant, as for
a thing that was already seen, samples that disagree are trusted.
Source: partial matching of actions by verb and object type, as an ablation of arXiv 2512.02543's exact match; ours.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Literal, TypeAlias

from icd.agreement import text_key
from icd.decision import Candidate

AgreementKind: TypeAlias = Literal["exact", "intent"]
"""exact: the same action; intent: the same verb and the same kinds of places and things."""

_NUMBERED = re.compile(r"(?<=[^\W\d])(?: \d+\b)+")


def intent_key(action: str) -> str | None:
    """Return the canonical form of a text action without the numbers of what it names; None for an empty one."""
    key = text_key(action)
    return None if key is None else _NUMBERED.sub("", key)


def joined_intents(samples: Sequence[Candidate]) -> list[Candidate]:
    """Return the samples with those of one intent under one key: that of the first of them, which is what is done.

    A sample's group does not change when more are drawn.
    """
    first: dict[str, str] = {}
    joined = []
    for sample in samples:
        intent = None if sample.key is None else intent_key(sample.key)
        if intent is None or sample.key is None:
            joined.append(sample)
        else:
            joined.append(replace(sample, key=first.setdefault(intent, sample.key)))
    return joined
