"""OpenAI's chat JSONL with tools: ``{"messages": [...], "tools": [...]}`` a line, as its fine-tuning reads it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from icd.exchange.format import Format, Origin
from icd.exchange.messages import Conversation, messages_of, read_messages, tools_of
from icd.exchange.records import read_each
from icd_memory.schema import dump_json
from icd_memory.trajectory import Provenance, Trajectory

UNKNOWN = "unknown"
"""Who acted, where a file does not say it."""
LOSES = {
    name: ""
    for name in (
        "tenant", "environment", "task_id", "instance", "split", "outcome", "provenance.source", "provenance.producer",
        "provenance.created_at", "provenance.restriction", "notes", "steps.reward",
    )
}  # fmt: skip
"""What a conversation says nothing of."""


def the_format() -> Format:
    """Return the format."""
    return Format(
        "openai",
        "OpenAI chat JSONL (messages with tool calls)",
        _read,
        lambda record: isinstance(record.get("messages"), list),
        _write,
        loses={"id": "", **LOSES},
        ignores=(
            "weights",
            "images, sound and files",
            "schemas of tools, but for the fingerprint of the agent",
        ),
    )


def _read(path: Path, origin: Origin) -> Iterator[Trajectory]:
    def read(data: Mapping[str, Any]) -> Trajectory:
        told = read_messages(data["messages"], data.get("tools") or data.get("functions") or ())
        return under_contents(told, "openai", origin)

    return read_each(path, "conversation in OpenAI's format", read)


def under_contents(read: Conversation, kind: str, origin: Origin) -> Trajectory:
    """Return a conversation without an id under a fingerprint of its contents, so that it is taken in once."""
    made = read.trajectory("", Provenance(origin.source, UNKNOWN, origin.at))
    id = f"{kind}-{made.content_hash()[:32]}"
    return replace(made, id=id, task_id=id, instance=id)


def _write(trajectory: Trajectory) -> str:
    turns = messages_of(trajectory, named=True)
    tools = tools_of(turns)
    row: dict[str, Any] = {"messages": turns, **({"tools": tools} if tools else {})}
    return dump_json(row)
