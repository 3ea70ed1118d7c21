"""The desk's commands: one line of text each, for the customer (``say: ...``) or for a tool (``lookup order 1042``)."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from icd_envs.service_desk.acts import SAY

CLOSE: Final = "close"
READ: Final = "read policy"

_THINGS = "order|booking|subscription|customer|card|ticket"
_TOOL = re.compile(
    rf"(lookup|verify|refund|replace|return|repair|trace|redirect|complain|rebook|cancel|assist|pause|change|delete|reissue|escalate)"
    rf" ({_THINGS}) (\d+)(?: (.+))?"
)
_FILLERS: Final = {"rebook": "to ", "refund": "partial "}
"""Words that may be written before a detail, and say nothing."""


class Command(NamedTuple):
    """A command in its parts; the verb is ``say``, ``read``, ``close``, a tool's, or empty if it cannot be read."""

    verb: str
    thing: str = ""
    """``order``, ``booking``, ...; the act after ``say:``; the topic of a policy."""
    number: str = ""
    detail: str = ""

    @property
    def text(self) -> str:
        """The command as it is written in the lists of what is possible."""
        if self.verb == "say":
            return SAY + self.thing
        if self.verb == "read":
            return f"{READ} {self.thing}"
        return " ".join(part for part in (self.verb, self.thing, self.number, self.detail) if part)


def parse_command(text: str) -> Command:
    """Read a command. Case, spaces and a full stop at the end do not count."""
    plain = " ".join(text.lower().split()).rstrip(". ")
    if plain == CLOSE:
        return Command("close")
    if plain.startswith("say:"):
        return Command("say", plain.removeprefix("say:").strip())
    if plain.startswith(f"{READ} "):
        return Command("read", plain.removeprefix(READ).strip())
    if match := _TOOL.fullmatch(plain):
        verb, thing, number, detail = match.groups()
        return Command(verb, thing, number, (detail or "").removeprefix(_FILLERS.get(verb, "")))
    return Command("")
