"""How many of 500 labelled secrets and identities are found, and how often ordinary task text is taken for one."""

from __future__ import annotations

import time

from step_texts import play
from trust_labelled import labelled_set
from trust_poisoning import ASKING, NAMES, TESTS

from icd_envs.household.suite import HouseholdSuite
from icd_memory.redaction import Placeholders
from icd_memory.sensitive import find_sensitive


def redaction_figures(episodes: int) -> dict[str, float | int]:
    """Return recall, false positives on texts without secrets, and the CPU time of a new text of 2,000 characters."""
    labelled = labelled_set(500)
    found = sum(one.value not in Placeholders().redact(one.text) for one in labelled)
    ordinary = ordinary_texts(episodes)
    wrong = sum(bool(find_sensitive(text)) for text in ordinary)
    return {
        "redaction_recall": found / len(labelled),
        "redaction_false_positives": wrong / len(ordinary),
        "redaction_ordinary_texts": len(ordinary),
        "redaction_ms_new_text": _milliseconds(
            [" ".join(ordinary)[at : at + 2_000] for at in range(0, 40_000, 2_000)]
        ),
    }


def ordinary_texts(episodes: int) -> list[str]:
    """Return task texts of households and of an agent with tools; nobody real or secret is in them."""
    suite = HouseholdSuite()
    world = suite.environment()
    texts = []
    for task in suite.tasks("train", episodes):
        played = play(world, task)
        texts += [played.goal, played.plan]
        for step in played.steps:
            texts += [step.observation, step.view, step.reasoning, step.action]
    asked = [
        form.format(test=test, id=10_000 + 37 * number, name=name)
        for form in ASKING for test in TESTS for number, name in enumerate(NAMES)
    ]  # fmt: skip
    return [text for text in dict.fromkeys([*texts, *asked]) if text]


def _milliseconds(texts: list[str]) -> float:
    started = time.process_time()
    for number, text in enumerate(texts):
        Placeholders().redact(f"{number} {text}")
    return (time.process_time() - started) * 1000 / len(texts)
