"""Runs as a store holds them after they were played, made without playing: what reports are tested on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from icd_memory.rows import DecisionRow, EpisodeRow, JsonObject, LedgerRow, RunRow
from icd_memory.store import Store

NOW = datetime(2026, 1, 1, tzinfo=UTC)
STUDENT_PRICE = {
    "input": 0.4,
    "cached_input": 0.1,
    "output": 1.6,
    "source": "a table",
    "as_of": "2025-12-02",
    "note": "",
}
TEACHER_PRICE = {**STUDENT_PRICE, "input": 3.0, "cached_input": 0.3, "output": 15.0}


@dataclass(frozen=True)
class Play:
    """An episode: who took each step (``s`` or ``t``), and whether it was won."""

    won: bool
    actors: str = "ss"
    category: str = "put"
    scenario: str = ""
    cached: int = 0
    """Of the 1000 tokens of each prompt."""


def conditions(**changes: Any) -> JsonObject:
    prompt = {
        "placement": "after_history",
        "history_steps": None,
        "excerpt_before": 0,
        "excerpt_after": 0,
        "adapt_names": True,
        "show_actions": False,
        "reasoning": True,
    }
    seats = {
        name: {
            "kind": "openai",
            "model": f"{name}-model",
            "settings": {"style": "plain"},
            "price": price,
        }
        for name, price in (("student", STUDENT_PRICE), ("teacher", TEACHER_PRICE))
    }
    return {
        "environment": "household",
        "options": {},
        "split": "test",
        "max_steps": 30,
        "seed": 0,
        **seats,
        "runtime": {
            "plan_k": 3,
            "student_prompt": prompt,
            "teacher_prompt": prompt,
            "temperature": 0.1,
            "max_tokens": 128,
            "max_code_tokens": 512,
            "constrain": True,
            "avoid_repeats": True,
            "fall_back_to_student": False,
        },
        "defaults": {
            "k": 2,
            "cascade": "unanimity(3)",
            "guards": {"validity": True, "progress": True, "support": None},
        },
        "verifier": None,
        "embedder": "hashing",
        "demonstrations": 4,
        "memory": "b187663718c5e219",
        "sources": ["collected"],
        "version": "0.1.0",
        **changes,
    }


ABOUT = {
    "command": "icd run household",
    "model_files": {"student": {"file": "student.gguf", "sha256": "ab" * 32}},
    "started": "2026-01-01 00:00 UTC",
    "python": "3.11.7",
    "versions": {"icd-runtime": "0.1.0"},
    "commit": "0123456789ab",
    "machine": "x86_64, 2 cores, Linux",
}


def record(
    store: Store,
    methods: Mapping[str, list[Play]],
    run_id: str = "household-test-1",
    *,
    about: JsonObject | None = None,
    collection_cost: float = 0.5,
    **changes: Any,
) -> str:
    """Store a run with one episode for each play, on tasks that are numbered alike for all methods."""
    store.add_run(RunRow(run_id, {"conditions": conditions(**changes), "about": about or ABOUT}, NOW))
    if collection_cost and not store.ledger("collected"):
        store.add_ledger([LedgerRow("collected", "collected", "teacher", "x", 0, 0, 0, collection_cost)])
    for method, plays in methods.items():
        for number, play in enumerate(plays):
            _episode(store, run_id, method, number, play)
    return run_id


def _episode(store: Store, run_id: str, method: str, number: int, play: Play) -> None:
    episode = f"{run_id}/{method}/{number}/0"
    steps_by = {"student": play.actors.count("s"), "teacher": play.actors.count("t")}
    outcome = {
        "won": play.won,
        "score": float(play.won),
        "steps": len(play.actors),
        "steps_by": {name: count for name, count in steps_by.items() if count},
        "goal": "put it there",
        "category": play.category,
        "instance": play.scenario or f"house-{number}",
        "code": bool(play.scenario),
    }
    store.add_episode(EpisodeRow(episode, run_id, f"task-{number:03}", method, 0, "done", NOW, outcome))
    for step, actor in enumerate(play.actors):
        _step(store, run_id, episode, step, "teacher" if actor == "t" else "student", play, method)


def _step(store: Store, run_id: str, episode: str, step: int, actor: str, play: Play, method: str) -> None:
    agreed = actor == "student"
    keys = ["go", "go", "go" if agreed else "look"] if method not in ("teacher", "student") else []
    body = {
        "acted_by": actor,
        "reason": "agreed" if agreed else "disagreed",
        "action": "go",
        "samples": [{"action": key, "key": key} for key in keys],
        "policy": "unanimity(3)" if keys else method if method == "teacher" else "student",
        "agreement": None,
        "support": None,
    }
    decision = f"{episode}/{step}"
    store.add_decision(DecisionRow(decision, episode, step, body, NOW))
    price = TEACHER_PRICE if actor == "teacher" else STUDENT_PRICE
    fresh = 1000 - play.cached
    cost = (fresh * price["input"] + play.cached * price["cached_input"] + 50 * price["output"]) / 1e6
    store.add_ledger(
        [
            LedgerRow(
                decision, run_id, actor, f"{actor}-model", fresh, play.cached, 50, cost, episode, decision
            )
        ]
    )
