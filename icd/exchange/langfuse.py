"""Langfuse's observations: the blob storage export (``observations_v2/`` and the older ``observations/``), the table's
export as JSON or JSONL, pages of the API (under ``data``), the download of one trace (under ``observations``). Fields
by its "Blob storage export field reference" and langfuse 5.0 (November 2026).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from icd.exchange.format import Format
from icd.exchange.records import read_each
from icd.exchange.runs import ModelCall, answer_of, trajectories_of, turns_of

_LISTS = ("data.item", "observations.item")


def the_format() -> Format:
    """Return the format."""
    return Format(
        "langfuse",
        "Langfuse observations (export fields of langfuse 5.0)",
        lambda path, origin: trajectories_of(path, _calls(path), "langfuse", origin),
        lambda record: "type" in record and bool(record.get("trace_id") or record.get("traceId")),
        ignores=(
            "observations other than generations (spans, tools): what tools gave stands in the generations' messages",
            "tokens, cost and timing",
            "generations without an output",
            "scores: they are another file, and nobody says what they mean",
        ),
        lists=_LISTS,
    )


def _calls(path: Path) -> Iterator[ModelCall]:
    return (call for call in read_each(path, "Langfuse observation", _call, _LISTS) if call is not None)


def _call(row: Mapping[str, Any]) -> ModelCall | None:
    if str(row["type"]).upper() != "GENERATION":
        return None
    given, answer = _read(row.get("input")), answer_of(_read(row.get("output")))
    if not given or answer is None:
        return None
    tools = given.get("tools") if isinstance(given, dict) else None
    begun = str(row.get("start_time") or row.get("startTime") or "")
    model = row.get("provided_model_name") or row.get("providedModelName") or row.get("model")
    level = str(row.get("level") or "")
    return ModelCall(
        str(row.get("trace_id") or row["traceId"]),
        f"{begun} {row['id']}",
        [*turns_of(given), answer],
        list(tools or ()),
        str(model or ""),
        begun,
        {"level": level} if level not in ("", "DEFAULT") else {},
    )


def _read(value: Any) -> Any:
    """Return what an input or output holds: exports write it as a text, which may be JSON."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError:
        return value
