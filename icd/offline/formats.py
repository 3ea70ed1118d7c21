"""The same rows as other tools read them. Line i of such a file is line i of the data set's own, which says where it
comes from.

- ``openai``: ``{"messages": [...], "tools": [...]}``, the weight of each assistant turn saying whether it is learned from
- ``sharegpt``: ``{"conversations": [{"from": ..., "value": ...}], "tools": ...}``
- ``preference``: ``{"prompt": [...], "chosen": [...], "rejected": [...], "tools": [...]}``, as TRL reads pairs
- ``parquet``: all columns of the rows, tools as a JSON text since their schemas differ (extra ``parquet``)
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from icd.errors import MissingExtraError
from icd.offline.examples import Example, Pair, Turn
from icd_memory.schema import dump_json

__all__ = [
    "FORMATS",
    "SPEAKERS",
    "Format",
    "openai_row",
    "preference_row",
    "shared_turn",
    "sharegpt_row",
    "write_format",
]

Format = Literal["openai", "sharegpt", "parquet"]
FORMATS: tuple[Format, ...] = ("openai", "sharegpt", "parquet")
"""Besides the data set's own; pairs are written as ``preference`` with the first two."""
SPEAKERS = {
    "system": "system",
    "developer": "system",
    "user": "human",
    "assistant": "gpt",
    "tool": "observation",
}
"""Who speaks in a ShareGPT conversation, by role."""


def openai_row(row: Example) -> dict[str, Any]:
    """Return a row of a file for OpenAI's fine-tuning."""
    return {"messages": list(row.messages), **_tools(row.tools)}


def sharegpt_row(row: Example) -> dict[str, Any]:
    """Return a row as ShareGPT files have it; turns that call tools are of ``function_call``."""
    turns = [shared_turn(turn) for turn in row.messages]
    tools = {"tools": json.dumps(list(row.tools), ensure_ascii=False)} if row.tools else {}
    return {"id": row.id, "conversations": turns, **tools}


def preference_row(row: Pair) -> dict[str, Any]:
    """Return a pair as TRL's preference trainers read it."""
    return {
        "prompt": [_unweighted(turn) for turn in row.prompt],
        "chosen": list(row.chosen),
        "rejected": list(row.rejected),
        **_tools(row.tools),
    }


def write_format(rows: Sequence[Example] | Sequence[Pair], kind: Format, path: Path) -> Path | None:
    """Write rows beside `path`, whose ending they get by their format; None: pairs have no such form.

    Raises:
        MissingExtraError: pyarrow is not installed.
    """
    if kind == "parquet":
        target = path.with_suffix(".parquet")
        _write_parquet(rows, target)
        return target
    lines: list[Mapping[str, Any]] = []
    for row in rows:
        if isinstance(row, Pair):
            if kind == "sharegpt":
                return None
            lines.append(preference_row(row))
        else:
            lines.append(openai_row(row) if kind == "openai" else sharegpt_row(row))
    name = "preference" if rows and isinstance(rows[0], Pair) else kind
    target = path.with_name(f"{path.stem}.{name}.jsonl")
    target.write_text("".join(dump_json(line) + "\n" for line in lines), "utf-8")
    return target


def shared_turn(turn: Turn) -> dict[str, str]:
    """Return a message as a turn of a ShareGPT conversation."""
    if turn.get("tool_calls"):
        calls = [call["function"] for call in turn["tool_calls"]]
        return {"from": "function_call", "value": json.dumps(calls, ensure_ascii=False)}
    content = turn["content"]
    text = content if isinstance(content, str) else json.dumps(content, ensure_ascii=False)
    return {"from": SPEAKERS[turn["role"]], "value": text}


def _tools(tools: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    return {"tools": list(tools)} if tools else {}


def _unweighted(turn: Turn) -> Turn:
    return {name: value for name, value in turn.items() if name != "weight"}


def _flat(value: Any) -> Any:
    """Return a value whose turns have texts as contents: a column has one type."""
    if isinstance(value, list):
        return [_flat(inner) for inner in value]
    if isinstance(value, dict) and isinstance(value.get("content"), list):
        return {**value, "content": dump_json(value["content"])}
    return value


def _write_parquet(rows: Sequence[Example] | Sequence[Pair], path: Path) -> None:
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ImportError as error:
        raise MissingExtraError("the format parquet", "parquet") from error
    columns: dict[str, list[Any]] = {}
    for row in rows:
        for name, value in row.model_dump(mode="json").items():
            columns.setdefault(name, []).append(dump_json(value) if name == "tools" else _flat(value))
    parquet.write_table(pa.table(columns), path)
