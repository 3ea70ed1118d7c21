"""AppWorld as an environment, on a double: its tasks and rules, playing them, and the commands' options."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from published_double import make_double

from icd.cli.app import run
from icd_envs.appworld_suite import AppWorldSuite
from icd_envs.base import Suite
from icd_envs.errors import RemoteWorldError, SandboxError, TaskNotFoundError
from icd_envs.table import RESTRICTIONS, suite


@pytest.fixture(scope="module", params=["0.1.3", "0.2.0"])
def double(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return make_double(tmp_path_factory.mktemp("double"), request.param)


@pytest.fixture
def made(double: tuple[Path, Path]) -> Suite:
    return suite("appworld", python=double[0], root=double[1])


def test_its_tasks_are_grouped_by_scenario_and_marked(made: Suite) -> None:
    assert made.splits == ("train", "dev", "test_challenge", "test_normal")
    assert made.test_splits == made.splits[1:]
    train = made.tasks("train")
    assert {(task.id, task.instance) for task in train} == {("aaa_1", "aaa"), ("aaa_2", "aaa")}
    assert all(
        (task.environment, task.split, task.goal) == ("appworld", "train", "Finish.") for task in train
    )
    assert all(task.restriction == RESTRICTIONS["appworld"] for task in (*train, *made.tasks("dev")))
    assert [task.id for task in made.tasks("train", 1, seed=3)] == [made.tasks("train", seed=3)[0].id]


def test_tests_come_in_whole_scenarios(double: tuple[Path, Path], tmp_path: Path) -> None:
    python, root = make_double(tmp_path)
    (root / "data/datasets/dev.txt").write_text("aaa_1\nbbb_1:tag\naaa_2\n")
    order = [task.instance for task in AppWorldSuite(python, root).tasks("dev")]
    assert order in (["aaa", "aaa", "bbb"], ["bbb", "aaa", "aaa"])


def test_what_is_missing_is_named(made: Suite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(TaskNotFoundError, match="train, dev, test_challenge"):
        made.tasks("valid")
    with pytest.raises(TaskNotFoundError, match="appworld download data"):
        made.tasks("test_normal")
    monkeypatch.delenv("APPWORLD_ROOT", raising=False)
    with pytest.raises(RemoteWorldError, match="APPWORLD_ROOT or give --appworld-root"):
        suite("appworld").tasks("train")
    python, root = make_double(tmp_path)
    (root / "data/tasks/aaa_1/specs.json").write_text("{}")
    with pytest.raises(TaskNotFoundError, match=r"specs\.json tells no task"):
        AppWorldSuite(python, root).tasks("train")


def test_a_sandbox_can_be_required(double: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(SandboxError):
        AppWorldSuite(*double, require_sandbox=True).environment()


def test_a_task_is_played_to_its_end(made: Suite) -> None:
    world = made.environment(5)
    try:
        start = world.reset(made.tasks("train")[0])
        assert start.observation.startswith("Finish.")
        assert world.expert() is None
        assert "Traceback" in world.step("1 / 0").observation
        end = world.step("apis.supervisor.complete_task(answer=None)")
        assert (end.done, end.won, end.reward) == (True, True, 1.0)
    finally:
        world.close()


def test_the_doctor_looks_at_it_where_it_is_named(
    double: tuple[Path, Path],
    workspace: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def found() -> tuple[str, str]:
        run(("doctor", "--json"))
        findings = {one["what"]: one for one in json.loads(capsys.readouterr().out)}
        return findings["AppWorld"]["state"], findings["AppWorld"]["message"]

    monkeypatch.delenv("APPWORLD_PYTHON", raising=False)
    monkeypatch.delenv("APPWORLD_ROOT", raising=False)
    assert found()[0] == "note"
    monkeypatch.setenv("APPWORLD_PYTHON", str(double[0]))
    assert found()[0] == "missing"
    monkeypatch.setenv("APPWORLD_ROOT", str(double[1]))
    state, message = found()
    assert (state, "2 train tasks" in message) == ("ok", True)
