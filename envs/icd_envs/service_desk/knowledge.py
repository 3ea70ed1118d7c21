"""What the desk knows of a conversation: from the task, its own actions and what came back; never the hidden need.

`Knowledge.view` writes it down for a model, and the expert plays from it: both know the same.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from icd_envs.service_desk.acts import AGAIN, QUESTIONS, Question, kind_of
from icd_envs.service_desk.commands import Command, parse_command
from icd_envs.service_desk.tools import NOTHING

_SAID = re.compile(r"^Customer \((\w+)\): (.*)$", re.MULTILINE)
_THING = re.compile(r"\b(order|booking|subscription|customer|card|ticket) (\d+)\b", re.IGNORECASE)
_LABELS: Final[Mapping[Question, str]] = {
    "happened": "Problem",
    "reference": "Number",
    "birth": "Date of birth",
    "proof": "Photo or link",
    "wish": "Wish",
    "details": "New details",
}
CONSENT: Final = "state the fee and ask for consent"
PAUSE: Final = "offer a pause"


@dataclass(slots=True)
class Knowledge:
    """The state of a conversation as the desk has seen it: `start` it, then `update` it after each step."""

    opening: str = ""
    mood: str = ""
    replies: dict[Question, str] = field(default_factory=dict)
    """What the customer answered first to each question."""
    answers: dict[str, str] = field(default_factory=dict)
    """What they answered to the other acts, by act; so what was said."""
    records: dict[tuple[str, str], dict[str, str]] = field(default_factory=dict)
    """Records that were looked up, by thing and number: fields."""
    policies: dict[str, str] = field(default_factory=dict)
    identity: str = ""
    """What the check of the identity gave."""
    done: list[str] = field(default_factory=list)
    """What was changed, as the tools said."""
    told: int = 0
    """How much of it the customer was told."""
    failed: str = ""
    """The last action, if nothing came of it."""

    def start(self, observation: str) -> None:
        """Take in what the customer wrote first."""
        self.opening = self._hear(observation)

    def update(self, action: str, observation: str) -> None:
        """Take in one step."""
        command = parse_command(action)
        self.failed = action if observation.startswith(NOTHING) else ""
        if command.verb == "say":
            self._say(command.thing, self._hear(observation))
        elif not self.failed:
            self._use(command, observation.splitlines()[0])
        self._hear(observation)

    @property
    def references(self) -> list[tuple[str, str]]:
        """Things with their numbers that were heard of, the latest last."""
        texts = [self.replies.get("reference", "")]
        texts += [record.get("tickets", "") for record in self.records.values()]
        found = [(thing.lower(), number) for text in texts for thing, number in _THING.findall(text)]
        return list(dict.fromkeys(found))

    def record(self, thing: str) -> Mapping[str, str] | None:
        """Return the record of this kind that was looked up last."""
        return next((self.records[key] for key in reversed(self.records) if key[0] == thing), None)

    @property
    def items(self) -> dict[str, str]:
        """Price by item of the order that was looked up."""
        listed = (self.record("order") or {}).get("items", "")
        return dict(part.rsplit(" ", 1) for part in listed.split(", ") if part)

    def view(self) -> str:
        """Write down what is known, in a few short lines."""
        lines = [f"Customer: {self.mood}"]
        lines += [f"{_LABELS[question]}: {reply}" for question, reply in self.replies.items()]
        for (thing, number), fields in self.records.items():
            shown = "; ".join(f"{name}: {value}" for name, value in fields.items())
            lines.append(f"Record: {thing} {number}: {shown}")
        lines += [f"Policy on {topic}: {text}" for topic, text in self.policies.items()]
        if self.identity:
            lines.append(f"Identity: {self.identity}")
        lines += [f"Said: {act} -> {answer}" for act, answer in self.answers.items()]
        if self.done:
            lines.append("Done: " + "; ".join(self.done))
        if self.failed:
            lines.append(f"Not possible: {self.failed}")
        return "\n".join(lines)

    def _hear(self, observation: str) -> str:
        heard = _SAID.findall(observation)
        if not heard:
            return ""
        self.mood = heard[-1][0]
        return str(heard[-1][1])

    def _say(self, act: str, answer: str) -> None:
        if act in QUESTIONS:
            self.replies.setdefault(QUESTIONS[act], answer)
        elif answer != AGAIN:
            self.answers[act] = answer
        if kind_of(act) == "tell":
            self.told = len(self.done)

    def _use(self, command: Command, answer: str) -> None:
        _, _, text = answer.partition(": ")
        if command.verb == "read":
            self.policies[command.thing] = text
        elif command.verb == "lookup":
            fields = dict(part.split(": ", 1) for part in text.split("; ") if ": " in part)
            self.records[command.thing, command.number] = fields
        elif command.verb == "verify":
            self.identity = text
        elif command.verb != "close":
            self.done.append(answer)
