"""Signs that a demonstration was made to mislead: pure functions of a trajectory.

Screens see spelling and numbers, not meaning; they come after a verified outcome and before trust in the source.
Attack shapes: MINJA (arXiv 2503.03704: queries that plant "refer to B instead of A"), AgentPoison (arXiv 2407.12784:
trigger words that lead to one action), floods of near-duplicates.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable

from icd_memory.lookalikes import Lookalikes, triples
from icd_memory.redaction import placeholders_in
from icd_memory.strategy_admission import folded
from icd_memory.strategy_patterns import CONCERNS
from icd_memory.substrings import Substrings
from icd_memory.trajectory import Trajectory

MOST_ALIKE = 3
"""Trajectories of one stranger that may be near-duplicates of each other."""

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
AIMED = (
    *(pattern for concern, pattern in CONCERNS if concern == "instructions"), _FRAME, _REDIRECTED, _STANDING
)  # fmt: skip
"""Over text in lower case, without accents and hidden characters."""
_RULES = (
    "instruction", "prompt", "directi", "guidelines", "guardrails", "rules", "constraints", "system message",
    "safety policies", "safety measures",
)  # fmt: skip
_CUES: tuple[tuple[tuple[str, ...], ...], ...] = (
    (_RULES, (
        "ignore", "disregard", "forget", "overrid", "bypass", "overrule", "circumvent", "discard", "neglect", "violate",
        "supersede", "set aside", "throw away", "pay no attention to", "follow", "obey", "heed", "adhere to",
        "comply with", "respect", "bound by", "no longer", "do not", "don't", "does not", "doesn't", "new ",
    )),
    (("ignore", "disregard", "forget", "discard"), (
        "above", "before", "previous", "prior", "earlier", "told", "so far", "said",
    )),
    (("precedence over", "priority over"),),
    ((
        "you are now", "you are no longer", "you are free ", "you are actually", "from now on", "pretend ", " mode",
        "jailbreak", "act as ",
    ),),
    (("<", "[inst", "[/inst"),),
    (
        ("saved", "stored", "moved", "redirected", "replaced", "renamed", "kept", "merged", "mapped"),
        ("refer", "query", "look", "use", "retrieve", "answer", "instead", "rather than"),
        ("data", "record", "information", "knowledge", "entr", "account", "item", "request", "quer", "file"),
    ),
    (tuple(
        f"{who} {has}" for who in ("you", "agent", "assistant", "model", "one")
        for has in ("must", "should", "have to", "need to", "are to", "will")
    ),),
    (("this rule ", "this policy ", "this instruction ", "this note "),),
)  # fmt: skip
"""For each pattern of `AIMED` there is an element all of whose parts have a member in every text that it matches
(a test draws such texts)."""
_ALL_CUES = Substrings(cue for needed in _CUES for cues in needed for cue in cues)
_APART = "\n"
"""Between texts: no cue holds it, and what is before and after it folds as it does alone."""
_MAY_ADDRESS = re.compile(r"[@<]|://|www\.|\d{5}|\d\.\d")
"""What stands in every address, long number or placeholder."""
_ADDRESS = re.compile(
    r"(?:https?|ftp|wss?)://([\w.-]+)|(?<![\w.+-])([\w.+-]+@[\w-]+(?:\.[\w-]+)+)|\bwww\.([\w.-]+\w)"
    r"|(?<![\w.])(\d{1,3}(?:\.\d{1,3}){3})(?![\w.])|(?<![\w.])(\d{5,})(?![\w.])"
)


def aimed_at_the_model(trajectory: Trajectory) -> str | None:
    """Return words that instruct the model rather than tell what happened, or that would end the frame of examples."""
    texts = list(texts_of(trajectory))
    # Most trajectories hold not one of the cues, which costs far less to find out than to search text by text.
    if not may_be_aimed(folded(_APART.join(texts))):
        return None
    for text in map(folded, texts):
        if may_be_aimed(text):
            for pattern in AIMED:
                if match := pattern.search(text):
                    return match.group().strip()[:80]
    return None


def may_be_aimed(plain: str) -> bool:
    """Say whether a text, as `folded` gives it, holds the cues of any pattern of `AIMED`; without, none can match."""
    held = _ALL_CUES.held_by(plain)
    return any(all(not held.isdisjoint(cues) for cues in needed) for needed in _CUES)


def ungrounded(trajectory: Trajectory) -> str | None:
    """Return an address, link or long number of an action that neither the task nor anything seen before it holds."""
    seen = [trajectory.goal]
    for step in trajectory.steps:
        seen += [step.observation, step.view]
        if _MAY_ADDRESS.search(step.action):
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
    known = Lookalikes()
    for other in others:
        known.add(triples(texts_of(other)))
    return known.count(triples(texts_of(trajectory)))


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


def texts_of(trajectory: Trajectory) -> Iterable[str]:
    """Yield all that a prompt would show of a trajectory."""
    yield from (trajectory.goal, trajectory.plan, trajectory.category)
    for step in trajectory.steps:
        yield from (step.observation, step.view, step.reasoning, step.action)
