"""From the recorded model calls of a tracing tool to trajectories.

Agents send their whole history with every call, so of a trace only those calls are kept whose conversation no later one
goes on with: usually the last. The calls of a trace may lie anywhere in a file: they are put in order in a temporary
database, so that only one trace is in memory at a time.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from icd.exchange.format import Origin
from icd.exchange.messages import Turn, calls_of, read_messages, text_of
from icd.exchange.openai_chat import UNKNOWN
from icd.exchange.records import explained
from icd_memory.trajectory import Provenance, Trajectory

_ROLES = {
    "human": "user",
    "ai": "assistant",
    "AIMessageChunk": "assistant",
    "generic": "user",
    "chat": "user",
}


@dataclass(frozen=True, slots=True)
class ModelCall:
    """A recorded model call."""

    trace: str
    order: str
    """By which the calls of a trace are sorted."""
    turns: list[Turn]
    """What was sent, then the answer."""
    tools: list[dict[str, Any]] = field(default_factory=list)
    model: str = ""
    at: str = ""
    """When it began, as ISO 8601."""
    notes: dict[str, str] = field(default_factory=dict)


def trajectories_of(
    path: Path, calls: Iterable[ModelCall], kind: str, origin: Origin
) -> Iterator[Trajectory]:
    """Yield the conversations of a file's recorded calls as trajectories, trace by trace.

    Raises:
        ConfigurationError: the messages of a trace are none.
    """
    with TemporaryDirectory(prefix="icd-import-") as folder:
        database = sqlite3.connect(Path(folder) / "calls.db", isolation_level=None)
        try:
            _spill(database, calls)
            for (trace,) in database.execute(
                "SELECT trace FROM calls GROUP BY trace ORDER BY min(place), trace"
            ):
                with explained(path, f"trace {trace}", "conversation"):
                    found = list(_of_trace(database, trace, kind, origin))
                yield from found
        finally:
            database.close()


def _spill(database: sqlite3.Connection, calls: Iterable[ModelCall]) -> None:
    database.execute("PRAGMA journal_mode = OFF")
    database.execute("CREATE TABLE calls (trace TEXT, place TEXT, body TEXT)")
    database.execute("BEGIN")
    for call in calls:
        body = json.dumps([call.turns, call.tools, call.model, call.at, call.notes])
        database.execute("INSERT INTO calls VALUES (?, ?, ?)", (call.trace, call.order, body))
    database.execute("CREATE INDEX by_trace ON calls (trace, place)")
    database.execute("COMMIT")


def _of_trace(database: sqlite3.Connection, trace: str, kind: str, origin: Origin) -> Iterator[Trajectory]:
    kept: list[tuple[list[str], ModelCall]] = []
    rows = database.execute("SELECT place, body FROM calls WHERE trace = ? ORDER BY place, rowid", (trace,))
    for place, body in rows:
        call = ModelCall(trace, place, *json.loads(body))
        marks = [
            json.dumps([turn.get("role"), text_of(turn.get("content")), _called(turn)]) for turn in call.turns
        ]
        kept = [(known, other) for known, other in kept if marks[: len(known)] != known]
        if not any(known[: len(marks)] == marks for known, _ in kept):
            kept.append((marks, call))
    for number, (_, call) in enumerate(kept):
        id = f"{kind}-{trace}" + (f"-{number + 1}" if number else "")
        at = datetime.fromisoformat(call.at) if call.at else origin.at
        at = at if at.tzinfo else at.replace(tzinfo=UTC)
        read = read_messages(call.turns, call.tools)
        yield read.trajectory(id, Provenance(origin.source, call.model or UNKNOWN, at), notes=call.notes)


def _called(turn: Turn) -> list[tuple[str, str]]:
    return [(call.name, call.arguments) for call in calls_of(turn)]


# The shapes in which tools record messages


def turns_of(value: object) -> list[Turn]:
    """Return the messages that a recorded value holds: a list of them, of lists of them, an object with such a list, an
    API's reply, or a text. Raises ValueError where it holds none."""
    if isinstance(value, str):
        return [{"role": "user", "content": value}]
    if isinstance(value, list):
        if len(value) == 1 and isinstance(value[0], list):
            return turns_of(value[0])
        return [message_of(one) for one in value]
    if isinstance(value, dict):
        for name in ("messages", "input", "generations", "choices", "output"):
            if value.get(name):
                return turns_of(value[name])
        return [message_of(value)]
    raise ValueError("it holds no messages")


def answer_of(value: object) -> Turn | None:
    """Return the last message of what a model gave; None: it gave none."""
    if not value:
        return None
    if isinstance(value, str):
        return {"role": "assistant", "content": value}
    turns = turns_of(value)
    return {**turns[-1], "role": "assistant"} if turns else None


def message_of(raw: object) -> Turn:
    """Return a recorded message in OpenAI's shape: it may be in LangChain's, serialized or not, or a pair."""
    if isinstance(raw, Sequence) and not isinstance(raw, str) and len(raw) == 2:
        return {"role": _role(str(raw[0])), "content": raw[1]}
    if not isinstance(raw, Mapping):
        raise ValueError("a message is neither an object nor a pair")
    if isinstance(raw.get("message"), Mapping):
        return message_of(raw["message"])
    if raw.get("type") == "constructor" and isinstance(raw.get("kwargs"), Mapping):
        kind = str(raw["id"][-1]).removesuffix("Chunk").removesuffix("Message").lower()
        return message_of({"type": kind, **raw["kwargs"]})
    if isinstance(raw.get("data"), Mapping) and "type" in raw:
        return message_of({"type": raw["type"], **raw["data"]})
    if "role" not in raw and "text" in raw and "content" not in raw:
        return {"role": "assistant", "content": raw["text"]}
    turn: Turn = {"role": _role(str(raw.get("role") or raw["type"])), "content": raw.get("content")}
    more = raw.get("additional_kwargs") or {}
    calls = raw.get("tool_calls") or more.get("tool_calls")
    if calls:
        turn["tool_calls"] = [_call(call) for call in calls]
    for name in ("tool_call_id", "name"):
        if raw.get(name):
            turn[name] = raw[name]
    return turn


def _role(name: str) -> str:
    return _ROLES.get(name, name)


def _call(call: Mapping[str, Any]) -> Turn:
    function = call.get("function") or {
        "name": call["name"],
        "arguments": call.get("args", call.get("arguments")),
    }
    return {"id": call.get("id") or "", "function": dict(function)}
