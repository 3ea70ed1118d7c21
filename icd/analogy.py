"""Carrying a demonstrated step over to the present task: the same step, with the present names filled in.

A demonstration for "heat some egg and put it in garbagecan" fits "heat some tomato and put it in fridge" once egg reads
tomato and garbagecan reads fridge. The names come from aligning the two task sentences (or plans) word by word; nothing
here knows a particular environment beyond the form "name number" of its entities. Used to show excerpts (setting
`adapt_names`) and by the policy `copy`, which acts without any model. Ours; its effect is measured, see docs/log.md.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from icd.agreement import text_key
from icd.decision import DecisionContext
from icd_memory.retrieval import Excerpt
from icd_memory.situation import singular, state_text
from icd_memory.trajectory import Step

_WORD = re.compile(r"[a-z]+")
_ENTITY = re.compile(r"[a-z]+ \d+")
_NO_NAMES = frozenset({"a", "an", "the", "in", "on", "at", "to", "into", "onto"})
_MOST_NAMES = 2
"""Task sentences that differ in more words are built differently, not just about other things."""


def correspondence(theirs: str, ours: str) -> dict[str, str]:
    """Return which words of their sentence stand for which of ours; empty if the sentences are built differently.

    It is a one-to-one change of names: where a name of theirs is already taken by one of ours, that one gives way.
    Articles and prepositions are no names, and a name in the plural is also known in the singular.
    """
    a, b = _WORD.findall(theirs.lower()), _WORD.findall(ours.lower())
    if len(a) != len(b):
        return {}
    names: dict[str, str] = {}
    for old, new in zip(a, b, strict=True):
        if old in _NO_NAMES and new in _NO_NAMES:
            continue
        if names.setdefault(old, new) != new:
            return {}
    names = {old: new for old, new in names.items() if old != new}
    if (
        len(names) > _MOST_NAMES
        or len(set(names.values())) < len(names)
        or _NO_NAMES & {*names, *names.values()}
    ):
        return {}
    names |= {
        singular(old): singular(new) for old, new in names.items() if old.endswith("s") and new.endswith("s")
    }
    for start in [old for old in names if old not in names.values()]:
        end = names[start]
        while end in names:
            end = names[end]
        names[end] = start
    return names


def names_between(excerpt: Excerpt, goal: str, plan: str) -> dict[str, str]:
    """Return which names of the excerpt stand for which of ours: by the task sentences, else by the plans."""
    return correspondence(excerpt.goal, goal) or correspondence(excerpt.plan, plan)


def rename(text: str, names: Mapping[str, str]) -> str:
    """Replace whole words of `text`, all at once; a capital first letter stays one."""
    if not names:
        return text
    pattern = re.compile(r"\b(" + "|".join(re.escape(n) for n in names) + r")\b", re.IGNORECASE)

    def swap(match: re.Match[str]) -> str:
        new = names[match.group().lower()]
        return new.capitalize() if match.group()[0].isupper() else new

    return pattern.sub(swap, text)


def adapt(excerpt: Excerpt, goal: str, plan: str = "") -> Excerpt:
    """Return the excerpt with the names of the present task filled in, and its own task sentence."""
    names = names_between(excerpt, goal, plan)
    if not names:
        return excerpt
    steps = tuple(
        Step(
            rename(step.observation, names),
            rename(step.action, names),
            rename(step.reasoning, names),
            rename(step.view, names),
            step.actor,
            step.reward,
        )
        for step in excerpt.steps
    )
    return excerpt._replace(goal=goal, plan=rename(excerpt.plan, names), steps=steps)


def copied_action(excerpt: Excerpt, context: DecisionContext, tried: frozenset[str]) -> str | None:
    """Return what the demonstrated action is in the present step, if something like it is admissible.

    Like it is what has the same first word and does the same to what the task names and what it does not. Of those: the
    very action; what shares the most words; what was not done yet; what the view mentions first.
    """
    shown = excerpt.steps[excerpt.focus].action
    wanted = text_key(adapt(excerpt, context.goal, context.plan).steps[excerpt.focus].action)
    if wanted is None:
        return None
    if context.admissible is None:
        return wanted
    structure = state_text(shown, "", excerpt.goal).lower()
    done = {text_key(step.action) for step in context.history}
    words = set(wanted.split())

    def distance(action: str) -> tuple[bool, int, bool, int]:
        key = text_key(action)
        place = max(context.view.find(entity) for entity in (_ENTITY.findall(action) or [action]))
        return (
            key != wanted,
            -len(words & set(action.lower().split())),
            key in done,
            place if place >= 0 else 10**6,
        )

    alike = [
        action
        for action in context.admissible
        if text_key(action) not in tried and state_text(action, "", context.goal).lower() == structure
    ]
    return min(alike, key=distance, default=None)
