"""The process in which the model's Python runs: a namespace that stays, and an `apis` object that asks the other side.

It is run by `confinement.py`, imports the standard library only, and holds nothing worth stealing: the apps' state and
the evaluator are on the other end of file descriptor 0, a socket that carries frames of four bytes' length and JSON. In:
``start`` (date, apis), ``execute`` (id, code, seconds), ``result`` or ``error`` (to a call). Out: ``ready``
(filtered), ``call`` (app, api, arguments), ``output`` (id, text).
"""

from __future__ import annotations

import builtins
import datetime as real_datetime
import io
import json
import linecache
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

_MOST_OUTPUT = 200_000
"""Characters that an execution may print; the rest is counted and dropped."""
_MOST_FRAMES = 8
_MOST_MESSAGE = 10_000
_CODE = "<code>"
_NUDGE_S = 0.5
"""How often code that swallowed the time limit is told again."""


class ApiError(Exception):
    """An API refused a call: `status` as in HTTP, and why."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"{status}: {message}")
        self.status = status
        self.message = message


class TimeLimitError(BaseException):
    """The block ran longer than it may. Not an `Exception`, so that a bare retry loop lets it through."""


class _Wire:
    """Frames to and from the other side. A call waits for its answer; one call is under way at a time."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._calling = threading.Lock()
        self._writing = threading.Lock()
        self.busy = False
        """The main thread is between a call and its answer, which no signal may tear apart."""
        self.overdue: BaseException | None = None
        """What came up meanwhile, to be raised when the answer is there."""

    def send(self, message: dict[str, Any]) -> None:
        body = json.dumps(message, ensure_ascii=False, allow_nan=False).encode("utf-8", "replace")
        frame = memoryview(len(body).to_bytes(4, "big") + body)
        with self._writing:
            while frame:
                frame = frame[os.write(self._descriptor, frame) :]

    def receive(self) -> Any:
        return json.loads(self._read(int.from_bytes(self._read(4), "big")))

    def call(self, app: str, api: str, arguments: dict[str, Any]) -> Any:
        message = {"kind": "call", "app": app, "api": api, "arguments": arguments}
        with self._calling:
            main = threading.current_thread() is threading.main_thread()
            self.busy = self.busy or main
            try:
                self.send(message)
                reply = self.receive()
            finally:
                if main:
                    self.busy = False
        if main and self.overdue is not None:
            error, self.overdue = self.overdue, None
            raise error
        if reply["kind"] == "error":
            raise ApiError(reply["status"], reply["message"])
        return reply["value"]

    def _read(self, size: int) -> bytes:
        parts = []
        while size:
            part = os.read(self._descriptor, min(size, 1 << 20))
            if not part:
                os._exit(0)
            parts.append(part)
            size -= len(part)
        return b"".join(parts)


class _App:
    """The APIs of one app as methods with named arguments."""

    def __init__(self, wire: _Wire, name: str, apis: list[str]) -> None:
        self._wire, self._name, self._apis = wire, name, apis

    def __getattr__(self, api: str) -> Any:
        if api.startswith("__") or api not in self._apis:
            raise AttributeError(f"{self._name} has no API {api!r}: there are {', '.join(self._apis)}")

        def call(**arguments: Any) -> Any:
            return self._wire.call(self._name, api, arguments)

        return call

    def __dir__(self) -> list[str]:
        return list(self._apis)


class _Apis:
    """The apps by name."""

    def __init__(self, wire: _Wire, apis: dict[str, list[str]]) -> None:
        self._apps = {name: _App(wire, name, names) for name, names in apis.items()}

    def __getattr__(self, app: str) -> _App:
        if app.startswith("__") or app not in self._apps:
            raise AttributeError(f"there is no app {app!r}: there are {', '.join(self._apps)}")
        return self._apps[app]

    def __dir__(self) -> list[str]:
        return list(self._apps)


class _Printed(io.TextIOBase):
    """What the code printed, up to the limit."""

    def __init__(self) -> None:
        self._parts: list[str] = []
        self._left = _MOST_OUTPUT
        self._dropped = 0

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        kept = text[: self._left]
        self._parts.append(kept)
        self._left -= len(kept)
        self._dropped += len(text) - len(kept)
        return len(text)

    def text(self) -> str:
        """Return it all, with a note of what was dropped."""
        note = f"\n[{self._dropped} more characters were printed]" if self._dropped else ""
        return "".join(self._parts) + note


def _print(*values: Any, **options: Any) -> None:
    """Print as ever, but lists and dicts as JSON."""
    _plain_print(*(_shown(value) for value in values), **options)


_plain_print = builtins.print


def _shown(value: Any) -> Any:
    if not isinstance(value, list | dict):
        return value
    try:
        return json.dumps(value, ensure_ascii=False, indent=1)
    except (TypeError, ValueError, RecursionError):
        return value


class _Alarm:
    """Ends a block at its time limit, never in the middle of a call's frames."""

    def __init__(self, wire: _Wire) -> None:
        self._wire = wire
        self._seconds = 0.0
        self.armed = False
        signal.signal(signal.SIGALRM, self._ring)

    def set(self, seconds: float) -> None:
        self._seconds = seconds
        self.armed = True
        signal.setitimer(signal.ITIMER_REAL, seconds, _NUDGE_S)

    def off(self) -> None:
        self.armed = False
        signal.setitimer(signal.ITIMER_REAL, 0)
        self._wire.overdue = None

    def _ring(self, _signal: int, _frame: Any) -> None:
        if not self.armed:
            return
        error = TimeLimitError(f"the code ran longer than {self._seconds:g} seconds")
        if not self._wire.busy:
            raise error
        self._wire.overdue = error


