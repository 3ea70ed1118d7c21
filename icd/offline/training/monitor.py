"""When validation by episodes says that a run should stop. Decides only; plays and trains nothing.

A student that imitates its teacher ever better while it succeeds no more, or less, over-fits the teacher ("teacher
hacking", arXiv 2502.02671): imitation loss alone would never show it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Validation:
    """A validation: what the student imitates, and what it achieves."""

    step: int
    imitation: float
    """Loss on the training texts since the validation before."""
    won: int
    episodes: int

    @property
    def success(self) -> float:
        """Share of the episodes that were won."""
        return self.won / self.episodes


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether to go on, and which checkpoint was the best."""

    action: Literal["go on", "stop"]
    best: Validation
    """The highest success; of equals the first."""
    reason: str = ""


def judge(history: Sequence[Validation], *, patience: int, fall: float) -> Verdict:
    """Say whether imitation improves while success falls or stalls. A pure function of the validations so far.

    Args:
        history: at least one validation, oldest first.
        patience: validations without more success, while imitation improves, that are one too many.
        fall: loss of success since the best validation that is enough at once.
    """
    best = max(history, key=lambda one: (one.success, -one.step))
    last, since = history[-1], [one for one in history if one.step > best.step]
    if not since or last.imitation >= best.imitation:
        return Verdict("go on", best)
    told = (
        f"imitation improved ({best.imitation:.3f} to {last.imitation:.3f}) while success "
        f"{{}} ({best.won} of {best.episodes} at step {best.step}, {last.won} of {last.episodes} at step {last.step})"
    )
    if best.success - last.success >= fall:
        return Verdict("stop", best, told.format("fell"))
    if len(since) >= patience and best.success < 1:
        return Verdict("stop", best, told.format("stalled"))
    return Verdict("go on", best)


def collapsed(log_probs: Sequence[float], limit: float) -> bool:
    """Say whether the winners' log-probability a token has fallen from its beginning by more than `limit` nats (REDI)."""
    return len(log_probs) > 1 and log_probs[0] - log_probs[-1] > limit
