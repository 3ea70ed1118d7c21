"""Hostile code is contained: as this user and as an ordinary one, under limits alone and under bwrap where it works."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import hostile
import pytest

from icd_envs.errors import SandboxError
from icd_envs.workspace import sandbox
from icd_envs.workspace.sandbox import Containment, Limits, Worker, Workers, containment
from icd_envs.workspace.session import Workspace, WorkspaceSession
from icd_envs.workspace.state import State, diff
from icd_envs.workspace.tasks import make_task, task_ids

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the filter is Linux's")
_ENVS = str(Path(sandbox.__file__).parents[2])
_ORDINARY = 65534
_START = {"date": "2026-01-01", "apis": {}}


def _limited() -> Containment:
    return Containment("limits", (), "limits only")


def _bwrap() -> Containment:
    found = containment()
    if not found.secure:
        if os.environ.get("REQUIRE_BWRAP") == "1":
            pytest.fail(found.note)
        pytest.skip(found.note)
    return found


@pytest.fixture(scope="module", params=["limits", "bwrap"])
def shut_in(request: pytest.FixtureRequest) -> Containment:
    return _limited() if request.param == "limits" else _bwrap()


@pytest.fixture(scope="module")
def session(shut_in: Containment) -> Iterator[WorkspaceSession]:
    """One session for all attempts: it has to outlive each of them."""
    session = WorkspaceSession(make_task(task_ids("train")[0]), Workers(shut_in, hostile.LIMITS))
    yield session
    session.close()


@pytest.fixture
def target(tmp_path: Path) -> Path:
    file = tmp_path / "target.txt"
    file.write_text("a secret of this machine")
    return file


def _attempt(session: WorkspaceSession, code: str, target: Path) -> None:
    before: State = session._world.state()
    output = session.execute(hostile.fill(code, str(target)))
    assert "escaped" not in output
    assert len(output) < 250_000
    assert session.execute("print(1 + 1)") == "2\n"
    assert diff(before, session._world.state()) == ()
    assert target.read_text() == "a secret of this machine"
    assert [file.name for file in target.parent.iterdir()] == [target.name]


@pytest.mark.parametrize("case", hostile.CONTAINED)
def test_hostile_code_is_contained(
    case: str, session: WorkspaceSession, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_SECRET", "1")
    _attempt(session, hostile.CONTAINED[case], target)


@pytest.mark.parametrize("case", hostile.SHUT_OUT)
def test_bwrap_shows_nothing_of_the_machine(case: str, session: WorkspaceSession, target: Path) -> None:
    if not session._workers.containment.secure:
        pytest.skip("limits alone leave every file to read, and say so")
    _attempt(session, hostile.SHUT_OUT[case], target)


def _ordinary_python() -> str:
    """Return an interpreter that an ordinary user may run, with our code in its reach."""
    for python in (sys.executable, "/usr/bin/python3", "/usr/local/bin/python3"):
        try:
            probe = subprocess.run(
                [python, "-B", "-c", "import sys, datetime; datetime.UTC; import icd_envs.workspace.sandbox"],
                env={"PYTHONPATH": _ENVS},
                user=_ORDINARY,
                group=_ORDINARY,
                extra_groups=(),
                cwd="/",
                capture_output=True,
            )
        except OSError:
            continue
        if probe.returncode == 0:
            return python
    pytest.skip("no Python here that an ordinary user may run")


@pytest.mark.skipif(os.geteuid() != 0, reason="this user is an ordinary one already")
@pytest.mark.parametrize("kind", ["limits", "bwrap"])
def test_hostile_code_is_contained_for_an_ordinary_user(kind: str, target: Path) -> None:
    if kind == "bwrap":
        _bwrap()
    run = subprocess.run(
        [_ordinary_python(), "-B", str(Path(hostile.__file__)), kind, str(target)],
        env={"PYTHONPATH": _ENVS, "PATH": os.environ["PATH"], "MY_SECRET": "1"},
        user=_ORDINARY,
        group=_ORDINARY,
        extra_groups=(),
        cwd="/",
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert run.returncode == 0, run.stderr
    told = json.loads(run.stdout)
    assert told["kind"] == kind
    assert {name: text for name, text in told["outputs"].items() if "escaped" in text} == {}
    assert set(hostile.CONTAINED) <= set(told["outputs"])


def test_a_sandbox_that_is_required_and_missing_is_refused(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    sandbox._probed.cache_clear()
    with pytest.raises(SandboxError, match="no security boundary"):
        Workspace(require_sandbox=True)
    assert Workspace().containment.kind == "limits"
    assert [record.message for record in caplog.records] == [containment().note]


def test_a_bwrap_that_does_not_work_is_not_trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = tmp_path / "bwrap"
    broken.write_text("#!/bin/sh\necho no namespaces here >&2\nexit 1\n")
    broken.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    found = containment()
    assert found.kind == "limits"
    assert "no namespaces here" in found.note


def test_a_worker_outlives_the_thread_that_asked_for_it(shut_in: Containment) -> None:
    workers: list[Worker] = []
    thread = threading.Thread(target=lambda: workers.append(Workers(shut_in, Limits()).take(_START)))
    thread.start()
    thread.join()
    workers[0].send({"kind": "execute", "id": 1, "code": "print('alive')", "seconds": 5}, 5)
    assert json.loads(workers[0].receive(_soon()))["text"] == "alive\n"
    workers[0].kill()
    workers[0].kill()


def test_a_program_that_is_killed_leaves_no_worker_behind(shut_in: Containment) -> None:
    program = (
        "import os, sys\nfrom icd_envs.workspace.sandbox import *\n"
        f"found = Containment({shut_in.kind!r}, {shut_in.command!r}, '')\n"
        "workers = Workers(found, Limits())\n"
        f"worker = workers.take({_START!r})\nworkers.launch_ahead()\n"
        "worker.send({'kind': 'execute', 'id': 1, 'code': 'while True: pass', 'seconds': 30}, 5)\n"
        "print(worker.pid, workers._waiting[0].pid, flush=True)\nsys.stdin.read()"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", program],
        env={"PYTHONPATH": _ENVS},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with parent:
        assert parent.stdout is not None
        groups = [int(pid) for pid in parent.stdout.readline().split()]
        parent.kill()
    assert all(map(_gone, groups))


def test_a_worker_launched_ahead_is_used_once_and_ended_with_the_world(shut_in: Containment) -> None:
    workers = Workers(shut_in, Limits())
    workers.launch_ahead()
    (waiting,) = workers._waiting
    workers.launch_ahead()
    assert workers._waiting == [waiting]
    first, second = workers.take(_START), workers.take(_START)
    assert (first is waiting, second is waiting) == (True, False)
    workers.launch_ahead()
    last = workers._waiting[0].pid
    workers.close()
    workers.close()
    workers.launch_ahead()
    assert workers._waiting == []
    for worker in (first, second):
        worker.kill()
    assert all(map(_gone, (first.pid, second.pid, last)))


def test_a_worker_that_died_while_it_waited_is_replaced(shut_in: Containment) -> None:
    workers = Workers(shut_in, Limits())
    workers.launch_ahead()
    os.kill(workers._waiting[0].pid, signal.SIGKILL)
    worker = workers.take(_START)
    worker.send({"kind": "execute", "id": 1, "code": "print('alive')", "seconds": 5}, 5)
    assert json.loads(worker.receive(_soon()))["text"] == "alive\n"
    worker.kill()
    workers.close()


def test_one_that_is_ended_at_once_leaves_nothing_behind(shut_in: Containment) -> None:
    for _ in range(10):
        worker = Worker(shut_in, Limits())
        worker.kill()
        assert _gone(worker.pid)


def test_workers_that_nobody_closes_end_with_their_maker(shut_in: Containment) -> None:
    workers = Workers(shut_in, Limits())
    workers.launch_ahead()
    pid = workers._waiting[0].pid
    del workers
    assert _gone(pid)


def _soon() -> float:
    return time.monotonic() + 10


def _gone(group: int) -> bool:
    """Whether no process of the group is left, within ten seconds."""
    waiting, deadline = threading.Event(), _soon()
    while any(_group(pid) == group for pid in map(int, filter(str.isdigit, os.listdir("/proc")))):
        if _soon() - 10 > deadline or waiting.wait(0.02):
            return False
    return True


def _group(pid: int) -> int | None:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] == "Z" else int(fields[3])
