"""The demo's sizes, in one place. They are chosen by measurement, see docs/log.md."""

from __future__ import annotations

from typing import Any, Final

from icd.benchmark.methods import MAIN
from icd.config import Settings

ENVIRONMENT: Final = "household"
METHODS: Final = MAIN
STUDENT: Final = "smollm2-135m"
EMBEDDER: Final = "hashing"
"""Needs no weights, and on the structure of situations it finds better excerpts than MiniLM (docs/log.md)."""
FETCHED: Final = (STUDENT,)
"""The model files that the demo needs."""

COLLECTED: Final = 240
"""Train households that the teacher plays."""
EPISODES: Final = 6
"""Test households that each method plays."""
MAX_STEPS: Final = 25
K: Final = 3
"""Demonstrations shown at a step."""
WINDOW: Final = 0
"""Steps shown around the one that fits."""
TEMPERATURE: Final = 0.3
"""Of the student's samples: at 0.1 a small model always agrees with itself."""
CONTEXT: Final = 2048
"""The student's window, in tokens: its prompts take about 700, and memory follows the window."""
MAX_TOKENS: Final = 64
"""Of one answer: a line of reasoning and an action."""
CASCADE: Final = "unanimity(3)"
SEED: Final = 0


def demo_settings(store: str, **changes: Any) -> Settings:
    """Return the demo's settings, which no file changes. `changes` replace whole sections."""
    sections: dict[str, Any] = {
        "policy": CASCADE,
        "student": {
            "kind": "local",
            "model": STUDENT,
            "temperature": TEMPERATURE,
            "max_tokens": MAX_TOKENS,
            "context": CONTEXT,
            "history": 0,
        },
        "teacher": {"kind": "expert"},
        "planner": None,
        "memory": {"store": store, "embedder": EMBEDDER, "index": "exact"},
        "retrieval": {"k": K, "window": WINDOW},
        "guards": {"validity": True, "progress": True, "support": False},
        "run": {"max_steps": MAX_STEPS, "seed": SEED},
        "prices": {},
    }
    return Settings(**{**sections, **changes})
