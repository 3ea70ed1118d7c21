"""Where the model's Python may run: how strongly it can be shut in here, and starting a worker that way.

With `bwrap` the worker has its own user, process, network and mount namespaces, and sees the interpreter, its standard
library, the system's shared libraries and the worker's two files, all read-only. Without, it runs under the limits of
`confinement.py` only, which leave it every file to read. What is promised here was tried out, not assumed. This module
knows nothing about apps or tasks: it carries frames of JSON.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from threading import Lock
from typing import Any, Literal
from weakref import finalize

from icd_envs.errors import SandboxError

_LOG = logging.getLogger(__name__)
_HERE = Path(__file__).resolve().parent
_PROGRAMS = (_HERE / "confinement.py", _HERE / "worker.py")
_INSIDE = Path("/worker")
_LONGEST_FRAME = 16 << 20
_START_S = 20.0
_NO_BOUNDARY = "the model's Python runs with limits only, which is no security boundary"


@dataclass(frozen=True, slots=True)
class Limits:
    """What the model's Python may use."""

    seconds: float = 30.0
    """Wall-clock time of one execution."""
    memory_bytes: int = 512 << 20
    """Address space of the worker."""
    cpu_seconds: int = 600
    """Processor time of the worker over its life."""


@dataclass(frozen=True, slots=True)
class Containment:
    """How strongly the model's Python is shut in on this machine."""

    kind: Literal["bwrap", "limits"]
    command: tuple[str, ...]
    """What stands before the interpreter on the worker's command line."""
    note: str
    """In words, for the user."""

    @property
    def secure(self) -> bool:
        """Whether it is meant to hold against hostile code."""
        return self.kind == "bwrap"


def containment(require_sandbox: bool = False) -> Containment:
    """Return the strongest containment that works here, tried out once per process.

    Raises `SandboxError` where `require_sandbox` is set and there is no sandbox; without it, the log says so once.
    """
    found = _probed(shutil.which("bwrap"))
    if require_sandbox and not found.secure:
        raise SandboxError(f"a sandbox is required, but {found.note}")
    return found


@cache
def _probed(bwrap: str | None) -> Containment:
    reason = "bwrap is not installed"
    for further in (("--disable-userns",), ()) if bwrap else ():
        command = (str(bwrap), *_sandbox(further))
        try:
            worker = Worker(Containment("bwrap", command, ""), Limits())
            worker.start({"date": "2000-01-01", "apis": {}})
        except SandboxError as error:
            reason = f"bwrap does not work here ({error})"
            continue
        worker.kill()
        if worker.filtered:
            return Containment("bwrap", command, "the model's Python runs in a bwrap sandbox")
        reason = "the kernel filters no system calls here"
    limited = Containment("limits", (), f"{reason}: {_NO_BOUNDARY}")
    _LOG.warning("%s", limited.note)
    return limited


def _sandbox(further: tuple[str, ...]) -> Iterator[str]:
    """Yield bwrap's arguments: nothing but what Python needs, nothing writable, namespaces of its own."""
    yield from ("--unshare-all", "--unshare-user", *further, "--uid", "65534", "--gid", "65534")
    yield from ("--die-with-parent", "--new-session", "--cap-drop", "ALL", "--clearenv")
    shown = tuple(_libraries())
    for path in shown:
        yield from ("--ro-bind-try", str(path), str(path))
    for path in _masked():
        if any(path.is_relative_to(above) for above in shown):
            yield from ("--tmpfs", str(path), "--remount-ro", str(path))
    for program in _PROGRAMS:
        yield from ("--ro-bind", str(program), str(_INSIDE / program.name))
    yield from ("--dev-bind", "/dev/null", "/dev/null", "--remount-ro", "/", "--chdir", "/")


def _libraries() -> Iterator[Path]:
    """Yield the interpreter, its standard library and the system's shared libraries."""
    yield _interpreter()
    for base in {sys.base_prefix, sys.base_exec_prefix}:
        yield from (Path(base) / "lib", Path(base) / "lib64")
    yield from (Path(path) for path in ("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/etc/ld.so.cache"))


def _masked() -> Iterator[Path]:
    """Yield what must not be seen even where it lies among the libraries: installed packages, the evaluators first."""
    base = {"base": sys.base_prefix, "platbase": sys.base_exec_prefix}
    paths = {sysconfig.get_path(name, vars=base) for name in ("purelib", "platlib")}
    for path in (*map(Path, sorted(paths)), _HERE.parent):
        if path.is_dir():
            yield path


def _interpreter() -> Path:
    """Return the real interpreter: that of a virtual environment is a link to it."""
    return Path(getattr(sys, "_base_executable", sys.executable)).resolve()


@cache
def launcher() -> ThreadPoolExecutor:
    """Return the thread that starts processes: they die with the *thread* that made them, so it is one that stays."""
    return ThreadPoolExecutor(1, "sandbox-launcher")


# A forked child has the executor but not its thread.
os.register_at_fork(after_in_child=launcher.cache_clear)


