"""Any LangChain chat model as a backend: the models that somebody's agent has already.

Its calls are kept apart from the callbacks of the agent around it: a sample that is not settled is neither shown nor
counted there. A synchronous agent's calls, which come on the background loop, are made by the model's synchronous
methods: many models have a client of their own for each way, and the asynchronous one belongs to the agent's own loop.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing, contextmanager
from contextvars import Context, copy_context
from dataclasses import replace
from typing import Any, TypeAlias, TypeVar

from icd.backends.base import (
    Capabilities,
    ChatRequest,
    ChatResponse,
    Completion,
    Delta,
    Location,
    ToolCall,
    ToolCallDelta,
    Usage,
)
from icd.backends.tokens import count_completion, count_prompt, estimate_tokens
from icd.calls import pieces
from icd.errors import BackendError, MissingExtraError

try:
    from langchain_core.language_models.chat_models import BaseChatModel
    from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
    from langchain_core.runnables import Runnable
    from langchain_core.runnables.config import var_child_runnable_config
    from langchain_core.tracers import context as langchain_context
except ModuleNotFoundError as error:
    raise MissingExtraError("a LangChain chat model as a backend", "langchain") from error

from icd.backends.langchain_errors import classify
from icd.backends.langchain_messages import completion_of, finish_of, to_langchain, tool_json, usage_of
from icd.sync import on_background

__all__ = ["LangChainBackend"]

_CONTEXT = 131_072
"""The window of a model whose profile does not say."""
_LIMITS = ("max_tokens", "max_completion_tokens", "max_output_tokens", "num_predict", "max_new_tokens")
"""What providers' classes call the limit of an answer."""
_T = TypeVar("_T")
_Asking: TypeAlias = "Runnable[Any, AIMessage]"
_threads = ThreadPoolExecutor(64, "icd-langchain")


