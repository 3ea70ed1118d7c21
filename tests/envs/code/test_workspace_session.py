"""One session of the workspace: what code sees, what it gets back, and that sessions do not meet."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from icd_envs.errors import EngineError
from icd_envs.workspace.sandbox import Limits, Workers, containment
from icd_envs.workspace.session import Workspace, WorkspaceSession
from icd_envs.workspace.state import diff
from icd_envs.workspace.tasks import make_task, task_ids


@pytest.fixture(scope="module")
def workspace_world() -> Iterator[Workspace]:
    world = Workspace(Limits(seconds=5))
    yield world
    world.close()


@pytest.fixture
def session(workspace_world: Workspace) -> Iterator[WorkspaceSession]:
    session = workspace_world.open(task_ids("train")[0])
    yield session
    session.close()


def _login(session: WorkspaceSession, app: str) -> str:
    return (
        f"accounts = {{a['app_name']: a['password'] for a in apis.supervisor.passwords()}}\n"
        f"token = apis.{app}.login(username={session.task.supervisor.email!r}, password=accounts[{app!r}])"
        "['access_token']\n"
    )


def test_an_error_names_the_lines_of_the_code(session: WorkspaceSession) -> None:
    session.execute("def inner(n):\n    return 1 / n")
    told = session.execute("print('start')\n\nfor n in (1, 0):\n    inner(n)")
    assert told == (
        "start\nThe code failed:\n  line 4: inner(n)\n  line 2, in inner: return 1 / n\n"
        "ZeroDivisionError: division by zero"
    )


def test_a_syntax_error_names_its_line(session: WorkspaceSession) -> None:
    assert (
        session.execute("x = 1\ny = = 2")
        == "The code failed:\n  line 2: y = = 2\nSyntaxError: invalid syntax"
    )


def test_what_an_api_refuses_can_be_caught(session: WorkspaceSession) -> None:
    assert "ApiError: 404" in session.execute("apis.api_docs.api(app_name='x', api_name='y')")
    code = "try:\n    apis.api_docs.apis(wrong=1)\nexcept ApiError as error:\n    print(error.status, error.message)"
    assert session.execute(code).startswith("422 ")
    assert "there is no app 'nowhere'" in session.execute("apis.nowhere.x()")
    assert "has no API 'nothing'" in session.execute("apis.api_docs.nothing()")
    assert "TypeError" in session.execute("apis.api_docs.apis('mail')")


def test_a_login_and_a_listing_from_code(session: WorkspaceSession) -> None:
    app = next(name for name in session.task.apps if name not in ("api_docs", "supervisor"))
    assert session.execute(_login(session, app)) == ""
    assert session.execute("print(type(token).__name__)") == "str\n"


def test_values_that_json_cannot_carry_are_refused_in_the_code(session: WorkspaceSession) -> None:
    assert "TypeError" in session.execute("apis.api_docs.apis(app_name={1, 2})")
    assert "ValueError" in session.execute("apis.api_docs.apis(app_name=float('nan'))")
    assert session.execute("print([{1}])") == "[{1}]\n"
    assert session.execute("print([float('inf')], {'b': 'ü'})") == '[\n Infinity\n] {\n "b": "ü"\n}\n'
    assert session.execute("print('\\ud800 ok')") == "? ok\n"


def test_it_is_the_worlds_day_in_the_code(session: WorkspaceSession) -> None:
    session.execute("import time\nfrom datetime import date, datetime, timedelta")
    told = session.execute(
        "print(datetime.now().isoformat(), date.today(), datetime.fromtimestamp(time.time(), None))"
    )
    now = session.task.date
    assert told.split()[:2] == [now.isoformat(), now.date().isoformat()]
    code = "d = datetime.now() - timedelta(1)\nprint(isinstance(d, datetime), isinstance(d, date), d < datetime.now())"
    assert session.execute(code) == "True True True\n"


@pytest.mark.parametrize(
    "present",
    [
        "datetime.datetime.now()",
        "datetime.datetime.today()",
        "datetime.datetime.utcnow()",
        "datetime.datetime.now(datetime.UTC)",
        "datetime.datetime.now().astimezone()",
        "datetime.datetime.fromtimestamp(time.time())",
        "datetime.datetime.fromtimestamp(time.time_ns() // 10**9, datetime.UTC)",
        "datetime.datetime.fromtimestamp(time.mktime(time.localtime()))",
        "datetime.datetime(*time.localtime()[:6])",
        "datetime.datetime(*time.gmtime()[:6])",
        "datetime.datetime(*time.gmtime(None)[:6])",
        "datetime.datetime.strptime(time.strftime('%Y-%m-%d %H:%M:%S'), '%Y-%m-%d %H:%M:%S')",
        "datetime.datetime.strptime(time.ctime(), '%a %b %d %H:%M:%S %Y')",
        "datetime.datetime.strptime(time.asctime(), '%a %b %d %H:%M:%S %Y')",
        "datetime.datetime.combine(datetime.date.today(), datetime.datetime.now().time())",
    ],
)
def test_every_clock_tells_the_frozen_present(session: WorkspaceSession, present: str) -> None:
    told = session.execute(f"import datetime, time\nprint(format({present}, '%Y-%m-%d %H:%M:%S'))")
    assert told == f"{session.task.date:%Y-%m-%d %H:%M:%S}\n"


def test_other_times_are_converted_as_ever(session: WorkspaceSession) -> None:
    shown = "time.strftime('%d %B %Y', time.gmtime(0)), time.ctime(86400), time.localtime(3600).tm_hour"
    code = f"import time\nprint({shown})"
    assert session.execute(code) == "01 January 1970 Fri Jan  2 00:00:00 1970 1\n"


def test_threads_of_the_code_may_call_apis(session: WorkspaceSession) -> None:
    code = (
        "from concurrent.futures import ThreadPoolExecutor\n"
        "with ThreadPoolExecutor(8) as pool:\n"
        "    print(sum(len(x) for x in pool.map(lambda _: apis.api_docs.apps(), range(100))))"
    )
    assert int(session.execute(code)) == 100 * len(session.task.apps)


def test_code_that_runs_too_long_is_ended_and_what_it_defined_stays() -> None:
    session = WorkspaceSession(make_task(task_ids("train")[0]), Workers(containment(), Limits(seconds=0.2)))
    told = session.execute("x = 7\nwhile True:\n    apis.api_docs.apps()")
    assert "TimeLimitError: the code ran longer than 0.2 seconds" in told or "429" in told
    assert session.execute("print(x)") == "7\n"
    session.close()


def test_a_worker_that_is_gone_is_told_and_replaced(session: WorkspaceSession) -> None:
    before = session._world.state()
    session.execute("x = 1")
    told = session.execute("print('lost')\nimport os\nos._exit(1)")
    assert told.startswith("The code was stopped: the worker is gone.")
    assert "NameError" in session.execute("print(x)")
    assert diff(before, session._world.state()) == ()


def test_a_fault_inside_an_app_is_an_error_of_its_api(
    session: WorkspaceSession, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: Any) -> None:
        raise ZeroDivisionError("inside")

    monkeypatch.setattr(session._world, "call", broken)
    assert "ApiError: 500: api_docs.apps failed inside" in session.execute("apis.api_docs.apps()")
    assert "ZeroDivisionError" in caplog.text
    assert session.execute("print(1)") == "1\n"


def test_much_output_is_cut_and_the_rest_counted(session: WorkspaceSession) -> None:
    told = session.execute("print('x' * 300_000)")
    assert told.endswith("[100001 more characters were printed]")
    assert len(told) < 201_000


def test_a_large_result_and_large_arguments_pass(session: WorkspaceSession) -> None:
    assert "422" in session.execute("apis.api_docs.apis(app_name=['x' * 2_000_000])")
    assert "stopped" in session.execute("apis.api_docs.apis(app_name='x' * 20_000_000)")
    assert session.execute("print(1)") == "1\n"


def test_gold_solutions_succeed_through_the_worker(
    workspace_world: Workspace,
) -> None:
    for task_id in task_ids("train")[:6]:
        with_gold = workspace_world.open(task_id)
        for step in make_task(task_id).gold:
            output = with_gold.execute(step.code)
            assert "The code failed" not in output, f"{task_id}: {output}"
        assert with_gold.completed()
        judged = with_gold.evaluate()
        assert judged.success, judged.failed
        with_gold.close()


def test_sixteen_sessions_at_a_time_do_not_meet(workspace_world: Workspace) -> None:
    ids = task_ids("train")
    barrier = threading.Barrier(16)

    def play(number: int) -> tuple[str, str]:
        session = workspace_world.open(ids[number % len(ids)])
        session.execute(f"mine = {number}")
        barrier.wait(60)
        for _ in range(20):
            session.execute("mine += 100\nwho = apis.supervisor.profile()['email']")
        told = session.execute("print(mine, who)")
        expected = f"{number + 2000} {session.task.supervisor.email}\n"
        session.close()
        return told, expected

    with ThreadPoolExecutor(16) as pool:
        for told, expected in pool.map(play, range(16)):
            assert told == expected


def test_closing_the_world_ends_its_sessions() -> None:
    world = Workspace()
    session = world.open(task_ids("train")[0])
    world.close()
    world.close()
    with pytest.raises(EngineError, match="closed"):
        session.execute("print(1)")
    assert session.completed() is False


def test_a_message_for_another_execution_is_left_aside(session: WorkspaceSession) -> None:
    body = json.dumps({"kind": "output", "id": 999, "text": "forged"})
    forge = f"import os\nbody = {body!r}.encode()\nos.write(3, len(body).to_bytes(4, 'big') + body)\nprint('real')"
    assert "forged" not in session.execute(forge)


@pytest.mark.slow
def test_small_blocks_run_at_two_hundred_a_second() -> None:
    world = Workspace()
    start = time.perf_counter()
    session = world.open(task_ids("train")[0])
    assert time.perf_counter() - start < 0.3
    start = time.perf_counter()
    for _ in range(1000):
        session.execute("x = 1\nprint(x)")
    assert 1000 / (time.perf_counter() - start) > 200
    world.close()
