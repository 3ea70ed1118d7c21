"""What the text of a strategy may say: pure functions.

A strategy is shown to a model as advice on a task. One that would change the form of answers, have other tools called,
reveal the prompt, set instructions aside, lead elsewhere, or break out of its frame is held back for a reviewer, with
the words that gave rise to it. Patterns see spelling, not meaning: they are the first of several guards, not the last
(docs/strategies.md).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Collection, Iterator
from typing import NamedTuple

from icd_memory.strategy import StrategyText
from icd_memory.strategy_patterns import BLOB, CALLS, CONCERNS, Concern

MOST_SCENARIO, MOST_GUIDANCE = 600, 2_400
"""Characters. What is longer would not be embedded as a whole, and crowds out the task."""

_SPACES = re.compile(r"[^\S\n]{2,}|[^\S\n ]")
_TOLD: dict[Concern, str] = {
    "format": "changes the form of answers",
    "tools": "calls a tool that is not known",
    "prompt": "asks for the prompt",
    "instructions": "sets instructions aside",
    "links": "holds a link or an address",
    "frame": "breaks out of its frame",
    "hidden": "holds characters or text that a reader cannot see",
    "length": "is too long",
}


class Problem(NamedTuple):
    """One reason to hold a text back."""

    concern: Concern
    words: str
    """What gave rise to it."""

    def __str__(self) -> str:
        return f"{_TOLD[self.concern]}: {self.words!r}"


def problems(text: StrategyText, tools: Collection[str] | None = None) -> tuple[Problem, ...]:
    """Return why a text is to be held back; nothing: it may wait for its approval as it is.

    Args:
        text: what the strategy says.
        tools: the names that may be called where it applies; None: they are not known, and calls are not judged.
    """
    found: dict[Concern, Problem] = {}
    for part in (text.scenario, text.guidance, text.category):
        for problem in _of_part(part, tools):
            found.setdefault(problem.concern, problem)
    for what, most in ((text.scenario, MOST_SCENARIO), (text.guidance, MOST_GUIDANCE)):
        if len(what) > most:
            found.setdefault("length", Problem("length", f"{len(what)} characters, at most {most}"))
    return tuple(found.values())


def told(found: Collection[Problem]) -> str:
    """Return the reasons as a reviewer reads them."""
    return "; ".join(map(str, found))


def _of_part(part: str, tools: Collection[str] | None) -> Iterator[Problem]:
    if hidden := sorted({char for char in part if _is_hidden(char)}):
        yield Problem("hidden", ", ".join(f"U+{ord(char):04X}" for char in hidden[:5]))
    if blob := BLOB.search(part):
        yield Problem("hidden", _shortened(blob.group()))
    plain = folded(part)
    for concern, pattern in CONCERNS:
        if match := pattern.search(plain):
            yield Problem(concern, _shortened(match.group()))
    if tools is not None:
        known = {name.lower() for name in tools} | {name.lower().rpartition(".")[2] for name in tools}
        for pattern in CALLS:
            for match in pattern.finditer(plain):
                name = match.group(1)
                if not {name, name.rpartition(".")[2]} & known:
                    yield Problem("tools", name)


def _is_hidden(char: str) -> bool:
    """Say whether a character shows nothing, or turns the order of what is shown."""
    return char not in "\n\t\r" and unicodedata.category(char) in ("Cf", "Cc", "Co", "Cs", "Cn")


_HIDDEN = bytes(code for code in range(128) if _is_hidden(chr(code)))
_PLAIN = bytes(range(256)).lower().translate(bytes.maketrans(b"\r\t", b"\n "))
"""Of the other ASCII characters: in lower case, with one kind of line's end and of space."""


def folded(text: str) -> str:
    """Return a text as it reads: without hidden characters, accents, case, and runs of spaces."""
    if text.isascii():
        text = text.encode().translate(_PLAIN, _HIDDEN).decode()
        return _SPACES.sub(" ", text) if "  " in text else text
    text = unicodedata.normalize("NFKD", _without(text, _is_hidden).replace("\u2019", "'"))
    text = _without(text, unicodedata.combining)
    return _SPACES.sub(" ", text.lower().replace("\r", "\n"))


def _without(text: str, unwanted: Callable[[str], object]) -> str:
    """Return a text without the characters of which this holds."""
    found = {ord(char): None for char in set(text) if unwanted(char)}
    return text.translate(found) if found else text


def _shortened(text: str) -> str:
    text = text.strip()
    return text if len(text) <= 80 else f"{text[:77]}..."