class Worker:
    """One worker process. Any failure of it is a `SandboxError`, after which it is to be killed."""

    def __init__(self, containment: Containment, limits: Limits) -> None:
        """Launch the process and wait for nothing: it is confined, and knows nothing of a world until `start`."""
        self._socket, theirs = socket.socketpair()
        command = (*containment.command, *_python(containment, limits))
        self._process = launcher().submit(_launch, command, theirs)
        self.filtered = False
        """Whether the kernel refuses it system calls; known after `start`."""

    @property
    def pid(self) -> int:
        """The process' id, which is also its group's."""
        return self._process.result().pid

    def start(self, start: Mapping[str, Any]) -> None:
        """Tell it its world and wait until it is ready; once only. Raises `SandboxError`.

        `start`: the frozen `date` in ISO format and the names of the `apis` by app.
        """
        try:
            self._process.result()
            self.send({"kind": "start", **start}, _START_S)
            ready = json.loads(self.receive(time.monotonic() + _START_S))
        except (SandboxError, ValueError) as error:
            told = self._end()
            raise SandboxError(f"a worker does not start: {told or error}") from error
        self._last_words(0)
        self.filtered = ready.get("filtered") is True

    def send(self, message: Mapping[str, Any], seconds: float) -> None:
        """Send one message. Raises `SandboxError` when the worker is gone or does not read it in time."""
        body = json.dumps(message).encode()
        try:
            self._socket.settimeout(max(seconds, 0.01))
            self._socket.sendall(len(body).to_bytes(4, "big") + body)
        except OSError as error:
            raise SandboxError(f"the worker takes no message: {error}") from error

    def receive(self, deadline: float) -> bytes:
        """Return the body of the next message, by the monotonic clock's `deadline`. Raises `SandboxError`."""
        size = int.from_bytes(self._read(4, deadline), "big")
        if size > _LONGEST_FRAME:
            raise SandboxError(f"the worker sent a message of {size} bytes")
        return self._read(size, deadline)

    def kill(self) -> None:
        """End the worker and whatever it started. May be called twice."""
        self._end()

    def _end(self) -> str:
        """End it; return what it said while it started."""
        self._socket.close()
        try:
            process = self._process.result()
        except SandboxError:
            return ""
        if process.returncode is None:
            # The group, for a bwrap that is killed early leaves a half-made sandbox behind, which waits for ever.
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        return self._last_words()

    def _last_words(self, size: int = 4000) -> str:
        """Return what the worker said while it started; nobody listens any longer."""
        pipe = self._process.result().stderr
        assert pipe is not None
        if pipe.closed:
            return ""
        with pipe:
            # What is there already, whoever still holds the other end.
            os.set_blocking(pipe.fileno(), False)
            return (pipe.read(size) or b"").decode(errors="replace").strip()[-300:]

    def _read(self, size: int, deadline: float) -> bytes:
        parts = []
        while size:
            try:
                self._socket.settimeout(max(deadline - time.monotonic(), 0.001))
                part = self._socket.recv(min(size, 1 << 20))
            except TimeoutError as error:
                raise SandboxError("the worker did not answer in time") from error
            except OSError as error:
                raise SandboxError(f"the worker is gone: {error}") from error
            if not part:
                raise SandboxError("the worker is gone")
            parts.append(part)
            size -= len(part)
        return b"".join(parts)


def _python(containment: Containment, limits: Limits) -> tuple[str, ...]:
    confinement, worker = (_INSIDE / path.name if containment.secure else path for path in _PROGRAMS)
    python = (str(_interpreter()), "-I", "-S", "-B", str(confinement))
    return (*python, str(limits.memory_bytes), str(limits.cpu_seconds), str(worker))


def _launch(command: tuple[str, ...], end: socket.socket) -> subprocess.Popen[bytes]:
    try:
        with end:
            return subprocess.Popen(
                command,
                stdin=end.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                env={},
                cwd="/",
                start_new_session=True,
            )
    except OSError as error:
        raise SandboxError(f"a worker does not start: {error}") from error


class Workers:
    """Makes workers, each for one session only; one can be launched ahead, so that a session need not wait for it."""

    def __init__(self, containment: Containment, limits: Limits) -> None:
        self.containment = containment
        self.limits = limits
        self._waiting: list[Worker] = []
        self._lock = Lock()
        self._end = finalize(self, _kill_all, self._waiting)

    def launch_ahead(self) -> None:
        """Launch the next session's worker, if none is waiting; returns at once."""
        with self._lock:
            if not self._waiting and self._end.alive:
                self._waiting.append(Worker(self.containment, self.limits))

    def take(self, start: Mapping[str, Any]) -> Worker:
        """Return a worker that was started as `Worker.start` says. Raises `SandboxError`."""
        with self._lock:
            waiting = self._waiting.pop() if self._waiting else None
        if waiting is not None:
            try:
                waiting.start(start)
            except SandboxError as error:
                _LOG.info("a worker that was launched ahead is gone: %s", error)
            else:
                return waiting
        worker = Worker(self.containment, self.limits)
        worker.start(start)
        return worker

    def close(self) -> None:
        """End the worker that is waiting; none is launched ahead any more. May be called twice."""
        with self._lock:
            self._end()


def _kill_all(workers: list[Worker]) -> None:
    while workers:
        workers.pop().kill()
