"""The periodic job: promote or keep, once, alone, within its budget, and told in a file and an exit code."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from scenario import ScenarioModels, collection, settings

from icd.benchmark.experiment import Workplace
from icd.config import Settings
from icd.errors import BudgetError, ConfigurationError
from icd.offline.active import read_pointer
from icd.offline.cycle import SUMMARY, Plan, Summary, Trained, TrainStep, _alone, cycle
from icd.offline.gate import Rules
from icd.offline.promotion import GateRules
from icd.offline.registry import datasets, students, trained_tasks
from icd.testing import ScriptedBackend
from icd_memory.store import Store

NOW = datetime(2026, 1, 1, tzinfo=UTC)
GOOD, BAD = "tuned-good", "gpt-4.1-mini"


class Bench:
    """Places where the seat's name says how good the student is."""

    def __init__(self, folder: Path, current: str = BAD) -> None:
        seat = {"kind": "openai", "model": current, "guided": "choice", "temperature": 0.0}
        self.settings = settings(folder / "icd.db", student=seat, run={"max_steps": 16})
        self.trained: list[Path] = []
        place = self.place(self.settings, "household")
        asyncio.run(collection(place, 4).play())
        place.close()

    def place(self, wanted: Settings, environment: str) -> Workplace:
        # What is possible and useless is done, and steps run out; what is not possible is the teacher's to do.
        answer = "Action: no such thing" if wanted.student.model == GOOD else "Action: look"
        student = ScriptedBackend(lambda request: answer, model=wanted.student.model or "")
        return Workplace(wanted, environment, make_models=ScenarioModels(student))

    def step(self, name: str) -> TrainStep:
        def train(data: Path, folder: Path) -> Trained:
            assert (data / "card.json").is_file()
            self.trained.append(folder)
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "weights").write_text(name)
            weights = folder / "student"
            weights.mkdir(exist_ok=True)
            (weights / "model.safetensors").write_text(name)
            return Trained(weights, "merged", "tiny", {"model": name}, {}, {"loss": 1.0})

        return TrainStep({"name": name}, train)

    def plan(self, folder: Path, name: str) -> Plan:
        return Plan(
            "household", folder, self.step(name), "mit", rules=Rules(GateRules(0.2, 0.2), share=0),
            method="cascade", episodes=8, split="dev",
        )  # fmt: skip

    def run(self, plan: Plan) -> Summary:
        return cycle(self.settings, plan, lambda: NOW, self.place)


def test_a_better_student_is_promoted_once(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    plan = bench.plan(tmp_path / "rounds", GOOD)
    first = bench.run(plan)
    assert first.decision == "promoted", first.words
    assert not first.for_cause
    assert first.spent > 0
    told = json.loads((plan.folder / SUMMARY).read_text("utf-8"))
    assert (told["decision"], told["student"]) == ("promoted", first.student)
    with Store.open(tmp_path / "icd.db") as store:
        assert read_pointer(store).active == first.student
        (data,) = datasets(store)
        assert Path(data.folder).is_dir()
        (student,) = students(store)
        assert student.dataset == first.dataset == data.id
        assert trained_tasks(store, student)
    again = bench.run(plan)
    assert again.decision == "promoted"
    assert again.words[0].startswith("nothing new")
    assert len(bench.trained) == 1


def test_a_student_that_is_no_better_is_kept_out_and_not_tried_twice(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    plan = bench.plan(tmp_path / "rounds", "tuned-bad")
    first = bench.run(plan)
    assert first.decision == "kept"
    assert first.for_cause
    second = bench.run(plan)
    assert second.decision == "kept"
    assert second.words[0].startswith("nothing new")
    assert len(bench.trained) == 1
    with Store.open(tmp_path / "icd.db") as store:
        assert read_pointer(store).active is None


def test_a_round_runs_alone_and_within_its_budget(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    plan = bench.plan(tmp_path / "rounds", GOOD)
    with pytest.raises(BudgetError):
        bench.run(replace(plan, budget=1e-9))
    assert json.loads((plan.folder / SUMMARY).read_text("utf-8"))["decision"] == "failed"
    with _alone(plan.folder), pytest.raises(ConfigurationError, match="another cycle is running"):
        bench.run(plan)
    assert bench.run(plan).decision == "promoted"
