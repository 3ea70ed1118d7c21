"""LangSmith's runs, as its API, its SDK and its bulk export give them: an object a run, a line each, in a list, or under
``runs``. Fields by its page "Run (span) data format" and langsmith 0.15.0 (November 2026).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from icd.exchange.format import Format
from icd.exchange.records import read_each
from icd.exchange.runs import ModelCall, answer_of, trajectories_of, turns_of

_LISTS = ("runs.item",)


def the_format() -> Format:
    """Return the format."""
    return Format(
        "langsmith",
        "LangSmith runs (run data format of langsmith 0.15)",
        lambda path, origin: trajectories_of(path, _calls(path), "langsmith", origin),
        lambda record: "run_type" in record,
        ignores=(
            "runs other than model calls (chains, tools, retrievers): what tools gave stands in the calls' messages",
            "tokens, cost and timing",
            "failed calls without an answer",
            "feedback as an outcome: its averages are noted, but nobody says what they mean",
        ),
        lists=_LISTS,
    )


def _calls(path: Path) -> Iterator[ModelCall]:
    for found in read_each(path, "LangSmith run", lambda data: [_call(run) for run in _all(data)], _LISTS):
        yield from (call for call in found if call is not None)


def _all(run: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield run
    for child in run.get("child_runs") or ():
        yield from _all(child)


def _call(run: Mapping[str, Any]) -> ModelCall | None:
    if run["run_type"] != "llm" or not run.get("outputs"):
        return None
    inputs, outputs = _object(run["inputs"]), _object(run["outputs"])
    answer = answer_of(outputs)
    if answer is None:
        return None
    extra = _object(run.get("extra") or {})
    asked = extra.get("invocation_params") or {}
    known = extra.get("metadata") or {}
    begun = str(run.get("start_time") or "")
    return ModelCall(
        str(run.get("trace_id") or run["id"]),
        str(run.get("dotted_order") or begun),
        [*turns_of(inputs), answer],
        list(inputs.get("tools") or asked.get("tools") or ()),
        str(known.get("ls_model_name") or asked.get("model") or asked.get("model_name") or ""),
        begun,
        _notes(run),
    )


def _notes(run: Mapping[str, Any]) -> dict[str, str]:
    feedback = _object(run.get("feedback_stats") or {})
    return {
        **({"status": str(run["status"])} if run.get("status") else {}),
        **{
            f"feedback.{name}": str(stats["avg"])
            for name, stats in feedback.items()
            if stats.get("avg") is not None
        },
    }


def _object(value: Any) -> dict[str, Any]:
    """Return an object that may be written as a text, as in exports to Parquet and what is made from them."""
    found = json.loads(value) if isinstance(value, str) else value
    if not isinstance(found, dict):
        raise ValueError(f"{type(found).__name__} where an object should be")
    return found
