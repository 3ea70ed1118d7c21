"""The published AppWorld behind our interface: the user's own installation, run in processes of its own.

It works with 0.1.3 and 0.2: only fields that differ from the server's defaults are sent, and only fields that both send
are read. Hold-outs are whole scenarios; AppWorld's other rules on its data are kept by `icd_envs.appworld_suite`. Needs
httpx (extra ``appworld``); never imports `appworld`.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from random import Random
from threading import Lock
from uuid import uuid4

from pydantic import BaseModel, TypeAdapter, ValidationError

from icd_envs.appworld_process import Installation, ServerProcess
from icd_envs.code_client import HttpSession, WireEvaluation, WireTask, read
from icd_envs.code_world import CodeTask, Evaluation, Json
from icd_envs.errors import EngineError, RemoteWorldError, SandboxError, TaskNotFoundError
from icd_envs.sampling import scenario_of

NAME = "appworld"
PYTHON_VARIABLE, ROOT_VARIABLE = "APPWORLD_PYTHON", "APPWORLD_ROOT"
SPLITS = ("train", "dev", "test_challenge", "test_normal")
"""The last one is what methods are compared on where nobody says otherwise, as in the paper."""
_DESCRIPTIONS = "print(apis.api_docs.show_app_descriptions())"
_EVALUATE = """
import json, sys
from appworld.evaluator import evaluate_task
tracker = evaluate_task(task_id=sys.argv[1], experiment_name=sys.argv[2])
print(json.dumps(tracker.to_dict()))
"""


def data_root(root: str | os.PathLike[str] | None = None) -> Path:
    """Return the folder with AppWorld's data, by default what ``APPWORLD_ROOT`` names. Raises `RemoteWorldError`."""
    return _named(root, ROOT_VARIABLE)


def split_ids(root: Path, split: str) -> list[str]:
    """Return the ids of a split's tasks. Raises `TaskNotFoundError` for an unknown split, or without the data."""
    if split not in SPLITS:
        raise TaskNotFoundError(f"no split {split!r} of {NAME}: there are {', '.join(SPLITS)}")
    path = root / "data" / "datasets" / f"{split}.txt"
    if not path.is_file():
        raise TaskNotFoundError(f"{path} is missing: run `appworld download data` for this root")
    # A tag may follow the id.
    return [line.partition(":")[0] for line in path.read_text(encoding="utf-8").split()]


class _Described(BaseModel):
    name: str
    description: str


_AppList = TypeAdapter(list[_Described])


def hold_out(task_ids: Sequence[str], share: float, seed: int = 0) -> tuple[list[str], list[str]]:
    """Split tasks into those to use and those held out, `share` of them (0..1) by whole scenarios."""
    scenarios = sorted({scenario_of(task_id) for task_id in task_ids})
    held = set(Random(seed).sample(scenarios, round(share * len(scenarios))))
    used = [task_id for task_id in task_ids if scenario_of(task_id) not in held]
    return used, [task_id for task_id in task_ids if scenario_of(task_id) in held]


class AppWorldSession(HttpSession):
    """A task on a server of its own until it is closed."""

    def __init__(self, world: AppWorld, server: ServerProcess, task: CodeTask, experiment: str) -> None:
        super().__init__(server.wire, task)
        self._world = world
        self._server = server
        self._experiment = experiment
        self._given_back = False
        self._lost = False

    def evaluate(self) -> Evaluation:
        """Judge the state as it is now; where the server cannot see the ground truth, in a second process."""
        if self._world.installation.bwrap is None:
            return super().evaluate()
        if self._given_back:
            raise EngineError(f"the session of {self.task.id!r} is closed")
        told = self._world.installation.ask(_EVALUATE, self.task.id, self._experiment)
        return read(WireEvaluation, json.loads(told)).evaluation()

    def close(self) -> None:
        """End the session and give its server back, or end that where it doesn't answer. May be called twice."""
        if not self._given_back:
            self._given_back = True
            if not self._lost:
                super().close()
            self._closed = True
            self._world.give_back(self._server, self._experiment, self._lost)

    def _post(self, path: str, **fields: Json) -> Json:
        try:
            return super()._post(path, **fields)
        except RemoteWorldError:
            self._lost = True
            raise


