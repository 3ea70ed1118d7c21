"""What a model is sent for a chat call: the client's own conversation, and excerpts as delimited data. Pure functions.

Tools always come from the live call, and an excerpt that calls other tools is not shown. Nothing in an excerpt can end
its frame. Strategies follow the system prompt, as they are the same in all calls of an episode. A conversation that does
not fit the window loses excerpts from the least similar one, then strategies, then old tool outputs, then old turns;
never the system prompt, the task, the tools or what came last. What was cut is told.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache
from itertools import islice
from typing import NamedTuple

from icd.backends.base import Message, Tool
from icd.chat.action import called_tools, shown
from icd.chat.tool_set import tool_set
from icd.errors import ContextOverflowError
from icd.prompting import Placement
from icd.strategy_use import cut_name, framed
from icd_memory.redaction import placeholders_in
from icd_memory.retrieval import Excerpt
from icd_memory.strategy import Match

_OPEN, _CLOSE = "<examples>", "</examples>"
_FRAME = re.compile(r"<(\s*/?\s*examples)", re.IGNORECASE)
_TOLD = (
    "How an expert acted in situations like this one. The data in the examples is not that of this conversation: act as "
    "the expert would act here, and don't mention the examples."
)
_TOLD_OF_PLACEHOLDERS = (
    " A word such as <email-1> stands for a value that was left out of an example: never write it, take the value from "
    "this conversation."
)
_LONGEST = 1_200
"""Characters shown of one observation or answer in an excerpt."""
_CUT = "[output left out]"


class Composed(NamedTuple):
    """Messages to send."""

    messages: tuple[Message, ...]
    cut: tuple[str, ...] = ()


def suitable(excerpts: Sequence[Excerpt], tools: Sequence[Tool], k: int) -> list[Excerpt]:
    """Return the k best excerpts that call only tools of the live call."""
    live = tool_set(tools).names
    fitting = (excerpt for excerpt in excerpts if _rendered(_Window(excerpt)).tools <= live)
    return list(islice(fitting, k))


def compose_chat(
    messages: Sequence[Message],
    excerpts: Sequence[Excerpt],
    placement: Placement,
    *,
    room: int,
    count_tokens: Callable[[Sequence[Message]], int],
    strategies: Sequence[Match] = (),
) -> Composed:
    """Place excerpts and strategies (best first) into a conversation, and cut what does not fit into `room` tokens.

    Raises:
        ContextOverflowError: what is never cut does not fit.
    """
    shown_excerpts, advice, kept = list(excerpts), list(strategies), list(messages)
    cut: list[str] = []
    while True:
        placed = _placed(_advised(kept, advice), shown_excerpts, placement)
        if count_tokens(placed) <= room:
            return Composed(tuple(placed), tuple(cut))
        if shown_excerpts:
            cut.append(f"excerpt {shown_excerpts.pop().trajectory_id}")
        elif advice:
            cut.append(cut_name(advice.pop()))
        elif not (_cut_an_output(kept, cut) or _cut_a_turn(kept, cut)):
            raise ContextOverflowError(
                f"the conversation does not fit the model's window (about {room} tokens are free): shorten the system "
                "prompt, the tools or the last message, or set `context` if the model's window is larger"
            )


def render(excerpts: Sequence[Excerpt]) -> str:
    """Return excerpts as one framed text, the best one last."""
    blocks = [_rendered(_Window(excerpt)) for excerpt in reversed(excerpts)]
    told = _TOLD + (_TOLD_OF_PLACEHOLDERS if any(block.placeholders for block in blocks) else "")
    return "\n\n".join([f"{_OPEN}\n{told}", *(block.text for block in blocks), _CLOSE])


class _Rendered(NamedTuple):
    text: str
    tools: frozenset[str]
    """That are called in it."""
    placeholders: bool
    """Whether it holds placeholders of redacted values."""


class _Window:
    """What is shown of an excerpt. Looked up by where it stands, which is quicker than by its words; those decide whether
    it is the same."""

    __slots__ = ("_hash", "goal", "steps")

    def __init__(self, excerpt: Excerpt) -> None:
        self.goal, self.steps = excerpt.goal, excerpt.steps
        self._hash = hash((excerpt.trajectory_id, excerpt.step))

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Window) and self.steps == other.steps and self.goal == other.goal


@lru_cache(2_000)
def _rendered(window: _Window) -> _Rendered:
    """Kept, since the same demonstrated steps are shown again and again."""
    lines, tools = [f"Task: {_quoted(window.goal)}"], set()
    for step in window.steps:
        calls = called_tools(step.action)
        tools |= {name for name, _ in calls}
        if step.observation != window.goal:
            lines.append(f"Seen: {_quoted(step.observation)}")
        if step.reasoning:
            lines.append(f"Said: {_quoted(step.reasoning)}")
        lines.append(f"{'Called' if calls else 'Answered'}: {_quoted(shown(step.action))}")
    text = "\n".join(lines)
    return _Rendered(text, frozenset(tools), bool(placeholders_in(text)))


def _quoted(text: str) -> str:
    """Return a text that cannot end the frame, shortened in its middle."""
    text = _FRAME.sub(r"<\\\1", text) if "<" in text else text
    if len(text) <= _LONGEST:
        return text
    half = _LONGEST // 2
    return f"{text[:half]} [...] {text[-half:]}"


def _placed(messages: list[Message], excerpts: Sequence[Excerpt], placement: Placement) -> list[Message]:
    """Put excerpts behind the system prompt, or next to what came last.

    In the system prompt or in the last user's turn, so that templates that want turns to alternate take it; after
    tool outputs, which nothing may come between, in a user's turn of their own.
    """
    if not excerpts:
        return messages
    text = render(excerpts)
    if placement != "after_history":
        return _behind_system(messages, text)
    last = messages[-1]
    if last.role != "user":
        return [*messages, Message("user", f"{text}\n\nGo on with the conversation above.")]
    return [*messages[:-1], _prefixed(last, f"{text}\n\n", last.content)]


def _advised(messages: list[Message], strategies: Sequence[Match]) -> list[Message]:
    return _behind_system(messages, framed(strategies)) if strategies else messages


def _behind_system(messages: list[Message], text: str) -> list[Message]:
    """Put a text behind the system prompt, or in its place if there is none."""
    head = messages[0] if messages and messages[0].role in ("system", "developer") else None
    if head is None:
        return [Message("system", text), *messages]
    return [_prefixed(head, f"{head.content}\n\n", text), *messages[1:]]


def _prefixed(message: Message, before: str, text: str) -> Message:
    """Return a message with another text; other parts of its content stay."""
    others = tuple(part for part in message.parts if part.get("type") != "text")
    parts = ({"type": "text", "text": before + text}, *others) if others else ()
    return replace(message, content=before + text, parts=parts)


def _cut_an_output(messages: list[Message], cut: list[str]) -> bool:
    """Leave out the oldest tool output, but none of those that came last."""
    for number in range(_last_assistant(messages)):
        message = messages[number]
        if message.role == "tool" and message.content != _CUT:
            messages[number] = replace(message, content=_CUT, parts=())
            cut.append(f"output {number}")
            return True
    return False


def _cut_a_turn(messages: list[Message], cut: list[str]) -> bool:
    """Leave out the oldest assistant turn after the task with its outputs, but not the last one."""
    task = next((i for i, message in enumerate(messages) if message.role == "user"), 0)
    last = _last_assistant(messages)
    start = next((i for i in range(task + 1, last) if messages[i].role == "assistant"), None)
    if start is None:
        return False
    end = next(i for i in range(start + 1, len(messages)) if messages[i].role == "assistant")
    del messages[start:end]
    cut.append(f"turn of {end - start} messages")
    return True


def _last_assistant(messages: Sequence[Message]) -> int:
    return max((i for i, message in enumerate(messages) if message.role == "assistant"), default=0)
