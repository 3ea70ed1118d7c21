"""One run of one task: the model's code goes to a worker, the worker's API calls come back to the world in this process.

The world and its evaluator never leave this process; a worker only ever holds plain results of API calls. A worker that
hangs or dies is replaced by a fresh one, and the output says so: the namespace is then empty, the world as it was.
"""

from __future__ import annotations

import logging
import time
from threading import Lock
from typing import Annotated, Literal
from weakref import WeakSet

from pydantic import BaseModel, Field, TypeAdapter, ValidationError

from icd_envs.code_world import CodeTask, Evaluation, Json
from icd_envs.errors import EngineError, SandboxError, TaskNotFoundError
from icd_envs.workspace.api import ApiError
from icd_envs.workspace.sandbox import Limits, Worker, Workers, containment
from icd_envs.workspace.tasks import WorkspaceTask, make_task, task_ids

_LOG = logging.getLogger(__name__)
MOST_CALLS = 1000
"""API calls in one execution; each one more is refused."""
_GRACE_S = 1.0
"""What code has, once told that its time is over, until its worker is killed."""


class _Call(BaseModel, strict=True):
    kind: Literal["call"]
    app: str
    api: str
    arguments: dict[str, Json]


class _Output(BaseModel, strict=True):
    kind: Literal["output"]
    id: int
    text: str


_Message = TypeAdapter[_Call | _Output](Annotated[_Call | _Output, Field(discriminator="kind")])


class WorkspaceSession:
    """A task in its own world, with a worker for the model's code. The calls of several threads wait for each other."""

    def __init__(self, task: WorkspaceTask, workers: Workers | None = None) -> None:
        """Start a worker, by default under the strongest containment here. Raises `SandboxError`."""
        self._workspace_task = task
        self._world = task.world
        self._before = task.world.state()
        self._workers = workers or Workers(containment(), Limits())
        self._lock = Lock()
        self._executions = 0
        self._closed = False
        self._worker: Worker | None = self._start()

    @property
    def task(self) -> CodeTask:
        """The task of this session."""
        return self._workspace_task.task

    def execute(self, code: str) -> str:
        """Run a block; return what it printed, and where it failed what it failed with.

        Raises `EngineError` after `close`, `SandboxError` when no worker can be started any more.
        """
        with self._lock:
            if self._closed:
                raise EngineError(f"the session of {self.task.id!r} is closed")
            self._worker = self._worker or self._start()
            try:
                return self._run(self._worker, code)
            except (SandboxError, ValidationError) as error:
                self._end_worker()
                told = str(error) if isinstance(error, SandboxError) else "the worker sent what is no message"
                return f"The code was stopped: {told}. What it had defined is gone; the apps are as it left them."

    def completed(self) -> bool:
        """Return whether the agent has said that it is done."""
        return self._world.completed

    def evaluate(self) -> Evaluation:
        """Judge the state as it is now."""
        with self._lock:
            return self._workspace_task.evaluate(self._before, self._world)

    def close(self) -> None:
        """End the worker. May be called twice."""
        with self._lock:
            self._closed = True
            self._end_worker()

    def _start(self) -> Worker:
        apis = {app: list(names) for app, names in self._world.apis().items()}
        return self._workers.take({"date": self._world.date.isoformat(), "apis": apis})

    def _end_worker(self) -> None:
        worker, self._worker = self._worker, None
        if worker is not None:
            worker.kill()

    def _run(self, worker: Worker, code: str) -> str:
        """Serve the worker's calls until its output comes."""
        self._executions += 1
        seconds = self._workers.limits.seconds
        deadline = time.monotonic() + seconds + _GRACE_S
        request = {"kind": "execute", "id": self._executions, "code": code, "seconds": seconds}
        worker.send(request, deadline - time.monotonic())
        calls = 0
        while True:
            message = _Message.validate_json(worker.receive(deadline))
            if isinstance(message, _Call):
                calls += 1
                worker.send(self._answer(message, calls), deadline - time.monotonic())
            elif message.id == self._executions:
                return message.text

    def _answer(self, call: _Call, calls: int) -> dict[str, Json]:
        try:
            if calls > MOST_CALLS:
                raise ApiError(429, f"more than {MOST_CALLS:,} API calls in one execution")
            return {"kind": "result", "value": self._world.call(call.app, call.api, call.arguments)}
        except ApiError as error:
            return {"kind": "error", "status": error.status, "message": error.message}
        except Exception:  # noqa: BLE001 - an app's own fault is an API's error, not the end of the episode
            _LOG.exception("%s.%s failed on %r", call.app, call.api, call.arguments)
            return {"kind": "error", "status": 500, "message": f"{call.app}.{call.api} failed inside"}


class Workspace:
    """Our embedded world for code-writing agents: every session has a world and a worker of its own."""

    name = "workspace"

    def __init__(self, limits: Limits | None = None, require_sandbox: bool = False) -> None:
        """Find out how code can be shut in here. Raises `SandboxError` where a sandbox is required and there is none."""
        self.containment = containment(require_sandbox)
        """How the model's Python runs; its `note` is for the user."""
        self._workers = Workers(self.containment, limits or Limits())
        self._sessions: WeakSet[WorkspaceSession] = WeakSet()

    def task_ids(self, split: str) -> list[str]:
        """Return the ids of a split's tasks: ``train``, ``dev`` or ``test``. Raises `TaskNotFoundError`."""
        if split not in ("train", "dev", "test"):
            raise TaskNotFoundError(f"the workspace has no split {split!r}: it has train, dev and test")
        return task_ids(split)  # type: ignore[arg-type]

    def open(self, task_id: str) -> WorkspaceSession:
        """Start a session in a fresh world. Raises `TaskNotFoundError`, `SandboxError`."""
        # A worker takes as long to launch as a world to make, so the two go on together, and the next one is launched
        # while this session is played.
        self._workers.launch_ahead()
        session = WorkspaceSession(make_task(task_id), self._workers)
        self._sessions.add(session)
        self._workers.launch_ahead()
        return session

    def close(self) -> None:
        """End every open session. May be called twice."""
        for session in list(self._sessions):
            session.close()
        self._workers.close()
