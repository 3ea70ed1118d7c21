"""ATIF, the Agent Trajectory Interchange Format of the Harbor framework: a document a trajectory.

What ATIF has no field for stands under ``extra.icd``, where the format has room for it, so nothing is lost. In ATIF what
was seen follows the action; here it stands before it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from icd.backends.base import Message, Tool
from icd.backends.base import ToolCall as Call
from icd.chat.action import action_of
from icd.chat.situation import category_of
from icd.exchange.atif_fields import (
    VERSION,
    AtifStep,
    AtifTrajectory,
    Content,
    OwnFields,
    OwnOutcome,
    OwnStep,
)
from icd.exchange.format import Format, Origin
from icd.exchange.messages import Conversation, real_calls, split_outputs
from icd.exchange.openai_chat import UNKNOWN, under_contents
from icd.exchange.records import read_each
from icd_memory.schema import dump_json
from icd_memory.trajectory import Outcome, Provenance, Step, Trajectory

_OURS = "icd"


def the_format() -> Format:
    """Return the format."""
    return Format(
        "atif",
        f"ATIF (Harbor), {VERSION.removeprefix('ATIF-')}; 1.0 to 1.7 are read too",
        _read,
        lambda record: str(record.get("schema_version", "")).startswith("ATIF-"),
        _write,
        ignores=(
            "metrics (tokens, cost, log probabilities)",
            "timestamps of steps",
            "images and sound",
            "embedded trajectories of sub-agents",
            "other producers' extra fields",
        ),
    )


# Reading


def _read(path: Path, origin: Origin) -> Iterator[Trajectory]:
    return read_each(
        path, "ATIF trajectory", lambda data: _trajectory(AtifTrajectory.model_validate(data), origin)
    )


def _trajectory(document: AtifTrajectory, origin: Origin) -> Trajectory:
    ours = (document.extra or {}).get(_OURS)
    conversation = _conversation(document)
    agent = document.agent
    producer = agent.model_name or agent.name or UNKNOWN
    id = document.trajectory_id or document.session_id
    if ours is None:
        stamp = next((step.timestamp for step in document.steps if step.timestamp), None)
        at = datetime.fromisoformat(stamp) if stamp else origin.at
        if id is None:
            return under_contents(conversation, "atif", origin)
        notes = {"agent": f"{agent.name} {agent.version}"}
        return conversation.trajectory(id, Provenance(origin.source, producer, at), notes=notes)
    own = OwnFields.model_validate(ours)
    said = own.outcome
    outcome = Outcome(said.success, said.score, said.verified_by) if said is not None else None
    provenance = Provenance(
        own.source, agent.model_name or "", datetime.fromisoformat(own.created_at), own.restriction
    )
    return Trajectory(
        id or "", own.environment, own.task_id, own.instance, own.split, conversation.goal, own.category, own.plan,
        conversation.steps, outcome, provenance, own.tenant, own.notes,
    )  # fmt: skip


def _conversation(document: AtifTrajectory) -> Conversation:
    goal: str | None = None
    prompts: list[str] = []
    steps: list[Step] = []
    seen: list[str] = []
    ours = (document.extra or {}).get(_OURS) is not None
    for step in document.steps:
        text = _text(step.message)
        if step.source == "agent":
            own = OwnStep.model_validate((step.extra or {}).get(_OURS, {}))
            action, reasoning = _acted(step, text)
            steps.append(Step("\n".join(seen), action, reasoning, own.view, own.actor, own.reward))
            seen = []
        elif step.source == "user":
            if goal is None:
                goal = text
                seen = [] if ours and _says_what_was_seen(document.steps) else [text]
            else:
                seen.append(text)
        elif ours:
            seen.append(text)
        else:
            prompts.append(text)
        seen += _observed(step)
    tools = document.agent.tool_definitions or ()
    category = category_of(
        [Message("system", prompt) for prompt in prompts],
        [_tool(tool) for tool in tools],
    )
    return Conversation(goal or "", category, "", tuple(steps))


def _says_what_was_seen(steps: Sequence[AtifStep]) -> bool:
    """Say whether what was seen first stands in a step of its own after the goal, as we write it."""
    return len(steps) > 1 and steps[1].source == "system"


def _acted(step: AtifStep, text: str) -> tuple[str, str]:
    thought = step.reasoning_content or ""
    if not step.tool_calls:
        return text, thought
    calls = [
        Call(call.tool_call_id, call.function_name, json.dumps(call.arguments, ensure_ascii=False))
        for call in step.tool_calls
    ]
    return action_of("\n".join(part for part in (thought, text) if part), calls)


def _observed(step: AtifStep) -> list[str]:
    names = {call.tool_call_id: call.function_name for call in step.tool_calls or ()}
    lines = []
    for result in step.observation.results if step.observation else ():
        text = "" if result.content is None else _text(result.content)
        name = names.get(result.source_call_id or "")
        lines.append(f"{name}: {text}" if name else text)
    return lines


def _text(content: Content) -> str:
    if isinstance(content, str):
        return content
    return "\n".join(part.text for part in content if part.text)


def _tool(tool: dict[str, Any]) -> Tool:
    function = tool.get("function", tool)
    return Tool(
        str(function["name"]), str(function.get("description") or ""), function.get("parameters") or {}
    )


# Writing


def _write(t: Trajectory) -> str:
    steps: list[dict[str, Any]] = [{"source": "user", "message": t.goal}]
    if t.steps and t.steps[0].observation != t.goal:
        steps.append({"source": "system", "message": t.steps[0].observation})
    for number, step in enumerate(t.steps):
        after = t.steps[number + 1].observation if number + 1 < len(t.steps) else None
        steps.append(_step(step, number, after))
    outcome, origin = t.outcome, t.provenance
    said = OwnOutcome.model_validate(outcome, from_attributes=True) if outcome is not None else None
    own = OwnFields(
        tenant=t.tenant, environment=t.environment, task_id=t.task_id, instance=t.instance, split=t.split,
        category=t.category, plan=t.plan, source=origin.source, created_at=origin.created_at.isoformat(),
        restriction=origin.restriction, notes=t.notes,
        outcome=said,
    )  # fmt: skip
    return dump_json(
        {
            "schema_version": VERSION,
            "session_id": t.id,
            "trajectory_id": t.id,
            "agent": {"name": "icd-runtime", "version": _version(), "model_name": origin.producer},
            "steps": [{"step_id": number, **step} for number, step in enumerate(steps, 1)],
            "extra": {_OURS: own.model_dump(exclude_none=True)},
        }
    )


def _step(step: Step, number: int, after: str | None) -> dict[str, Any]:
    calls = real_calls(step, after)
    if not all(isinstance(arguments, dict) for _, arguments in calls):
        calls = []
    written: dict[str, Any] = {"source": "agent", "message": step.reasoning if calls else step.action}
    ids = [f"call_{number}_{place}" for place in range(len(calls))]
    if calls:
        written["tool_calls"] = [
            {"tool_call_id": id, "function_name": name, "arguments": arguments}
            for id, (name, arguments) in zip(ids, calls, strict=True)
        ]
    elif step.reasoning:
        written["reasoning_content"] = step.reasoning
    if after is not None:
        outputs = split_outputs(after, [name for name, _ in calls]) if calls else None
        results = (
            [{"content": after}]
            if outputs is None
            else [{"source_call_id": id, "content": output} for id, output in zip(ids, outputs, strict=True)]
        )
        written["observation"] = {"results": results}
    own = OwnStep(view=step.view, actor=step.actor, reward=step.reward).model_dump(exclude_defaults=True)
    return {**written, **({"extra": {_OURS: own}} if own else {})}


def _version() -> str:
    import icd

    return icd.__version__