class LangChainBackend:
    """A `StreamingBackend` over a LangChain chat model.

    Temperature, seed and the limit of an answer are set where the model has such a field, the limit never above the
    model's own; what it has no field for is left as it is. Tokens are counted by the model's usage metadata, else
    estimated.
    """

    def __init__(
        self, chat_model: BaseChatModel, *, model: str | None = None, context_tokens: int | None = None
    ) -> None:
        """Wrap a chat model; it stays the caller's.

        Args:
            chat_model: the model.
            model: its name in prices and receipts; None: as LangChain's traces have it.
            context_tokens: its window; None: by its profile, else 131072.
        """
        profile: Any = chat_model.profile or {}
        self.chat_model = chat_model
        self.model = model or model_name(chat_model)
        self.location = Location(chat_model._get_ls_params().get("ls_provider") or "langchain")
        self.capabilities = Capabilities(
            context_tokens=context_tokens or profile.get("max_input_tokens") or _CONTEXT,
            tools=type(chat_model).bind_tools is not BaseChatModel.bind_tools,
        )

    async def complete(self, request: ChatRequest) -> ChatResponse:
        """Answer; n samples are n calls at the same time.

        Raises:
            BackendError: a call failed; the others were cancelled. See `icd.backends.langchain_errors`.
        """
        started = time.perf_counter()
        asking, arguments = self._bound(request)
        messages = to_langchain(request.messages)
        create = asyncio.get_running_loop().create_task
        with _failures_of(self.model):
            calls = [
                create(_invoked(asking, messages, arguments), context=_apart()) for _ in range(request.n)
            ]
            try:
                answers = await asyncio.gather(*calls)
            finally:
                for call in calls:
                    call.cancel()
        counted = [self._usage(answer, request) for answer in answers]
        completions = tuple(completion_of(answer) for answer in answers)
        return ChatResponse(
            completions, sum(counted, Usage(requests=0)), self.model, time.perf_counter() - started
        )

    async def stream(self, request: ChatRequest) -> AsyncGenerator[Delta | ChatResponse, None]:
        """Answer in pieces; several samples, or a model that cannot stream, as one piece each. Raises as `complete`."""
        if request.n > 1:
            response = await self.complete(request)
            for piece in pieces(response.completions):
                yield piece
            yield response
            return
        started = time.perf_counter()
        asking, arguments = self._bound(request)
        written = _Written()
        with _failures_of(
            self.model, lambda: _estimate(request, written.completion()) if written.any else None
        ):
            chunks = _chunks(asking, to_langchain(request.messages), arguments)
            async with aclosing(_streamed_apart(chunks)) as found:
                async for chunk in found:
                    for piece in written.take(chunk):
                        yield piece
        completion = written.completion()
        usage = written.usage or _estimate(request, completion)
        yield ChatResponse((completion,), usage, self.model, time.perf_counter() - started)

    def count_tokens(self, text: str) -> int:
        """Return the estimate of `icd.backends.tokens`: a LangChain model may fetch a tokenizer from the network."""
        return estimate_tokens(text)

    async def close(self) -> None:
        """Nothing to free: the chat model is the caller's."""

    def _bound(self, request: ChatRequest) -> tuple[_Asking, dict[str, Any]]:
        """Return the model as the request wants it, and the arguments of its calls."""
        fields: dict[str, Any] = {}
        limit = next((name for name in _LIMITS if hasattr(self.chat_model, name)), None)
        if limit is not None:
            own = getattr(self.chat_model, limit)
            fields[limit] = min(own, request.max_tokens) if isinstance(own, int) else request.max_tokens
        for name in ("temperature", "seed"):
            value = getattr(request, name)
            if value is not None and hasattr(self.chat_model, name):
                fields[name] = value
        chosen = self.chat_model.model_copy(update=fields)
        arguments: dict[str, Any] = dict(request.options)
        if request.stop:
            arguments["stop"] = list(request.stop)
        if request.response_format is not None:
            arguments["response_format"] = dict(request.response_format)
        if request.top_logprobs is not None:
            arguments |= {"logprobs": True, "top_logprobs": request.top_logprobs}
        if not request.tools:
            return chosen, arguments
        options: dict[str, Any] = {}
        if request.parallel_tool_calls is not None:
            options["parallel_tool_calls"] = request.parallel_tool_calls
        # LangChain's word for a tool that must be called.
        choice = "any" if request.tool_choice == "required" else request.tool_choice or None
        if choice is not None:
            options["tool_choice"] = choice
        return chosen.bind_tools([tool_json(tool) for tool in request.tools], **options), arguments

    def _usage(self, answer: AIMessage, request: ChatRequest) -> Usage:
        return usage_of(answer) or _estimate(request, completion_of(answer))


def model_name(chat_model: BaseChatModel) -> str:
    """Return the name that LangChain's traces have for a model."""
    return chat_model._get_ls_params().get("ls_model_name") or type(chat_model).__name__


