"""A trajectory as a conversation in OpenAI's shape, and back.

A step is an assistant's turn; what it saw stands before it, after calls as the outputs of the tools. An action that calls
tools is written as these calls. One that is a command with a thought is written as a call of the tool `ACT`, whose
arguments hold both, so that nothing has to be taken apart again; one without a thought is a text.

Messages may be `named`: then plan, category and views stand in system messages of these names, the task in a user's, and
an assistant's name is its actor. Otherwise a task that is not what was seen first stands in a system message.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, cast, get_args

from icd.backends.base import Message, Tool, ToolCall
from icd.chat.action import action_of, called_tools
from icd.chat.situation import CHAT, category_of
from icd_memory.trajectory import Actor, Outcome, Provenance, Step, Trajectory

Turn = dict[str, Any]

IMPORTED = "imported"
"""The split of what came from other tools' files."""
ACT = "icd_act"
_ACT_TOOL = {
    "type": "function",
    "function": {
        "name": ACT,
        "description": "Act in the environment by a command.",
        "parameters": {
            "type": "object",
            "properties": {"thought": {"type": "string"}, "action": {"type": "string"}},
            "required": ["action"],
        },
    },
}
_TASK = "Task: "
_PROMPTS = ("system", "developer")


class Conversation(NamedTuple):
    """What a conversation says of an episode."""

    goal: str
    category: str
    plan: str
    steps: tuple[Step, ...]

    def trajectory(
        self,
        id: str,
        provenance: Provenance,
        *,
        outcome: Outcome | None = None,
        notes: Mapping[str, str] | None = None,
    ) -> Trajectory:
        """Return the episode under an id."""
        return Trajectory(
            id, CHAT, id, id, IMPORTED, self.goal, self.category, self.plan, self.steps, outcome, provenance,
            notes=dict(notes or {}),
        )  # fmt: skip


def messages_of(t: Trajectory, *, named: bool) -> list[Turn]:
    """Return a trajectory's steps as messages."""
    turns: list[Turn] = []
    if named:
        turns.append({"role": "system", "name": "category", "content": t.category})
        if t.plan:
            turns.append({"role": "system", "name": "plan", "content": t.plan})
    if not t.steps or t.steps[0].observation == t.goal:
        turns.append({"role": "user", "content": t.goal})
    else:
        task = {"role": "user", "name": "task", "content": t.goal}
        turns.append(task if named else {"role": "system", "content": _TASK + t.goal})
        turns.append({"role": "user", "content": t.steps[0].observation})
    for number, step in enumerate(t.steps):
        after = t.steps[number + 1].observation if number + 1 < len(t.steps) else None
        if named and step.view:
            turns.append({"role": "system", "name": "view", "content": step.view})
        turn = _acted(step, number, after)
        if named and step.actor != "teacher":
            turn["name"] = step.actor
        turns.append(turn)
        if after is not None:
            turns += seen_after(turn.get("tool_calls", ()), after)
    return turns


def tools_of(turns: Iterable[Turn]) -> list[Turn]:
    """Return definitions of the tools that messages call; of others than ours nobody kept the schemas."""
    names = dict.fromkeys(call["function"]["name"] for turn in turns for call in turn.get("tool_calls", ()))
    return [
        _ACT_TOOL
        if name == ACT
        else {"type": "function", "function": {"name": name, "parameters": {"type": "object"}}}
        for name in names
    ]


def read_messages(
    turns: Sequence[Mapping[str, Any]],
    tools: Iterable[Mapping[str, Any]] = (),
    *,
    task_in_system: bool = False,
) -> Conversation:
    """Return what messages in OpenAI's shape say of an episode.

    `task_in_system`: a system message that begins as ours do holds the task. Raises ValueError, TypeError, KeyError or
    AttributeError where they are none.
    """
    reader = _Reader(task_in_system)
    for turn in turns:
        reader.take(turn)
    prompts = [Message("system", prompt) for prompt in reader.prompts]
    category = reader.category
    if category is None:
        category = category_of(prompts, [_tool(tool) for tool in tools])
    return Conversation(reader.goal or "", category, reader.plan, tuple(reader.steps))


