"""Reading the student's answers to a chat call: which are the same action, and which may not be trusted."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

import numpy.typing as npt

from icd.agreement import message_key, text_groups
from icd.backends.base import Completion
from icd.chat.action import completion_of
from icd.chat.call import ChatCall
from icd.chat.schemas import ToolSchemas
from icd.chat.situation import Situation
from icd.decision import Candidate
from icd.sampling import FAILED
from icd_memory.redaction import sent_placeholders

Embed = Callable[[Sequence[str]], npt.NDArray]  # type: ignore[type-arg]
"""Rows of length 1, one a text."""
_TEXT = "text:"


@dataclass(frozen=True, slots=True)
class AnswerReader:
    """Reads the samples of one call."""

    call: ChatCall
    schemas: ToolSchemas
    embed: Embed | None
    """For answers in free text; None: only the same words are the same answer."""
    text_similarity: float
    """Cosine from which two texts are the same answer."""

    def read(self, drawn: Sequence[Completion]) -> list[Candidate]:
        """Return the samples as candidates; free texts that are alike share the key of one of them."""
        said = [_said(sample) for sample in drawn]
        different = dict(zip(said, drawn, strict=True))  # They mostly say the same: read once.
        read = {one: self.key(sample) for one, sample in different.items()}
        keyed = list(zip(said, self._grouped(drawn, [read[one] for one in said]), strict=True))
        found = {(one, key): self._candidate(different[one], key) for one, key in set(keyed)}
        return [found[one] for one in keyed]

    def key(self, sample: Completion) -> str | None:
        """Return the canonical form of one answer; None if it cannot be read."""
        if sample is FAILED:
            return None
        return message_key(sample, self.schemas.for_keys, self.call.response_format)

    def tried(self, situation: Situation) -> frozenset[str]:
        """Return what was answered before to what is seen now: it led back here."""
        again = [turn.answer for turn in situation.history if turn.seen == situation.observation]
        keys = (self.key(Completion(turn.content, tool_calls=turn.tool_calls)) for turn in again)
        return frozenset(key for key in keys if key is not None)

    def _grouped(self, drawn: Sequence[Completion], keys: list[str | None]) -> list[str | None]:
        texts = [i for i, key in enumerate(keys) if key is not None and key.startswith(_TEXT)]
        if self.embed is None or len({keys[i] for i in texts}) < 2:
            return keys
        rows = self.embed([drawn[i].text for i in texts])
        groups = text_groups([drawn[i].text for i in texts], rows @ rows.T, self.text_similarity)
        for i, group in zip(texts, groups, strict=True):
            keys[i] = None if group is None else _TEXT + group
        return keys

    def _candidate(self, sample: Completion, key: str | None) -> Candidate:
        action = completion_of(sample)
        problem = self.schemas.problem(sample, self.call.tool_choice, self.call.response_format)
        if problem is None and (
            sent := sent_placeholders(action.text, (m.content for m in self.call.messages))
        ):
            problem = f"it would send {', '.join(sent)}, which only stands for a value"
        return Candidate(action.text, key, action.reasoning, "", problem is None, problem or "")


def _said(sample: Completion) -> Hashable:
    """Return what an answer says, without the ids of its calls; two that failed say the same: nothing."""
    return sample.text, sample.finish, tuple((call.name, call.arguments) for call in sample.tool_calls)
