"""An `Answerer` that follows a script, and a server around it on a free port."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TypeAlias

from icd.backends.base import Completion, Delta, Usage
from icd.cascade import parse_policy
from icd.chat.call import ChatAnswer, ChatCall, Feedback, FeedbackResult, Settled, StreamItem
from icd.config import ServeSettings
from icd.decision import Charge, Decision
from icd.errors import UnknownEpisodeError
from icd.serving.served_models import ServedModels
from icd.serving.server import Server, listen
from icd.serving.service import Service

USAGE = Usage(input_tokens=12, cached_tokens=4, output_tokens=3)
Script: TypeAlias = Callable[[ChatCall], Sequence[Completion]]


def text(*lines: str) -> Script:
    """Always these answers."""
    return lambda call: tuple(Completion(line) for line in lines)


@dataclass
class ScriptedAnswerer:
    """Answers as the script says; an error that the script raises is the runtime's."""

    script: Script = field(default_factory=lambda: text("Hello."))
    pieces: Sequence[Delta] = ()
    """Of a stream; what they leave out comes with the answer."""
    broken_by: Exception | None = None
    """Raised after the pieces."""
    waits: bool = False
    """After the pieces it waits until it is released, or cancelled."""
    calls: list[ChatCall] = field(default_factory=list)
    feedbacks: dict[str, Feedback] = field(default_factory=dict)
    waiting: threading.Event = field(default_factory=threading.Event)
    closed: threading.Event = field(default_factory=threading.Event)
    _release: asyncio.Event = field(default_factory=asyncio.Event)
    _loop: asyncio.AbstractEventLoop | None = None

    async def answer(self, call: ChatCall) -> ChatAnswer:
        self.calls.append(call)
        completions = tuple(self.script(call))
        await self._wait()
        return self._answer(call, completions)

    async def stream(self, call: ChatCall) -> AsyncGenerator[StreamItem, None]:
        self.calls.append(call)
        completions = tuple(self.script(call))
        try:
            yield Settled("r1", call.episode_id or "e1", 2, "teacher", "disagreed", "teacher-1", 0.001, 0.002)
            for piece in self.pieces:
                yield piece
            await self._wait()
            if self.broken_by is not None:
                raise self.broken_by
            yield self._answer(call, completions)
        finally:
            self.closed.set()

    async def feedback(self, feedback: Feedback) -> FeedbackResult:
        if feedback.episode_id == "unknown":
            raise UnknownEpisodeError("there is no episode 'unknown' here")
        new = self.feedbacks.setdefault(feedback.id, feedback) is feedback
        return FeedbackResult(feedback.id, feedback.episode_id or "e1", new, "recorded", "as told")

    def release(self) -> None:
        """Let what waits go on; from any thread."""
        assert self._loop is not None
        self._loop.call_soon_threadsafe(self._release.set)

    async def _wait(self) -> None:
        if self.waits:
            self._loop = asyncio.get_running_loop()
            self.waiting.set()
            await self._release.wait()

    @staticmethod
    def _answer(call: ChatCall, completions: tuple[Completion, ...]) -> ChatAnswer:
        charges = (Charge("student", "student-1", USAGE, 0.001), Charge("teacher", "teacher-1", USAGE, 0.01))
        decision = Decision("r1", "Hello.", "", "teacher", "disagreed", charges=charges)
        return ChatAnswer(decision, completions, USAGE, "teacher-1", call.episode_id or "e1", 2, 0.002)


def service_of(answerer: ScriptedAnswerer, **settings: object) -> Service:
    """A service without keys."""
    models = ServedModels("student-1", "teacher-1", parse_policy("unanimity(3)"))
    return Service(answerer, models, ServeSettings.model_validate(settings))


@dataclass
class Running:
    """A server in a thread."""

    base_url: str
    server: Server
    thread: threading.Thread


@contextmanager
def running(service: Service) -> Iterator[Running]:
    """Serve on a free port while entered."""
    socket = listen("127.0.0.1", 0)
    started = threading.Event()
    server = Server(service, started=started.set)

    def run() -> None:
        with asyncio.Runner(loop_factory=server.config.get_loop_factory()) as runner:
            runner.run(server.serve(sockets=[socket]))

    thread = threading.Thread(target=run)
    thread.start()
    try:
        assert started.wait(60)
        yield Running(f"http://127.0.0.1:{socket.getsockname()[1]}", server, thread)
    finally:
        server.should_exit = True
        thread.join(20)
        socket.close()
