"""Secrets and personal data leave a text before it is stored: typed placeholders take their place.

Within one episode the same value always has the same placeholder (``<email-1>``), and another one another, so that what
was done with a value can still be followed. The values themselves are kept in memory only, while the episode is used.
"""

from __future__ import annotations

import re
import threading
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import replace

from icd_memory.sensitive import KINDS, Kind, find_sensitive, require_redaction
from icd_memory.trajectory import Trajectory

__all__ = ["Placeholders", "Redactor", "placeholders_in", "redacted", "sent_placeholders"]

_PLACEHOLDER = re.compile(rf"<(?:{'|'.join(KINDS)})-\d{{1,9}}>")
_EPISODES = 10_000
"""Whose placeholders are kept; an agent that sends its history again brings them back in the same order."""


def placeholders_in(text: str) -> frozenset[str]:
    """Return the placeholders that stand in a text."""
    return frozenset(_PLACEHOLDER.findall(text)) if "<" in text else frozenset()


class Placeholders:
    """Which placeholder stands for which value of one episode. Safe for threads."""

    def __init__(self) -> None:
        self._names: dict[tuple[Kind, str], str] = {}
        self._lock = threading.Lock()

    def redact(self, text: str) -> str:
        """Return the text with a placeholder for everything that must not be stored; the same object if there is none.

        Raises:
            RedactionMissingError: the extra `redact` is not installed.
        """
        found = find_sensitive(text)
        if not found:
            return text
        spans = [span for span in found if not _PLACEHOLDER.fullmatch(text, span.start, span.end)]
        if not spans:
            return text
        parts, end = [], 0
        for span in spans:
            parts += [text[end : span.start], self._name(span.kind, text[span.start : span.end])]
            end = span.end
        return "".join([*parts, text[end:]])

    def _name(self, kind: Kind, value: str) -> str:
        # One number is one value however it is written.
        key = (kind, value if kind in ("password", "api-key") else re.sub(r"[\s().-]", "", value).lower())
        with self._lock:
            if key not in self._names:
                count = sum(1 for known, _ in self._names if known == kind)
                self._names[key] = f"<{kind}-{count + 1}>"
            return self._names[key]


class Redactor:
    """Redacts the texts of many episodes, each with placeholders of its own. Safe for threads."""

    def __init__(self) -> None:
        """Raises RedactionMissingError where the extra `redact` is not installed."""
        require_redaction()
        self._episodes: OrderedDict[tuple[str, str], Placeholders] = OrderedDict()
        self._lock = threading.Lock()

    def of(self, tenant: str, episode_id: str) -> Placeholders:
        """Return an episode's placeholders."""
        key = (tenant, episode_id)
        with self._lock:
            found = self._episodes.setdefault(key, Placeholders())
            self._episodes.move_to_end(key)
            if len(self._episodes) > _EPISODES:
                self._episodes.popitem(last=False)
            return found


def redacted(trajectory: Trajectory, placeholders: Placeholders | None = None) -> Trajectory:
    """Return a trajectory without secrets and personal data; the same object if there were none.

    Raises:
        RedactionMissingError: the extra `redact` is not installed.
    """
    hide = (placeholders or Placeholders()).redact
    goal, category, plan = hide(trajectory.goal), hide(trajectory.category), hide(trajectory.plan)
    steps = tuple(
        replace(
            step,
            observation=hide(step.observation),
            view=hide(step.view),
            reasoning=hide(step.reasoning),
            action=hide(step.action),
        )
        for step in trajectory.steps
    )
    changed = replace(trajectory, goal=goal, category=category, plan=plan, steps=steps)
    return trajectory if changed == trajectory else changed


def sent_placeholders(action: str, seen: Iterable[str]) -> list[str]:
    """Return the placeholders in an action that don't stand in what was seen: to send one is never meant."""
    wanted = placeholders_in(action)
    return sorted(name for name in wanted if not any(name in text for text in seen)) if wanted else []
