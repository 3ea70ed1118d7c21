"""What strategies say, line by line: as reviewers read them, and how versions differ."""

from __future__ import annotations

from difflib import unified_diff

from icd_memory.strategy import StrategyVersion

__all__ = ["difference", "indented"]


def difference(old: StrategyVersion, new: StrategyVersion) -> list[str]:
    """Return the lines by which two versions differ, as a unified diff; none if they say the same."""
    return list(
        unified_diff(
            _lines(old), _lines(new), f"version {old.version}", f"version {new.version}", lineterm=""
        )
    )


def indented(text: str) -> list[str]:
    """Return a text's lines, set in."""
    return [f"  {line}".rstrip() for line in text.split("\n")]


def _lines(version: StrategyVersion) -> list[str]:
    text = version.text
    return [
        f"Category: {text.category}",
        "When:",
        *indented(text.scenario),
        "Advice:",
        *indented(text.guidance),
    ]
