"""The scripts behind the service desk's results: figures from recorded episodes, and the coach that writes advice."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from icd.decision import DecisionContext
from icd.strategies.prompts import Comparison, ask_guidance, read_guidance
from icd.strategies.situations import Situation
from icd_envs.base import Expert
from icd_envs.service_desk.expert import ServiceDeskExpert
from icd_envs.service_desk.knowledge import Knowledge
from icd_envs.service_desk.naive import NaiveAgent
from icd_envs.service_desk.suite import ServiceDeskSuite

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], ModuleType]:
    monkeypatch.setattr(sys, "path", [str(BENCHMARKS), *sys.path])
    return import_module


def played(method: str, agent: Callable[[Knowledge], Expert], number: int) -> list[dict[str, Any]]:
    """Return episodes as `icd report --results` writes them."""
    suite = ServiceDeskSuite()
    world, rows = suite.environment(), []
    for task in suite.tasks("test", number):
        result, actions = world.reset(task), []
        player = agent(world.knowledge)  # type: ignore[attr-defined]
        while not result.done:
            actions.append(player.move().action)
            result = world.step(actions[-1])
        steps = [{"action": action} for action in actions]
        rows.append(
            {"episode": f"{method} {task.id}", "method": method, "task": task.id, "won": result.won,
             "score": result.reward, "cost": 0.001, "steps": steps}
        )  # fmt: skip
    return rows


def test_figures_come_from_episodes_that_are_played_again(
    script: Callable[[str], ModuleType], tmp_path: Path
) -> None:
    rows = played("student", NaiveAgent, 5) + played("in-context", ServiceDeskExpert, 6)
    file = tmp_path / "episodes.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    results = script("service_desk_results")
    found = results.report(file)
    good, bad = found["methods"]["in-context"], found["methods"]["student"]
    assert (good["episodes"], good["won"], good["violations"]) == (5, 5, 0)
    assert good["success"].startswith("1.00 [")
    assert "won" not in bad
    assert bad["violations"] > 1
    [(name, paired)] = found["differences"].items()
    assert (name, paired["tasks"]) == ("in-context - student", 5)
    assert paired["success"].startswith("+1.00")
    assert float(paired["p of satisfaction"]) == pytest.approx(2 * 0.5**5, abs=1e-3)
    rows[0]["score"] += 1
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    with pytest.raises(ValueError, match="came out otherwise"):
        results.report(file)


def test_the_coach_says_what_the_expert_did_and_what_not_to_do(script: Callable[[str], ModuleType]) -> None:
    learning = script("service_desk_learning")
    situation = Situation("1", DecisionContext("Help.", "order", "Customer (calm): Hello."))
    pairs = [("say: offer a pause", "say: ask what happened"), ("close", "lookup order 1042")]
    compared = [Comparison(situation, student, teacher) for student, teacher in pairs]
    first = read_guidance(learning.coach(ask_guidance("A start.", "", compared, 1)))
    assert first is not None
    assert "ask what happened" in first
    assert "lookup" in first
    assert "1042" not in first
    again = read_guidance(learning.coach(ask_guidance("A start.", first, compared, 2)))
    assert again == f"{first} Do not offer a pause here. Do not close here."
    assert learning.kind_of("say: refuse: outside the warranty") == "refuse"
