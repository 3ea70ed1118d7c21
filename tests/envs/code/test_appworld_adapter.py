"""The adapter to the published AppWorld, on a double of it: processes, secrets, reuse, faults, and AppWorld's rules."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from published_double import make_double

from icd_envs.appworld import AppWorld, hold_out
from icd_envs.errors import EngineError, RemoteWorldError, SandboxError
from icd_envs.sampling import scenario_of


@pytest.fixture(scope="module")
def double(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return make_double(tmp_path_factory.mktemp("double"))


@pytest.fixture
def world(double: tuple[Path, Path]) -> Iterator[AppWorld]:
    world = AppWorld(*double)
    yield world
    world.close()


def test_the_server_sees_nothing_of_our_environment(
    double: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    world = AppWorld(*double)
    session = world.open("aaa_1")
    told = session.execute("import os\nprint(sorted(os.environ))")
    assert "OPENAI_API_KEY" not in told
    assert "APPWORLD_ROOT" in told
    world.close()


def test_a_server_is_used_again_and_ended_at_last(world: AppWorld) -> None:
    first = world.open("aaa_1")
    pid = first.execute("import os\nprint(os.getpid())")
    with pytest.raises(EngineError, match="close a session first"):
        world.open("aaa_2")
    first.close()
    second = world.open("aaa_2")
    assert second.execute("import os\nprint(os.getpid())") == pid
    process = second._server._process
    world.close()
    assert process.poll() is not None
    assert not list(Path(world.installation.root, "experiments", "outputs").iterdir())


def test_a_server_that_dies_is_told_and_replaced(world: AppWorld) -> None:
    session = world.open("aaa_1")
    with pytest.raises(RemoteWorldError, match="does not answer"):
        session.execute("import os\nos._exit(3)")
    session.close()
    again = world.open("aaa_1")
    assert again.execute("print(1)") == "1\n"


def test_an_evaluation_needs_no_ground_truth_in_the_server(world: AppWorld) -> None:
    session = world.open("aaa_1")
    path = world.installation.root / "data/tasks/aaa_1/ground_truth/metadata.json"
    seen = "Error" not in session.execute(f"print(open({str(path)!r}).read())")
    assert seen is (world.installation.bwrap is None)
    assert session.evaluate().failed == ("it is completed",)
    session.execute("apis.supervisor.complete_task()")
    assert session.evaluate().passed == ("it is completed",)


def test_a_server_that_does_not_start_says_why(tmp_path: Path) -> None:
    python, root = make_double(tmp_path)
    (tmp_path / "installed" / "appworld" / "serve" / "environment.py").write_text(
        "raise OSError('no bundle')"
    )
    world = AppWorld(python, root)
    with pytest.raises(RemoteWorldError, match="no bundle"):
        world.open("aaa_1")
    world.close()


def test_what_is_missing_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("APPWORLD_PYTHON", raising=False)
    with pytest.raises(RemoteWorldError, match="APPWORLD_PYTHON"):
        AppWorld()
    with pytest.raises(RemoteWorldError, match="cannot be run"):
        AppWorld(tmp_path / "none", tmp_path)
    with pytest.raises(RemoteWorldError, match="has no appworld"):
        AppWorld(sys.executable, tmp_path)


def test_a_sandbox_that_is_required_and_missing_is_refused(
    double: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(SandboxError, match="no security boundary"):
        AppWorld(*double, require_sandbox=True)
    assert "no security boundary" in AppWorld(*double).note


@given(
    st.lists(st.builds("{}_{}".format, st.sampled_from("abcdefgh"), st.integers(1, 3)), unique=True),
    st.floats(0, 1),
)
def test_a_hold_out_takes_whole_scenarios(task_ids: list[str], share: float) -> None:
    used, held = hold_out(task_ids, share, seed=1)
    assert sorted(used + held) == sorted(task_ids)
    assert not {scenario_of(id) for id in used} & {scenario_of(id) for id in held}


def test_appworld_is_never_imported_here() -> None:
    program = (
        "import sys, icd_envs.appworld; print({'appworld', 'httpx', 'fastapi', 'uvicorn'} & set(sys.modules))"
    )
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env=dict(os.environ)
    )
    assert run.stdout.strip() == "set()", run.stderr
