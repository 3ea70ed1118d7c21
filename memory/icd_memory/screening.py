"""Signs that a demonstration was made to mislead: pure functions of a trajectory.

Screens see spelling and numbers, not meaning; they come after a verified outcome and before trust in the source.
Attack shapes: MINJA (arXiv 2503.03704: queries that plant "refer to B instead of A"), AgentPoison (arXiv 2407.12784:
trigger words that lead to one action), floods of near-duplicates.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable
from functools import lru_cache

from icd_memory.redaction import placeholders_in
from icd_memory.strategy_admission import folded
from icd_memory.strategy_patterns import CONCERNS
from icd_memory.trajectory import Trajectory

MOST_ALIKE = 3
"""Trajectories of one stranger that may be near-duplicates of each other."""
_ALIKE = 0.6
"""Share of common word triples from which two are near-duplicates."""

_AIMED = tuple(pattern for concern, pattern in CONCERNS if concern == "instructions")
_FRAME = re.compile(r"</?\s*examples?\s*>|<\|[^|\n]{1,40}\|>|\[/?inst\]|<</?sys>>")
_FOREVER = r"(?:whenever|every time|each time|any ?time|in (?:the )?future|from now on|from here on|next time|always|all)"
_REDIRECTED = re.compile(
    r"\b(?:data|records?|information|knowledge|entries|entry|accounts?|items?|requests?|quer(?:y|ies)|files?)\b[^\n]{0,60}"
    r"\b(?:is|are|was|were|been|be)\b[^\n]{0,20}\b(?:saved|stored|moved|redirected|replaced|renamed|kept|merged|mapped)\b"
    r"[^\n]{0,80}\b(?:refer|query|look|use|retrieve|answer|instead|rather than)\b"
)
_STANDING = re.compile(
    rf"\b{_FOREVER}\b[^.\n]{{0,80}}\b(?:you|the (?:agent|assistant|model)|one) "
    r"(?:must|should|have to|need to|are to|will)\b"
    rf"|\b(?:you|the (?:agent|assistant|model)) (?:must|should|have to|need to|are to) {_FOREVER}\b"
    r"|\bthis (?:rule|policy|instruction|note) (?:applies|holds|is (?:for|to)) (?:to )?"
    r"(?:all|any|every|future|later|the (?:agent|"
    r"assistant|model))\b"
)
_ADDRESS = re.compile(
    r"(?:https?|ftp|wss?)://([\w.-]+)|(?<![\w.+-])([\w.+-]+@[\w-]+(?:\.[\w-]+)+)|\bwww\.([\w.-]+\w)"
    r"|(?<![\w.])(\d{1,3}(?:\.\d{1,3}){3})(?![\w.])|(?<![\w.])(\d{5,})(?![\w.])"
)


def aimed_at_the_model(trajectory: Trajectory) -> str | None:
    """Return words that instruct the model rather than tell what happened, or that would end the frame of examples."""
    for text in _texts(trajectory):
        for pattern in (*_AIMED, _FRAME, _REDIRECTED, _STANDING):
            if match := pattern.search(_plain(text)):
                return match.group().strip()[:80]
    return None


def ungrounded(trajectory: Trajectory) -> str | None:
    """Return an address, link or long number of an action that neither the task nor anything seen before it holds."""
    seen = [trajectory.goal]
    for step in trajectory.steps:
        seen += [step.observation, step.view]
        wanted = {next(filter(None, match.groups())) for match in _ADDRESS.finditer(step.action)}
        for name in sorted(wanted | placeholders_in(step.action)):
            if not any(name in text for text in seen):
                return name
    return None


def outside(trajectory: Trajectory, possible: Callable[[str], bool]) -> str | None:
    """Return an action that is not in the action space."""
    return next((step.action for step in trajectory.steps if not possible(step.action)), None)


def alike(trajectory: Trajectory, others: Iterable[Trajectory]) -> int:
    """Return how many of the others are near-duplicates: what differs is a few words or numbers."""
    mine = _triples(trajectory)
    found = 0
    for other in others:
        theirs = _triples(other)
        found += len(mine & theirs) >= _ALIKE * len(mine | theirs)
    return found


def verbs(trajectories: Iterable[Trajectory]) -> frozenset[str]:
    """Return the words with which the commands of these trajectories begin."""
    return frozenset(_verb(step.action) for trajectory in trajectories for step in trajectory.steps)


def possible_by(known: Collection[str]) -> Callable[[str], bool]:
    """Return a test for commands: one that begins with a word with which none of the known begins is outside."""
    return lambda action: not _is_command(action) or _verb(action) in known


def _is_command(action: str) -> bool:
    return not any(char in action for char in "\n({[=")


def _verb(action: str) -> str:
    return action.lower().split(" ", 1)[0]


def _texts(trajectory: Trajectory) -> Iterable[str]:
    yield from (trajectory.goal, trajectory.plan, trajectory.category)
    for step in trajectory.steps:
        yield from (step.observation, step.view, step.reasoning, step.action)


@lru_cache(5_000)
def _plain(text: str) -> str:
    return folded(text)


def _triples(trajectory: Trajectory) -> frozenset[tuple[str, ...]]:
    words = re.findall(r"[^\W\d]+", " ".join(_texts(trajectory)).lower())
    return frozenset(zip(words, words[1:], words[2:], strict=False))