class _Written:
    """An answer as it is put together from its chunks."""

    def __init__(self) -> None:
        self.usage: Usage | None = None
        self._text: list[str] = []
        self._calls: list[ToolCall] = []
        self._places: dict[Any, int] = {}
        """LangChain's index of a call -> its position here: providers count text blocks, too, or leave it out."""
        self._metadata: dict[str, Any] = {}
        self._extra: dict[str, Any] = {}

    @property
    def any(self) -> bool:
        """Whether anything was shown."""
        return bool(self._text)

    def take(self, chunk: AIMessage) -> Iterator[Delta]:
        """Add a chunk and yield its pieces, if it has any."""
        self._metadata |= chunk.response_metadata
        counted = usage_of(chunk)
        if counted is not None:
            # Some providers send the prompt's tokens first and the answer's at the end; together they are one call.
            self.usage = counted if self.usage is None else replace(self.usage + counted, requests=1)
        if isinstance(chunk, AIMessageChunk):
            extra = {name: value for name, value in chunk.additional_kwargs.items() if name != "tool_calls"}
            piece = Delta(str(chunk.text), tuple(self._deltas(chunk)), extra=extra)
        else:
            piece = next(pieces([completion_of(chunk)]))
            self._calls += [ToolCall(call.id, call.name, call.arguments) for call in piece.tool_calls]
        if piece.text or piece.tool_calls or piece.extra:
            self._text.append(piece.text)
            for name, value in piece.extra.items():
                joined = isinstance(value, str) and isinstance(self._extra.get(name), str)
                self._extra[name] = self._extra[name] + value if joined else value
            yield piece

    def completion(self) -> Completion:
        """Return the whole answer."""
        finish = finish_of(self._metadata, self._calls)
        return Completion(
            "".join(self._text), finish, tool_calls=tuple(self._calls),
            logprobs=self._metadata.get("logprobs"), extra=self._extra,
        )  # fmt: skip

    def _deltas(self, chunk: AIMessageChunk) -> Iterator[ToolCallDelta]:
        for piece in chunk.tool_call_chunks:
            index, name, id = piece["index"], piece["name"] or "", piece["id"] or ""
            if index is None or index not in self._places:
                self._places[index] = len(self._calls)
                self._calls.append(ToolCall("", "", ""))
            place = self._places[index]
            known = self._calls[place]
            arguments = piece["args"] or ""
            self._calls[place] = ToolCall(known.id or id, known.name + name, known.arguments + arguments)
            yield ToolCallDelta(place, id if not known.id else "", name, arguments)


def _estimate(request: ChatRequest, completion: Completion) -> Usage:
    return Usage(count_prompt(request), 0, count_completion(completion), estimated=True)


def _apart() -> Context:
    """Return the present context without the agent's callbacks: those of its config, and those that count or trace
    whatever runs inside a ``with``."""
    context = copy_context()
    context.run(var_child_runnable_config.set, None)
    for hook, *_ in langchain_context._configure_hooks:
        context.run(hook.set, None)
    return context


async def _invoked(asking: _Asking, messages: list[BaseMessage], arguments: dict[str, Any]) -> AIMessage:
    if on_background():
        return await _in_thread(lambda: asking.invoke(messages, **arguments))
    return await asking.ainvoke(messages, **arguments)


async def _chunks(
    asking: _Asking, messages: list[BaseMessage], arguments: dict[str, Any]
) -> AsyncGenerator[AIMessage, None]:
    if not on_background():
        async for chunk in asking.astream(messages, **arguments):
            yield chunk
        return
    chunks = iter(asking.stream(messages, **arguments))
    while (found := await _in_thread(lambda: next(chunks, None))) is not None:
        yield found


async def _in_thread(work: Callable[[], _T]) -> _T:
    return await asyncio.get_running_loop().run_in_executor(_threads, copy_context().run, work)


async def _streamed_apart(items: AsyncGenerator[_T, None]) -> AsyncGenerator[_T, None]:
    """Yield what an iterator yields, which runs in one task and a context of its own."""
    queue: asyncio.Queue[tuple[_T, ...]] = asyncio.Queue()

    async def pump() -> None:
        async with aclosing(items):
            async for item in items:
                queue.put_nowait((item,))

    task = asyncio.get_running_loop().create_task(pump(), context=_apart())
    task.add_done_callback(lambda _: queue.put_nowait(()))
    try:
        while found := await queue.get():
            yield found[0]
        await task
    finally:
        task.cancel()
        await asyncio.wait([task])


@contextmanager
def _failures_of(model: str, used: Callable[[], Usage | None] = lambda: None) -> Iterator[None]:
    """Turn whatever a chat model raises into an error of ours; `used` is what the call is known to have used."""
    try:
        yield
    except Exception as error:
        ours = classify(error, model)
        if isinstance(ours, BackendError):
            ours.usage = ours.usage or used()
        raise ours from error
