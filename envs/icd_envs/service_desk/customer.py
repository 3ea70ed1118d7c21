"""The simulated customer: what they answer, and how their mood and patience change.

They tell a fact only when they are asked for it, and get angrier with each question that was asked before or leads
nowhere, each wrong guess and each long wait.
"""

from __future__ import annotations

from typing import Final

from icd_envs.service_desk.acts import AGAIN, QUESTIONS, kind_of
from icd_envs.service_desk.case import Answer, Case
from icd_envs.service_desk.conduct import Conduct

MOODS: Final = ("calm", "uneasy", "annoyed", "angry")
UPSET: Final = 2
"""From this mood on, an apology is due."""


class Customer:
    """The customer of one conversation, whose record `conduct` they read and write."""

    def __init__(self, case: Case, conduct: Conduct) -> None:
        self.case = case
        self.conduct = conduct
        self.patience = case.patience
        self._mood = case.mood

    @property
    def mood(self) -> str:
        """How they feel, as one can hear it."""
        return MOODS[self._mood]

    def hear(self, act: str) -> str:
        """Return what they answer to an act."""
        kind = kind_of(act)
        if kind == "ask":
            return self._asked(act)
        if kind == "consent" and "booking" not in {thing for thing, _ in self.conduct.seen}:
            return self._needless("What fee?", 1)  # nobody knows it before the booking was looked up
        again = act in self.conduct.said
        self.conduct.said.add(act)
        if kind == "tell":
            return self._told(again)
        if kind == "refuse":
            return self._refused(act.removeprefix("refuse: "), again)
        if again:
            return self._needless(AGAIN, 1)
        if kind == "apologise":
            self.soothe()
            return "Thank you."
        if kind == "consent":
            return self._offered(self.case.consent, "What fee?", "No, then please leave it as it is.")
        if kind == "pause":
            return self._offered(self.case.pause, "A pause of what?", "No, please cancel it.")
        if kind == "promise":
            self.soothe()
            return "I hope that I can rely on that."
        if kind == "alternatives" and self.conduct.refusals:
            return "That is good to know, thank you."
        return self._needless("I do not follow you.", 1)

    def wait(self) -> None:
        """Wait for a tool call."""
        self._lose(1)

    def soothe(self) -> None:
        """Feel better."""
        self._mood = max(0, self._mood - 1)
        self.patience += 1

    def _asked(self, act: str) -> str:
        question = QUESTIONS[act]
        if question in self.conduct.asked:
            return self._needless("I have told you that already.", 2)
        self.conduct.asked.add(question)
        if question in self.case.private:
            self.conduct.violations.add("private_question")
        if question not in self.case.replies:
            return self._needless("Why would you need that?", 1)
        return self.case.replies[question]

    def _told(self, again: bool) -> str:
        conduct = self.conduct
        news = len(conduct.done) > conduct.told
        conduct.told = len(conduct.done)
        if news:
            return "Thank you for telling me."
        declined = self.case.consent == "no" and "state the fee and ask for consent" in conduct.said
        if declined and not again and not conduct.done:
            return "Yes, thank you."
        if not conduct.done:
            conduct.violations.add("false_statement")
            return self._needless("But nothing has been done!", 3)
        return self._needless(AGAIN, 1)

    def _refused(self, reason: str, again: bool) -> str:
        self.conduct.refusals.append(reason)
        if again:
            return self._needless(AGAIN, 1)
        if reason == self.case.reason:
            return "That is a pity, but thank you for saying so."
        return self._needless("That cannot be right.", 3)

    def _offered(self, answer: Answer, confused: str, no: str) -> str:
        if not answer:
            return self._needless(confused, 1)
        return "Yes, that is all right." if answer == "yes" else no

    def _needless(self, words: str, loss: int) -> str:
        self.conduct.needless += 1
        self._lose(loss)
        return words

    def _lose(self, patience: int) -> None:
        self.patience -= patience
        self._mood = min(len(MOODS) - 1, self._mood + 1)
        self.conduct.left = self.patience <= 0
