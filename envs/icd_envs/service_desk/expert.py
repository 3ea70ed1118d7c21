"""An expert that serves any customer from what the desk has seen, and says why.

It calms first, asks only what the policy needs, looks the record up and reads the policy before it acts, tells the
truth, and closes. It can take over at any step.
"""

from __future__ import annotations

from typing import Final

from icd_envs.base import ExpertMove
from icd_envs.service_desk.acts import QUESTIONS, SAY, Question
from icd_envs.service_desk.commands import CLOSE, READ
from icd_envs.service_desk.knowledge import CONSENT, PAUSE, Knowledge
from icd_envs.service_desk.procedures import Procedure, Way, procedure_for

_ACT_OF: Final[dict[Question, str]] = {question: act for act, question in QUESTIONS.items()}
_FIRST: Final[dict[Question, str]] = {
    "happened": "I do not know the problem yet, so I ask.",
    "reference": "I need the number to look it up.",
}
_UPSET: Final = ("annoyed", "angry")
_PLAN: Final = (
    "1. calm the customer if they are upset 2. ask what happened 3. ask for the reference number 4. look it up "
    "5. read the policy on it 6. ask only what the policy needs 7. do what the policy allows, or refuse with the true "
    "reason 8. tell what was done 9. close"
)


class ServiceDeskExpert:
    """Serves the customer of the episode whose knowledge it shares."""

    def __init__(self, knowledge: Knowledge) -> None:
        self.knowledge = knowledge

    def plan(self) -> str:
        """Return a numbered plan in one line."""
        return _PLAN

    def move(self) -> ExpertMove:
        """Return the move for the present step."""
        known = self.knowledge
        if known.mood in _UPSET and "apologise" not in known.answers:
            return _say(f"The customer is {known.mood}, so I apologise first.", "apologise")
        for question, why in _FIRST.items():
            if question not in known.replies:
                return _say(why, _ACT_OF[question])
        procedure = procedure_for(known)
        if procedure is None or not known.references:
            return ExpertMove("I do not understand the problem, so I end here.", CLOSE)
        return self._inform(procedure) or self._settle(procedure)

    def _inform(self, procedure: Procedure) -> ExpertMove | None:
        """Find out what is still missing before anything is decided."""
        known = self.knowledge
        thing, number = known.references[0]
        if (thing, number) not in known.records:
            return ExpertMove(f"I look up {thing} {number}.", f"lookup {thing} {number}")
        if procedure.topic not in known.policies:
            why = f"The problem is about {procedure.topic}, so I read that policy before I act."
            return ExpertMove(why, f"{READ} {procedure.topic}")
        for question in procedure.questions(known):
            if question not in known.replies:
                return _say(f"The policy needs it, so I {_ACT_OF[question]}.", _ACT_OF[question])
        if procedure.identity and not known.identity:
            day = known.replies["birth"].rstrip(".").split()[-1]
            return ExpertMove(
                "I check the identity before anything changes.", f"verify customer {number} born {day}"
            )
        return None

    def _settle(self, procedure: Procedure) -> ExpertMove:
        """Do what is due, say so, and close."""
        known, way = self.knowledge, procedure.decide(self.knowledge)
        if known.done or f"refuse: {way.refusal}" in known.answers:
            return self._finish()
        if way.refusal:
            return _say(way.why, f"refuse: {way.refusal}")
        if way.offer and PAUSE not in known.answers:
            return _say("The policy wants a pause to be offered first.", PAUSE)
        consent = known.answers.get(CONSENT, "")
        if way.fee and not consent.startswith(("Yes", "No")):
            return _say("The change has a fee, so I ask for consent first.", CONSENT)
        if way.fee and not consent.startswith("Yes"):
            return self._finish()
        return ExpertMove(way.why, _with_number(way, known.references[0][1]))

    def _finish(self) -> ExpertMove:
        known = self.knowledge
        refused = any(act.startswith("refuse: ") for act in known.answers)
        if refused and not known.done:
            if "name the alternatives" not in known.answers:
                return _say("I refused, so I name the alternatives.", "name the alternatives")
        elif known.told < len(known.done) or "tell what was done" not in known.answers:
            return _say("I tell the customer what was done.", "tell what was done")
        return ExpertMove("The customer knows how it ended, so I close.", CLOSE)


def _say(why: str, act: str) -> ExpertMove:
    return ExpertMove(why, SAY + act)


def _with_number(way: Way, number: str) -> str:
    return way.tool.replace("#", number)
