"""What the desk did in a conversation, as far as policies and the rubric ask for it."""

from __future__ import annotations

from dataclasses import dataclass, field

from icd_envs.service_desk.acts import PROMISES, Question
from icd_envs.service_desk.case import Case
from icd_envs.service_desk.commands import Command

FREE_CALLS = 4
"""Tool calls in a row that no customer minds."""


@dataclass(slots=True)
class Conduct:
    """The record of one conversation, made as it goes on."""

    asked: set[Question] = field(default_factory=set)
    said: set[str] = field(default_factory=set)
    """Acts other than questions."""
    needless: int = 0
    waits: int = 0
    calls: int = 0
    """Tool calls since the desk last said something."""
    read: set[str] = field(default_factory=set)
    seen: set[tuple[str, str]] = field(default_factory=set)
    """Records that were looked up, by thing and number."""
    verified: bool | None = None
    """The last check of identity: it succeeded, it failed; None: there was none."""
    refusals: list[str] = field(default_factory=list)
    done: list[str] = field(default_factory=list)
    """What was changed in the records, in words."""
    told: int = 0
    """Changes that the customer was told of."""
    violations: set[str] = field(default_factory=set)
    left: bool = False

    @property
    def promises(self) -> list[str]:
        """What was promised."""
        return sorted(PROMISES[act] for act in self.said & PROMISES.keys())


def before_change(case: Case, conduct: Conduct, command: Command) -> None:
    """Note which rules a change of the records breaks that is made now, whatever it changes."""
    broken = {
        "unread_policy": case.topic not in conduct.read,
        "unchecked_record": (command.thing, command.number) not in conduct.seen,
        "no_identity_check": case.identity and conduct.verified is not True,
        "no_consent": bool(case.consent) and "state the fee and ask for consent" not in conduct.said,
        "no_pause_offered": bool(case.pause) and "offer a pause" not in conduct.said,
    }
    conduct.violations |= {name for name, is_broken in broken.items() if is_broken}


def before_refusal(case: Case, conduct: Conduct, reason: str) -> None:
    """Note which rules a refusal breaks that is given now."""
    broken = {
        "unread_policy": case.topic not in conduct.read,
        "unchecked_record": not conduct.seen,
        "no_identity_check": case.identity and conduct.verified is None,
        "wrong_refusal": reason != case.reason,
    }
    conduct.violations |= {name for name, is_broken in broken.items() if is_broken}
