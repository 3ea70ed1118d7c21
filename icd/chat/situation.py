"""How a chat call becomes a step: pure functions of its messages.

goal = the first user message; category = a fingerprint of the system prompt and the tools; history = the turns;
observation = what came after the last assistant turn; action = the assistant's answer. A conversation's *thread* is a
fingerprint of its turns up to an assistant's, by which the next call is recognised as going on with it.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from icd.backends.base import Message, Tool
from icd.chat.action import action_of
from icd.chat.call import ChatCall
from icd.chat.tool_set import tool_set
from icd.chat.turns import Known, known
from icd_memory.retrieval import Query, state_text
from icd_memory.trajectory import Step

CHAT = "chat"
"""The environment under which the steps of other people's agents are kept."""
_PROMPTS = ("system", "developer")
_NUMBER = re.compile(r"\d+")


class Turn(NamedTuple):
    """An assistant's turn."""

    seen: str
    """What came before it."""
    answer: Message

    @property
    def step(self) -> Step:
        """The turn as a step of a trajectory."""
        action = action_of(self.answer.content, self.answer.tool_calls)
        return Step(self.seen, action.text, action.reasoning)


@dataclass(frozen=True, slots=True)
class Situation:
    """What a call says about its step."""

    goal: str
    category: str
    observation: str
    history: tuple[Turn, ...]
    """The assistant's earlier turns."""
    after: str | None
    """The thread that this call goes on with; None: no assistant has spoken yet."""
    thread: Thread
    """Up to this call."""
    messages: tuple[Known, ...]
    """All of the call, as they are recognised and stored."""


def situation_of(call: ChatCall) -> Situation:
    """Read a call."""
    messages = tuple(known(message) for message in call.messages)
    spoken = [pair for pair in zip(call.messages, messages, strict=True) if pair[0].role not in _PROMPTS]
    turns = [turn for turn, _ in spoken]
    goal = next((turn.content for turn in turns if turn.role == "user"), "")
    thread, after = Thread(), None
    history = []
    start = 0
    for number, (turn, facts) in enumerate(spoken):
        thread.add(facts.fingerprint)
        if turn.role == "assistant":
            history.append(Turn(_seen(turns, start, number), turn))
            after, start = str(thread), number + 1
    return Situation(
        goal=goal,
        category=call.category or category_of(call.messages, call.tools),
        observation=_seen(turns, start, len(turns)),
        history=tuple(history),
        after=after,
        thread=thread,
        messages=messages,
    )


def query_of(call: ChatCall, situation: Situation, episode_id: str) -> Query:
    """Return what demonstrations are looked for by: those of the same tenant, but not of the same instance."""
    return Query(
        goal=situation.goal,
        category=situation.category,
        state=state_text(situation.observation, "", situation.goal),
        environment=CHAT,
        tenant=call.tenant,
        instance=call.instance or episode_id,
    )


def category_of(messages: Iterable[Message], tools: Iterable[Tool]) -> str:
    """Return a fingerprint of the agent: its system prompt, in which numbers (dates, versions) do not count, and its
    tools in any order."""
    prompts = tuple(message.content for message in messages if message.role in _PROMPTS)
    return _category(prompts, tool_set(tools).signature)


@lru_cache(1_000)
def _category(prompts: tuple[str, ...], tools: tuple[str, ...]) -> str:
    """Kept, since an agent sends the same prompt and tools with every call."""
    return f"agent-{_fingerprint([[_NUMBER.sub('0', prompt) for prompt in prompts], tools])[:12]}"


class Thread:
    """The fingerprint of a conversation as it grows.

    What clients change when they send a turn back does not count: system prompts, spaces around a text, the order of
    keys in a tool's arguments.
    """

    def __init__(self) -> None:
        self._hash = hashlib.sha256()

    def add(self, fingerprint: bytes) -> None:
        """Go on by one turn; prompts are none."""
        self._hash.update(fingerprint)

    def __str__(self) -> str:
        return self._hash.hexdigest()[:32]

    def after(self, answer: Message) -> str:
        """Return the thread as it is when `answer` has been given."""
        longer = Thread()
        longer._hash = self._hash.copy()
        longer.add(known(answer).fingerprint)
        return str(longer)


def thread_of(messages: Iterable[Message]) -> str:
    """Return the fingerprint of a conversation."""
    thread = Thread()
    for message in messages:
        if message.role not in _PROMPTS:
            thread.add(known(message).fingerprint)
    return str(thread)


def head_of(messages: Iterable[Message]) -> str:
    """Return the fingerprint of how a conversation began, up to its first assistant turn: by it a conversation is
    grouped that was under way before we saw it, or whose later turns its client leaves out."""
    begun: list[Message] = []
    for message in messages:
        begun.append(message)
        if message.role == "assistant":
            break
    return thread_of(begun)


def _seen(turns: Sequence[Message], start: int, end: int) -> str:
    """Return what stands between two assistant turns: users' texts, and each tool's output under its name."""
    names = {call.id: call.name for call in turns[start - 1].tool_calls} if start else {}
    lines = []
    for turn in turns[start:end]:
        name = names.get(turn.tool_call_id, "") if turn.role == "tool" else ""
        lines.append(f"{name}: {turn.content}" if name else turn.content)
    return "\n".join(lines)


def _fingerprint(value: object) -> str:
    return hashlib.sha256(json.dumps(value, separators=(",", ":")).encode()).hexdigest()[:32]
