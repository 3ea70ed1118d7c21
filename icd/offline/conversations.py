"""Rows from the calls of somebody's agent: its own conversation, with its tools, as the runtime would send it to the
student; the answer with its tool calls."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from icd.backends.base import Message, Tool, ToolCall
from icd.backends.openai_wire import message_json, tool_json
from icd.chat.action import called_tools
from icd.chat.call import ChatCall
from icd.chat.prompting import suitable
from icd.chat.request import request_for
from icd.chat.situation import query_of, situation_of
from icd.errors import ContextOverflowError
from icd.offline.composing import Composer
from icd.offline.examples import Example, Kind, Pair, Turn, row_id
from icd.offline.steps import about
from icd.offline.traces import Trace
from icd_memory.retrieval import Excerpt
from icd_memory.rows import DecisionRow
from icd_memory.store import Store

__all__ = ["Conversations"]


class _Asked(NamedTuple):
    turns: list[Turn]
    tools: tuple[dict[str, Any], ...]
    excerpts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Conversations:
    """Makes rows from receipts of chat calls."""

    store: Store
    composer: Composer
    max_tokens: int
    """Kept free for an answer."""

    def examples(self, trace: Trace, left_out: Counter[str]) -> Iterator[Example]:
        """Yield a row for each call of an episode; `left_out` counts those without one, by reason."""
        steps = trace.trajectory.steps
        taught = all(step.actor == "teacher" for step in steps)
        first: list[Excerpt] = []
        for number, row in enumerate(trace.receipts):
            asked = self._asked(trace, row, first, left_out)
            if asked is None:
                continue
            body = row.body
            by_teacher = body["acted_by"] == "teacher"
            kind: Kind = "demonstration" if taught else "escalated" if by_teacher else "student"
            turns = [*asked.turns, {**_answer(body["action"], body["reasoning"]), "weight": 1}]
            yield Example(
                id=row_id("example", turns, asked.tools),
                **about(trace, asked.excerpts, "", number, row.id),
                tools=asked.tools,
                kind=kind,
                won=trace.won,
                messages=tuple(turns),
                reasoning=body["reasoning"],
                action=body["action"],
            )

    def pairs(self, trace: Trace, left_out: Counter[str]) -> Iterator[Pair]:
        """Yield the calls of a successful episode at which the teacher answered, and the student would have otherwise."""
        if not trace.won:
            return
        beside = {row.body["shadow_of"]: row for row in trace.beside}
        first: list[Excerpt] = []
        for number, row in enumerate(trace.receipts):
            worse = _worse(row, beside.get(row.id))
            asked = self._asked(trace, row, first, left_out) if worse else None
            if asked is None:
                continue
            better = _answer(row.body["action"], row.body["reasoning"])
            for sample in worse:
                answer = _answer(sample["action"], sample["reasoning"])
                yield Pair(
                    id=row_id("pair", asked.turns, asked.tools, better, answer),
                    **about(trace, asked.excerpts, "", number, row.id),
                    tools=asked.tools,
                    kind="escalated",
                    prompt=tuple(asked.turns),
                    chosen=(better,),
                    rejected=(answer,),
                )

    def _asked(
        self, trace: Trace, row: DecisionRow, first: list[Excerpt], left_out: Counter[str]
    ) -> _Asked | None:
        """Return what the student is sent at a call; `first` keeps the excerpts of an episode for sticky placement."""
        call = self._call(trace, row)
        if call is None:
            left_out["messages not kept"] += 1
            return None
        excerpts = self._excerpts(call, trace.episode, first)
        placement = self.composer.settings.student_prompt.placement
        try:
            request, cut = request_for(
                self.composer.window, call, self.max_tokens, excerpts=excerpts, placement=placement
            )
        except ContextOverflowError:
            left_out["longer than the window"] += 1
            return None
        shown = len(excerpts) - sum(text.startswith("excerpt ") for text in cut)
        turns = [_unweighted(message_json(message)) for message in request.messages]
        tools = tuple(tool_json(tool) for tool in request.tools)
        return _Asked(turns, tools, tuple(excerpt.trajectory_id for excerpt in excerpts[:shown]))

    def _excerpts(self, call: ChatCall, episode: str, first: list[Excerpt]) -> list[Excerpt]:
        retriever, settings = self.composer.retriever, self.composer.settings
        if retriever is None:
            return []
        found = first
        if not found:
            found = retriever.for_step(query_of(call, situation_of(call), episode), 2 * settings.k)
        if settings.student_prompt.placement == "sticky" and not first:
            first.extend(found)
        return suitable(found, call.tools, settings.k)

    def _call(self, trace: Trace, row: DecisionRow) -> ChatCall | None:
        body = row.body
        wanted = [*body["messages"], *([body["tools"]] if body["tools"] else [])]
        texts = self.store.texts(wanted)
        if len(texts) < len(set(wanted)):
            return None
        tools = json.loads(texts[body["tools"]]) if body["tools"] else []
        return ChatCall(
            messages=tuple(_message(json.loads(texts[key])) for key in body["messages"]),
            tools=tuple(_tool(tool["function"]) for tool in tools),
            tenant=row.tenant,
            episode_id=trace.episode,
            category=body["category"],
            instance=body["instance"],
        )


def _worse(row: DecisionRow, beside: DecisionRow | None) -> list[Mapping[str, Any]]:
    """Return the student's readable answers that differ from the teacher's, each once."""
    if row.body["acted_by"] != "teacher":
        return []
    samples: Sequence[Mapping[str, Any]] = row.body["samples"]
    if beside is not None:
        agrees = beside.body["agrees_with_teacher"]
        samples = [sample for sample, same in zip(beside.body["samples"], agrees, strict=True) if not same]
    found = {sample["key"]: sample for sample in reversed(samples) if sample["key"] is not None}
    return [sample for sample in reversed(found.values()) if sample["action"] != row.body["action"]]


def _answer(action: str, reasoning: str) -> Turn:
    """Return an answer as an assistant's turn: a text, or tool calls with the text beside them."""
    calls = called_tools(action)
    if not calls:
        return {"role": "assistant", "content": action}
    written = tuple(
        ToolCall(f"call_{number}", name, arguments if isinstance(arguments, str) else json.dumps(arguments))
        for number, (name, arguments) in enumerate(calls)
    )
    return message_json(Message("assistant", reasoning, written))


def _unweighted(turn: Turn) -> Turn:
    return {**turn, "weight": 0} if turn["role"] == "assistant" else turn


def _message(turn: dict[str, Any]) -> Message:
    """Return the message that `message_json` wrote."""
    rest = dict(turn)
    content, role = rest.pop("content", None), rest.pop("role")
    calls = tuple(
        ToolCall(call["id"], call["function"]["name"], call["function"]["arguments"])
        for call in rest.pop("tool_calls", None) or ()
    )
    answered = rest.pop("tool_call_id", "")
    if isinstance(content, list):
        texts = [str(part.get("text") or "") for part in content if part.get("type") == "text"]
        return Message(role, "\n".join(texts), calls, answered, tuple(content), rest)
    return Message(role, content or "", calls, answered, (), rest)


def _tool(function: dict[str, Any]) -> Tool:
    """Return the tool that `tool_json` wrote."""
    rest = dict(function)
    name, description = rest.pop("name"), rest.pop("description", "")
    return Tool(name, description or "", rest.pop("parameters", None) or {}, rest)