class AppWorld:
    """AppWorld's tasks on up to `servers` servers, which start when needed and are used again for each task."""

    name = NAME

    def __init__(
        self,
        python: str | os.PathLike[str] | None = None,
        root: str | os.PathLike[str] | None = None,
        servers: int = 1,
        require_sandbox: bool = False,
    ) -> None:
        """Find the installation; Python and root default to ``APPWORLD_PYTHON`` and ``APPWORLD_ROOT``.

        Raises:
            RemoteWorldError: one of them is missing, or there is no AppWorld there.
            SandboxError: a sandbox is required, and there is none.
        """
        self.installation = Installation(_named(python, PYTHON_VARIABLE), data_root(root))
        boxed = self.installation.bwrap is not None
        self.note = (
            "AppWorld runs in a bwrap sandbox"
            if boxed
            else "bwrap is missing or does not work: AppWorld runs the model's Python with no security boundary"
        )
        """How the model's Python runs, for the user."""
        if require_sandbox and not boxed:
            raise SandboxError(f"a sandbox is required, but {self.note}")
        self._most = servers
        self._lock = Lock()
        self._idle: list[ServerProcess] = []
        self._busy: dict[ServerProcess, AppWorldSession | None] = {}
        self._starting = 0
        self._apps: Mapping[str, str] | None = None

    def task_ids(self, split: str) -> list[str]:
        """Return the ids of a split's tasks. Raises `TaskNotFoundError` for an unknown split, or without the data."""
        return split_ids(self.installation.root, split)

    def open(self, task_id: str) -> AppWorldSession:
        """Start a session. Raises `TaskNotFoundError`, `RemoteWorldError`, `EngineError` when no server is free."""
        if not (self.installation.root / "data" / "tasks" / task_id).is_dir() or not task_id:
            raise TaskNotFoundError(f"AppWorld has no task {task_id!r} under {self.installation.root}")
        server = self._take()
        experiment = f"icd-{uuid4().hex}"
        changed: dict[str, Json] = {} if self.installation.bwrap is None else {"load_ground_truth": False}
        try:
            output = server.wire.post("/initialize", task_id=task_id, experiment_name=experiment, **changed)
            session = AppWorldSession(self, server, self._task(read(WireTask, output)), experiment)
            session = self._described(session)
        except RemoteWorldError as error:
            said = server.log()
            self._discard(server)
            raise RemoteWorldError(f"{error}; the server says: {said}") from error
        except BaseException:
            self._discard(server)
            raise
        with self._lock:
            self._busy[server] = session
        return session

    def give_back(self, server: ServerProcess, experiment: str, lost: bool) -> None:
        """Take a server back from a session that is over, and drop what that wrote; one that is lost is ended."""
        shutil.rmtree(self.installation.root / "experiments" / "outputs" / experiment, ignore_errors=True)
        if lost or not server.wire.alive():
            self._discard(server)
            return
        with self._lock:
            self._busy.pop(server, None)
            self._idle.append(server)

    def close(self) -> None:
        """End every session and server. May be called twice."""
        for session in list(self._busy.values()):
            if session is not None:
                session.close()
        for server in (*self._idle, *self._busy):
            self._discard(server)
        self._idle.clear()

    def _take(self) -> ServerProcess:
        with self._lock:
            if self._idle:
                server = self._idle.pop()
                self._busy[server] = None
                return server
            if len(self._busy) + self._starting >= self._most:
                raise EngineError(f"each of the {self._most} servers holds a task: close a session first")
            self._starting += 1
        try:
            server = ServerProcess(self.installation)
        except BaseException:
            with self._lock:
                self._starting -= 1
            raise
        with self._lock:
            self._starting -= 1
            self._busy[server] = None
        return server

    def _discard(self, server: ServerProcess) -> None:
        server.kill()
        with self._lock:
            self._busy.pop(server, None)

    def _task(self, told: WireTask) -> CodeTask:
        task = told.task()
        return replace(
            task,
            split=self._splits.get(task.id, ""),
            scenario=scenario_of(task.id),
            difficulty=self._difficulty(task.id),
        )

    def _described(self, session: AppWorldSession) -> AppWorldSession:
        """Return a session whose task names the apps, which the server tells to code only."""
        if self._apps is None:
            try:
                apps = _AppList.validate_json(session.execute(_DESCRIPTIONS))
            except ValidationError as error:
                raise RemoteWorldError(f"AppWorld does not tell its apps: {error}") from error
            self._apps = {app.name: app.description for app in apps}
        task = replace(session.task, apps=self._apps)
        return AppWorldSession(self, session._server, task, session._experiment)

    @cached_property
    def _splits(self) -> dict[str, str]:
        found = {}
        for split in SPLITS:
            try:
                found.update(dict.fromkeys(self.task_ids(split), split))
            except TaskNotFoundError:
                continue
        return found

    def _difficulty(self, task_id: str) -> int:
        path = self.installation.root / "data" / "tasks" / task_id / "ground_truth" / "metadata.json"
        try:
            return int(json.loads(path.read_text(encoding="utf-8"))["difficulty"])
        except (OSError, ValueError, KeyError):
            return 0


def _named(given: str | os.PathLike[str] | None, variable: str) -> Path:
    named = given or os.environ.get(variable)
    if not named:
        raise RemoteWorldError(
            f"the published AppWorld is not named: set {variable} or give --{variable.lower().replace('_', '-')}"
        )
    return Path(named)
