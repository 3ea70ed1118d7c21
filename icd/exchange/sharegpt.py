"""ShareGPT: ``{"id": ..., "conversations": [{"from": ..., "value": ...}], "tools": ...}`` a line.

There is no standard, but a common form: speakers system, human, gpt, function_call and observation, tools as a JSON text.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from icd.exchange.format import Format, Origin
from icd.exchange.messages import Turn, messages_of, read_messages, tools_of
from icd.exchange.openai_chat import LOSES, UNKNOWN, under_contents
from icd.exchange.records import read_each
from icd.offline.formats import SPEAKERS, shared_turn
from icd_memory.schema import dump_json
from icd_memory.trajectory import Provenance, Trajectory

_ROLES = {
    **{speaker: role for role, speaker in SPEAKERS.items() if role != "developer"},
    "user": "user",
    "chatgpt": "assistant",
    "bing": "assistant",
    "bard": "assistant",
    "model": "assistant",
    "assistant": "assistant",
    "tool": "tool",
    "tool_response": "tool",
}


def the_format() -> Format:
    """Return the format."""
    return Format(
        "sharegpt",
        "ShareGPT JSONL or JSON (conversations)",
        _read,
        lambda record: isinstance(record.get("conversations"), list),
        _write,
        loses={
            **LOSES,
            "category": "",
            "plan": "",
            "steps.reasoning": "beside tool calls",
            "steps.view": "",
            "steps.actor": "",
        },
        ignores=("images", "schemas of tools, but for the fingerprint of the agent"),
    )


def _read(path: Path, origin: Origin) -> Iterator[Trajectory]:
    def read(data: Mapping[str, Any]) -> Trajectory:
        turns = [_turn(turn) for turn in data["conversations"]]
        if data.get("system"):
            turns.insert(0, {"role": "system", "content": data["system"]})
        tools = data.get("tools") or ()
        tools = json.loads(tools) if isinstance(tools, str) else tools
        told = read_messages(turns, tools, task_in_system=True)
        if data.get("id"):
            return told.trajectory(str(data["id"]), Provenance(origin.source, UNKNOWN, origin.at))
        return under_contents(told, "sharegpt", origin)

    return read_each(path, "ShareGPT conversation", read)


def _turn(turn: Mapping[str, Any]) -> Turn:
    speaker, value = turn["from"], turn["value"]
    if speaker == "function_call":
        calls = json.loads(value) if isinstance(value, str) else value
        calls = [calls] if isinstance(calls, dict) else calls
        return {"role": "assistant", "content": "", "tool_calls": [{"function": call} for call in calls]}
    if speaker not in _ROLES:
        raise ValueError(f"nobody is called {speaker!r} in a ShareGPT conversation")
    return {"role": _ROLES[speaker], "content": value}


def _write(trajectory: Trajectory) -> str:
    turns = messages_of(trajectory, named=False)
    tools = tools_of(turns)
    row = {"id": trajectory.id, "conversations": [shared_turn(turn) for turn in turns]}
    return dump_json({**row, "tools": json.dumps(tools, ensure_ascii=False)} if tools else row)