def _freeze(now: real_datetime.datetime) -> None:
    """Make this process believe that it is `now`."""

    class DateMeta(type):
        def __instancecheck__(cls, instance: Any) -> bool:
            return isinstance(instance, cls.__mro__[1])

    class date(real_datetime.date, metaclass=DateMeta):
        @classmethod
        def today(cls) -> Any:
            return cls(now.year, now.month, now.day)

    class datetime(real_datetime.datetime, metaclass=DateMeta):
        @classmethod
        def now(cls, tz: real_datetime.tzinfo | None = None) -> Any:
            here = cls.combine(now.date(), now.time())
            return here if tz is None else here.replace(tzinfo=real_datetime.UTC).astimezone(tz)

        @classmethod
        def utcnow(cls) -> Any:
            return cls.now()

        @classmethod
        def today(cls) -> Any:
            return cls.now()

    real_datetime.date, real_datetime.datetime = date, datetime  # type: ignore[misc]
    # The machine's own time zone must not shift it.
    os.environ["TZ"] = "UTC0"
    time.tzset()
    _stop_clock(now.replace(tzinfo=real_datetime.UTC).timestamp())


def _stop_clock(seconds: float) -> None:
    """Make the time module's present stay at `seconds` since 1970; a time that is given is converted as ever."""
    local, utc, written, formatted = time.localtime, time.gmtime, time.asctime, time.strftime
    present = local(seconds)
    time.time = lambda: seconds
    time.time_ns = lambda: int(seconds) * 10**9
    time.localtime = lambda secs=None, /: local(seconds if secs is None else secs)
    time.gmtime = lambda secs=None, /: utc(seconds if secs is None else secs)
    time.ctime = lambda secs=None, /: written(local(seconds if secs is None else secs))
    time.asctime = lambda moment=present, /: written(moment)
    time.strftime = lambda text, moment=present, /: formatted(text, moment)


def _lines(error: BaseException) -> Iterator[str]:
    """Yield where in the model's own code the error came from, outermost first."""
    frames = []
    step = error.__traceback__
    while step is not None:
        code = step.tb_frame.f_code
        if code.co_filename.startswith(_CODE):
            frames.append((code.co_filename, step.tb_lineno, code.co_name))
        step = step.tb_next
    for filename, number, function in frames[:1] + frames[1:][-(_MOST_FRAMES - 1) :]:
        inside = "" if function == "<module>" else f", in {function}"
        yield f"  line {number}{inside}: {linecache.getline(filename, number).strip()}"


def _told(error: BaseException) -> str:
    """Return the error as text: where, what kind, and what it says."""
    lines = ["The code failed:"]
    if isinstance(error, SyntaxError) and str(error.filename).startswith(_CODE):
        lines.append(f"  line {error.lineno}: {(error.text or '').strip()}")
        return "\n".join((*lines, f"SyntaxError: {error.msg}"))
    lines += _lines(error)
    try:
        message = str(error)[:_MOST_MESSAGE]
    except Exception:  # noqa: BLE001 - the model's own exception classes can do anything
        message = "(no message)"
    return "\n".join((*lines, f"{type(error).__name__}: {message}" if message else type(error).__name__))


class _Runner:
    """Runs one block after the other in one namespace."""

    def __init__(self, wire: _Wire, apis: dict[str, list[str]]) -> None:
        self._alarm = _Alarm(wire)
        self._namespace: dict[str, Any] = {"__name__": "__main__", "__builtins__": builtins}
        self._namespace.update(apis=_Apis(wire, apis), print=_print, ApiError=ApiError)

    def run(self, number: int, code: str, seconds: float) -> str:
        printed = _Printed()
        sys.stdout = sys.stderr = printed
        filename = f"{_CODE} {number}"
        linecache.cache[filename] = (len(code), None, code.splitlines(keepends=True), filename)
        try:
            try:
                block = compile(code, filename, "exec", dont_inherit=True)
                self._alarm.set(seconds)
                exec(block, self._namespace)
            finally:
                self._alarm.off()
        except BaseException as error:  # noqa: BLE001 - whatever the model's code raises becomes its output
            # Again: the alarm may have rung while it was turned off.
            self._alarm.off()
            text = printed.text()
            return text + ("\n" if text and not text.endswith("\n") else "") + _told(error)
        return printed.text()


def _main() -> None:
    descriptor = os.dup(0)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for standard in (0, 1, 2):
        os.dup2(nothing, standard)
    sys.stdin = io.TextIOWrapper(io.FileIO(0, closefd=False), encoding="utf-8")
    wire = _Wire(descriptor)
    start = wire.receive()
    _freeze(real_datetime.datetime.fromisoformat(start["date"]))
    runner = _Runner(wire, start["apis"])
    wire.send({"kind": "ready", "filtered": bool(globals().get("FILTERED"))})
    while True:
        message = wire.receive()
        text = runner.run(message["id"], message["code"], message["seconds"])
        wire.send({"kind": "output", "id": message["id"], "text": text})


if __name__ == "__main__":
    _main()