class _Reader:
    """Takes messages one after the other."""

    def __init__(self, task_in_system: bool) -> None:
        self._task_in_system = task_in_system
        self.goal: str | None = None
        self.category: str | None = None
        self.plan = ""
        self.prompts: list[str] = []
        self.steps: list[Step] = []
        self._view = ""
        self._seen: list[str] = []
        self._called: list[ToolCall] = []
        self._answered = 0

    def take(self, turn: Mapping[str, Any]) -> None:
        role, name, content = turn["role"], turn.get("name"), text_of(turn.get("content"))
        if role in _PROMPTS:
            self._prompt(name, content)
        elif role == "assistant":
            self._step(content, calls_of(turn), name)
        elif role == "user" and name == "task" and self.goal is None:
            self.goal = content
        else:
            if role == "user" and self.goal is None:
                self.goal = content
            self._seen.append(self._told(turn, content) if role in ("tool", "function") else content)

    def _prompt(self, name: object, content: str) -> None:
        if name == "plan":
            self.plan = content
        elif name == "category":
            self.category = content
        elif name == "view":
            self._view = content
        elif self._task_in_system and self.goal is None and content.startswith(_TASK):
            self.goal = content.removeprefix(_TASK)
        else:
            self.prompts.append(content)

    def _told(self, turn: Mapping[str, Any], content: str) -> str:
        """Return a tool's output under its name."""
        names = {call.id: call.name for call in self._called if call.id}
        named = names.get(turn.get("tool_call_id") or "")
        if named is None and self._answered < len(self._called):
            named = self._called[self._answered].name
        self._answered += 1
        named = named or str(turn.get("name") or "")
        return content if named in (ACT, "") else f"{named}: {content}"

    def _step(self, content: str, calls: list[ToolCall], name: object) -> None:
        if len(calls) == 1 and calls[0].name == ACT:
            arguments = json.loads(calls[0].arguments)
            action, reasoning = str(arguments["action"]), str(arguments.get("thought", ""))
        else:
            action, reasoning = action_of(content, calls)
        actor: Actor = cast(Actor, name) if name in get_args(Actor) else "teacher"
        self.steps.append(Step("\n".join(self._seen), action, reasoning, self._view, actor))
        self._seen, self._view, self._called, self._answered = [], "", calls, 0


def text_of(content: object) -> str:
    """Return the text of a message's content: of several parts those that are texts."""
    if content is None:
        return ""
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        parts = [part if isinstance(part, str) else _part(part) for part in content]
        return "\n".join(part for part in parts if part)
    raise ValueError(f"a message's content is {type(content).__name__}, neither a text nor a list of parts")


def _part(part: Mapping[str, Any]) -> str:
    text = part.get("text")
    return text if isinstance(text, str) else ""


def calls_of(turn: Mapping[str, Any]) -> list[ToolCall]:
    """Return the calls of an assistant's message."""
    found = list(turn.get("tool_calls") or ())
    if turn.get("function_call"):
        found.append({"id": "", "function": turn["function_call"]})
    calls = []
    for call in found:
        function = call["function"]
        arguments = function.get("arguments") or "{}"
        written = arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False)
        calls.append(ToolCall(str(call.get("id") or ""), str(function["name"]), written))
    return calls


def real_calls(step: Step, after: str | None) -> list[tuple[str, Any]]:
    """Return the calls of tools that a step is, if they and what came `after` say no less than it does."""
    calls = called_tools(step.action)
    written = [ToolCall("", str(name), json.dumps(arguments)) for name, arguments in calls]
    if not calls or ACT in (call.name for call in written) or action_of("", written).text != step.action:
        return []
    if after is not None and split_outputs(after, [call.name for call in written]) is None:
        return []
    return list(calls)


def split_outputs(seen: str, names: Sequence[str]) -> list[str] | None:
    """Return the output of each tool from what was seen after they were called; None: it is not put together so."""
    parts: list[str] = []
    rest = seen
    for number, name in enumerate(names):
        if not rest.startswith(f"{name}: "):
            return None
        rest = rest.removeprefix(f"{name}: ")
        if number + 1 < len(names):
            part, found, rest = rest.partition(f"\n{names[number + 1]}: ")
            if not found:
                return None
            rest = found[1:] + rest
        else:
            part = rest
        parts.append(part)
    return parts


def _acted(step: Step, number: int, after: str | None) -> Turn:
    calls = real_calls(step, after)
    if calls:
        made = [_call(number, place, name, arguments) for place, (name, arguments) in enumerate(calls)]
        return {"role": "assistant", "content": step.reasoning, "tool_calls": made}
    if step.action.strip() and not step.reasoning:
        return {"role": "assistant", "content": step.action}
    thought = {"thought": step.reasoning} if step.reasoning else {}
    call = _call(number, 0, ACT, {**thought, "action": step.action})
    return {"role": "assistant", "content": "", "tool_calls": [call]}


def _call(number: int, place: int, name: str, arguments: Any) -> Turn:
    function = {"name": name, "arguments": json.dumps(arguments, ensure_ascii=False)}
    return {"id": f"call_{number}_{place}", "type": "function", "function": function}


def seen_after(calls: Sequence[Turn], observation: str) -> list[Turn]:
    """Return what was seen after an assistant's turn as messages: of the tools that it called, or of the user."""
    if not calls:
        return [{"role": "user", "content": observation}]
    names = [call["function"]["name"] for call in calls]
    outputs = [observation] if names == [ACT] else split_outputs(observation, names)
    return [
        {"role": "tool", "tool_call_id": call["id"], "content": output}
        for call, output in zip(calls, outputs or (), strict=True)
    ]


def _tool(tool: Mapping[str, Any]) -> Tool:
    function = tool.get("function", tool)
    return Tool(
        str(function["name"]), str(function.get("description") or ""), function.get("parameters") or {}
    )
