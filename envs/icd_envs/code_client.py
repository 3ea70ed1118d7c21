"""A code world behind a server that speaks the wire protocol of AppWorld's environment server: ours or the published.

It needs httpx (extra ``appworld``) and knows nothing of what the server runs. The published server shows fewer facts of a
task than ours: the rest (split, scenario, apps) its adapter adds.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import quote
from weakref import WeakSet

from pydantic import BaseModel, Field, ValidationError

from icd_envs.code_world import CodeTask, Evaluation, Json, Supervisor
from icd_envs.errors import EngineError, RemoteWorldError, TaskNotFoundError

if TYPE_CHECKING:
    import httpx

_M = TypeVar("_M", bound=BaseModel)
_NOTHING: Mapping[str, Json] = MappingProxyType({})
_ANSWER_S = 180.0
"""Longer than the longest execution and the published engine's first initialisation."""


class _Person(BaseModel):
    first_name: str
    last_name: str
    email: str
    phone_number: str


class WireTask(BaseModel):
    """A task as a server shows it."""

    task_id: str
    instruction: str
    supervisor: _Person
    datetime: datetime
    app_descriptions: dict[str, str] = Field(default_factory=dict)
    split: str = ""
    scenario: str = ""
    difficulty: int = 0

    def task(self) -> CodeTask:
        """Return it as a task; the scenario of an id ``scenario_variant`` is what stands before the last underscore."""
        return CodeTask(
            id=self.task_id,
            instruction=self.instruction,
            supervisor=Supervisor(**self.supervisor.model_dump()),
            date=self.datetime,
            apps=self.app_descriptions,
            split=self.split,
            scenario=self.scenario or self.task_id.rpartition("_")[0],
            difficulty=self.difficulty,
        )


class _Requirement(BaseModel):
    requirement: str


class WireEvaluation(BaseModel):
    """An evaluation as a server shows it."""

    success: bool
    difficulty: int | None = None
    passes: list[_Requirement]
    failures: list[_Requirement]

    def evaluation(self) -> Evaluation:
        """Return it as an evaluation."""
        passed = tuple(one.requirement for one in self.passes)
        return Evaluation(
            self.success, passed, tuple(one.requirement for one in self.failures), self.difficulty or 0
        )


class Wire:
    """Requests to one server. Raises `RemoteWorldError` for all that goes wrong, `TaskNotFoundError` for a status 404."""

    def __init__(self, base_url: str, socket: str | None = None) -> None:
        """Connect nothing yet; `socket` is the path of a Unix socket to go through. Raises `RemoteWorldError`."""
        try:
            import httpx
        except ImportError as error:
            raise RemoteWorldError("httpx is missing: pip install 'icd-runtime[appworld]'") from error
        self.base_url = base_url.rstrip("/")
        self._socket = socket
        # The environment's proxies are for other machines than those worlds run on.
        # No connection is kept: a server may drop an idle one just when a request that must not be repeated goes out.
        transport = httpx.HTTPTransport(
            uds=socket, trust_env=False, limits=httpx.Limits(max_keepalive_connections=0)
        )
        self._client = httpx.Client(
            base_url=self.base_url, timeout=_ANSWER_S, trust_env=False, transport=transport
        )
        self._failure = httpx.HTTPError

    def get(self, path: str, **query: str) -> Json:
        """Return the output of a GET."""
        return self._output("GET", path, params=query)

    def post(self, path: str, **fields: Json) -> Json:
        """Return the output of a POST with these fields as JSON."""
        return self._output("POST", path, json=fields)

    def alive(self) -> bool:
        """Return whether the server answers at all."""
        if self._socket is not None and not os.path.exists(self._socket):
            return False
        try:
            return self._client.get("/", timeout=2.0).status_code < 500
        except (self._failure, RuntimeError):
            return False

    def close(self) -> None:
        """Close the connections. May be called twice."""
        self._client.close()

    def _output(self, method: str, path: str, **what: Json) -> Json:
        try:
            response = self._client.request(method, path, **what)
        except (self._failure, RuntimeError) as error:
            raise RemoteWorldError(f"{self.base_url}{path} does not answer: {error!r}") from error
        told = _told(response)
        if response.status_code == 404:
            raise TaskNotFoundError(told)
        if response.status_code >= 400:
            raise RemoteWorldError(f"{self.base_url}{path} answered {response.status_code}: {told}")
        try:
            return response.json()["output"]
        except (ValueError, KeyError, TypeError) as error:
            raise RemoteWorldError(f"{self.base_url}{path} answered no output: {told}") from error


def read(model: type[_M], output: Json) -> _M:
    """Return what a server sent as `model`. Raises `RemoteWorldError`."""
    try:
        return model.model_validate(output)
    except ValidationError as error:
        raise RemoteWorldError(f"the server sent no {model.__name__}: {error}") from error


class HttpSession:
    """A session on a server."""

    def __init__(self, wire: Wire, task: CodeTask) -> None:
        self._wire = wire
        self._task = task
        self._closed = False

    @property
    def task(self) -> CodeTask:
        """The task of this session."""
        return self._task

    def execute(self, code: str) -> str:
        """Run a block; return its output. Raises `RemoteWorldError`, `EngineError` after `close`."""
        return str(self._post("/execute", code=code))

    def completed(self) -> bool:
        """Return whether the agent has said that it is done."""
        return bool(self._post("/task_completed"))

    def evaluate(self) -> Evaluation:
        """Judge the state as it is now."""
        return read(WireEvaluation, self._post("/evaluate")).evaluation()

    def close(self) -> None:
        """End the session on the server. May be called twice; a server that is gone has ended it."""
        if not self._closed:
            self._closed = True
            try:
                self._wire.post("/close", task_id=self._task.id)
            except (RemoteWorldError, TaskNotFoundError):
                return

    def _post(self, path: str, **fields: Json) -> Json:
        if self._closed:
            raise EngineError(f"the session of {self._task.id!r} is closed")
        return self._wire.post(path, task_id=self._task.id, **fields)


class HttpWorld:
    """The world of a running server that holds several tasks at a time, such as ``icd_envs.workspace.server``."""

    def __init__(self, base_url: str) -> None:
        """Ask the server its name. Raises `RemoteWorldError`."""
        self._wire = Wire(base_url)
        self._sessions: WeakSet[HttpSession] = WeakSet()
        about = self._wire.get("/")
        self.name: str = about["name"]
        self.note: str = about["containment"]
        """How the server runs the model's Python, for the user."""

    def task_ids(self, split: str) -> list[str]:
        """Return the ids of a split's tasks. Raises `TaskNotFoundError`, `RemoteWorldError`."""
        return [str(task_id) for task_id in self._wire.get("/tasks", split=split)]

    def task(self, task_id: str) -> CodeTask:
        """Return a task without starting a session. Raises `TaskNotFoundError`, `RemoteWorldError`."""
        return read(WireTask, self._wire.get(f"/tasks/{quote(task_id, safe='')}")).task()

    def open(self, task_id: str) -> HttpSession:
        """Start a session; one of the same task ends with it. Raises `TaskNotFoundError`, `RemoteWorldError`."""
        task = read(WireTask, self._wire.post("/initialize", task_id=task_id)).task()
        session = HttpSession(self._wire, task)
        self._sessions.add(session)
        return session

    def close(self) -> None:
        """End the sessions of this client. May be called twice."""
        for session in list(self._sessions):
            session.close()
        self._wire.close()


def _told(response: httpx.Response) -> str:
    try:
        return str(response.json()["detail"])[:500]
    except (ValueError, KeyError, TypeError):
        return response.text[:500]
