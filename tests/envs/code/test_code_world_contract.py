"""What every code world does: embedded, behind our server, behind the adapter, and the published engine itself."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from published_double import make_double, published

from icd_envs.appworld import AppWorld
from icd_envs.code_client import HttpWorld
from icd_envs.code_world import CodeSession, CodeWorld
from icd_envs.errors import EngineError, EnvsError, RemoteWorldError, TaskNotFoundError
from icd_envs.workspace.server import make_app
from icd_envs.workspace.session import Workspace


@dataclass(frozen=True)
class Case:
    """A world, and a call of its helper app that changes nothing."""

    world: CodeWorld
    look: str


@pytest.fixture(scope="module", params=["embedded", "server", "adapter", "adapter of 0.2", "published"])
def case(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Case]:
    ours, theirs = "apis.api_docs.apps()", "apis.api_docs.show_app_descriptions()"
    if request.param == "embedded":
        world: CodeWorld = Workspace()
        yield Case(world, ours)
        world.close()
    elif request.param == "server":
        with _served() as address:
            world = HttpWorld(address)
            yield Case(world, ours)
            world.close()
    else:
        folder = tmp_path_factory.mktemp("appworld")
        versions = {"adapter": "0.1.3", "adapter of 0.2": "0.2.0"}
        version = versions.get(request.param)
        found = make_double(folder, version) if version else published(folder)
        if found is None:
            pytest.skip("APPWORLD_PYTHON names no published AppWorld")
        world = AppWorld(*found, servers=2)
        yield Case(world, theirs)
        world.close()


class _served:
    """Our server on loopback, in a thread."""

    def __enter__(self) -> str:
        import uvicorn

        self._workspace = Workspace()
        self._socket = socket.socket()
        self._socket.bind(("127.0.0.1", 0))
        self._socket.listen()
        config = uvicorn.Config(make_app(self._workspace), log_level="error")
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, kwargs={"sockets": [self._socket]})
        self._thread.start()
        return f"http://127.0.0.1:{self._socket.getsockname()[1]}"

    def __exit__(self, *_: object) -> None:
        self._server.should_exit = True
        self._thread.join()
        self._socket.close()
        self._workspace.close()


@pytest.fixture(scope="module")
def train(case: Case) -> list[str]:
    try:
        return case.world.task_ids("train")
    except TaskNotFoundError as error:
        pytest.skip(f"the published AppWorld has no task data: {error}")


@pytest.fixture
def session(case: Case, train: list[str]) -> Iterator[CodeSession]:
    session = case.world.open(train[0])
    yield session
    session.close()


def test_splits_and_tasks_that_are_not_there_are_refused(case: Case) -> None:
    with pytest.raises(TaskNotFoundError, match="nowhere"):
        case.world.task_ids("nowhere")
    with pytest.raises(TaskNotFoundError, match="no_such_task_1"):
        case.world.open("no_such_task_1")


def test_the_task_ids_are_stable(case: Case, train: list[str]) -> None:
    assert train == case.world.task_ids("train")
    assert len(set(train)) == len(train) > 0
    assert not set(train) & set(case.world.task_ids("dev"))


def test_a_session_tells_its_task(session: CodeSession, train: list[str]) -> None:
    task = session.task
    assert task.id == train[0]
    assert task.split == "train"
    assert task.scenario in task.id
    assert task.instruction
    assert "@" in task.supervisor.email
    assert task.difficulty in (1, 2, 3)
    assert {"api_docs", "supervisor"} <= set(task.apps)
    assert all(task.apps.values())


def test_the_namespace_stays_and_only_what_is_printed_comes_back(session: CodeSession) -> None:
    first = session.execute("x = [1, 2]\ndef twice(n):\n    return 2 * n\nx")
    assert "2" not in first
    assert session.execute("print(twice(x[1]), 'a')").strip() == "4 a"


def test_lists_and_dicts_are_printed_as_json(session: CodeSession) -> None:
    assert json.loads(session.execute("print({'a': [None, True, 'x']})")) == {"a": [None, True, "x"]}
    assert json.loads(session.execute("print(['it is'])")) == ["it is"]


def test_what_an_api_returns_can_be_worked_with(case: Case, session: CodeSession) -> None:
    names = session.execute(f"print(sorted(app['name'] for app in {case.look})[0])").strip()
    assert names in session.task.apps


def test_errors_come_back_as_text_and_the_session_goes_on(session: CodeSession) -> None:
    failed = session.execute("y = 1\nprint('before')\nz = y / 0")
    assert "ZeroDivisionError" in failed
    assert "line 3" in failed
    assert "SyntaxError" in (text := session.execute("a b")) or "yntax error" in text
    assert "NameError" in session.execute("print(nowhere)")
    assert session.execute("print(y)").strip() == "1"


def test_more_than_a_thousand_calls_in_one_execution_are_an_error(case: Case, session: CodeSession) -> None:
    loop = "n = 0\nfor _ in range({}):\n    " + case.look + "\n    n += 1\n"
    assert session.execute(loop.format(1000) + "print('all')").strip() == "all"
    session.execute(loop.format(1001))
    assert session.execute("print(n)").strip() == "1000"


def test_completing_is_told_and_doing_nothing_else_is_judged(session: CodeSession) -> None:
    assert session.completed() is False
    assert session.evaluate().success is False
    session.execute("apis.supervisor.complete_task()")
    assert session.completed() is True
    judged = session.evaluate()
    assert judged.difficulty == session.task.difficulty
    assert judged.success is (not judged.failed)
    assert judged.passed or judged.failed


def test_a_session_starts_afresh(case: Case, train: list[str]) -> None:
    first = case.world.open(train[0])
    first.execute("left = 1\napis.supervisor.complete_task()")
    first.close()
    second = case.world.open(train[0])
    assert "NameError" in second.execute("print(left)")
    assert second.completed() is False
    second.close()


def test_two_sessions_do_not_meet(case: Case, train: list[str]) -> None:
    one, two = case.world.open(train[0]), case.world.open(train[1])
    one.execute("mine = 1\napis.supervisor.complete_task()")
    assert "NameError" in two.execute("print(mine)")
    assert (one.completed(), two.completed()) == (True, False)
    one.close()
    assert two.execute("print(2)").strip() == "2"
    two.close()


def test_a_closed_session_says_so(case: Case, train: list[str]) -> None:
    session = case.world.open(train[0])
    session.close()
    session.close()
    with pytest.raises(EngineError, match="closed"):
        session.execute("print(1)")


def test_a_server_that_is_not_there_is_told() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{free.getsockname()[1]}"
    with pytest.raises(RemoteWorldError, match="does not answer"):
        HttpWorld(address)


def test_the_server_refuses_what_is_not_initialized_and_shows_tasks() -> None:
    with _served() as address:
        world = HttpWorld(address)
        task_id = world.task_ids("train")[0]
        assert world.task(task_id).id == task_id
        with pytest.raises(TaskNotFoundError, match="not initialized"):
            world._wire.post("/execute", task_id=task_id, code="1")
        with pytest.raises(EnvsError, match="422"):
            world._wire.post("/execute", task_id=task_id)
        world.close()
        world.close()


def test_the_published_engine_answers_even_without_data(tmp_path: Path) -> None:
    found = published(tmp_path)
    if found is None:
        pytest.skip("APPWORLD_PYTHON names no published AppWorld")
    from icd_envs.appworld_process import ServerProcess

    world = AppWorld(found[0], tmp_path)
    server = ServerProcess(world.installation)
    assert server.wire.alive()
    with pytest.raises(RemoteWorldError):
        server.wire.post("/execute", task_id="none_1", code="1")
    server.kill()
    assert not server.wire.alive()
