"""A GGUF model in this process, through llama.cpp (extra ``local``).

The n samples of a request share one prompt; prompts that begin alike share their computed prefix; choices are enforced
with a grammar, so an answer is always one of them. Two styles of a request with a cue: ``chat`` uses the model's own
chat template, ``plain`` a transcript without turns (for base models, and often better for very small ones). A
conversation, which has no cue, is always put to the chat template; so are tools (`icd.backends.local_tools`).
"""

from __future__ import annotations

import asyncio
import json
import os
import threading
import time
import urllib.request
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from icd.backends.base import Capabilities, ChatRequest, ChatResponse, Completion, Delta, Location, Usage
from icd.backends.local_stream import LocalAnswer, sample_of
from icd.backends.local_tools import answer_grammar, turns
from icd.backends.openai_wire import passed_on
from icd.errors import (
    BackendError,
    BackendRefusedError,
    BackendReplyError,
    MissingExtraError,
    ModelFilesError,
)

if TYPE_CHECKING:
    from xllamacpp import Server

Style = Literal["chat", "plain"]

_CHOICE_TOKENS = 24
"""Kept free for the choice, so that a rambling thought never leaves an answer without one."""
_CHARACTERS_PER_TOKEN = 2
"""Fewer than a token has on average."""
_PROMPT_CACHE_MIB = 256
"""Memory for prompts of earlier requests; llama.cpp's own limit is 8 GiB, and it fills it."""
_LLAMA_FIELDS = frozenset(
    {"prompt", "cache_prompt", "grammar", "json_schema", "id_slot", "lora", "n_predict"}
)
"""Of llama.cpp's own protocol, which an option never sets."""
_STREAM = {"stream": True, "stream_options": {"include_usage": True}}
_MIN_P = 0.05
"""Tokens below this share of the likeliest one's probability are not drawn."""


class LocalBackend:
    """Answers with a local GGUF model. The weights are loaded at the first request."""

    def __init__(
        self,
        path: str | Path,
        *,
        model: str | None = None,
        adapter: str | Path | None = None,
        style: Style = "plain",
        context: int = 4096,
        slots: int = 4,
        threads: int | None = None,
    ) -> None:
        """Prepare a model file.

        Args:
            path: The GGUF file.
            model: Its name in prices and receipts; the file's stem if not given.
            adapter: A LoRA adapter for it, in a GGUF file of its own.
            style: How the messages of a request with a cue become a prompt.
            context: Tokens of each slot.
            slots: Samples computed at once.
            threads: CPU threads; all usable cores if not given.

        Raises:
            ModelFilesError: one of the files is not there.
        """
        self._path = Path(path).expanduser()
        if not self._path.is_file():
            raise ModelFilesError(
                f"no model file at {str(self._path)!r}; `icd models pull smollm2-135m` fetches a small one, "
                "or give the path of a GGUF file"
            )
        self._adapter = Path(adapter).expanduser() if adapter is not None else None
        if self._adapter is not None and not self._adapter.is_file():
            raise ModelFilesError(
                f"no adapter at {str(self._adapter)!r}; `icd offline export RUN FILE.gguf --as adapter-gguf` writes one"
            )
        self.model = model or self._path.stem
        self.capabilities = Capabilities(
            shared_prompt=True, constrained=True, context_tokens=context, seeded=True, tools=True
        )
        self.location = Location("llama.cpp", in_process=True)
        self._style = style
        self._context = context
        self._slots = slots
        self._threads = threads or os.cpu_count() or 1
        self._server: Server | None = None
        self._lock = asyncio.Lock()

    async def complete(self, request: ChatRequest) -> ChatResponse:
        """Answer; see `icd.backends.base.Backend.complete`.

        Raises:
            BackendRefusedError: llama.cpp cannot do what the request asks for.
        """
        if request.n <= self._slots:
            return await self._complete(request)
        first = await self._complete(replace(request, n=self._slots))
        seed = None if request.seed is None else request.seed + self._slots
        rest = await self.complete(replace(request, n=request.n - self._slots, seed=seed))
        # The prompt is still in the cache: it counts once.
        usage = replace(first.usage, output_tokens=first.usage.output_tokens + rest.usage.output_tokens)
        return ChatResponse(
            first.completions + rest.completions, usage, self.model, first.seconds + rest.seconds
        )

    async def _complete(self, request: ChatRequest) -> ChatResponse:
        """Answer with no more samples than are computed at once: llama.cpp refuses more."""
        server = await self._ready()
        started = time.perf_counter()
        reply = await asyncio.to_thread(self._ask, server, self._body(request))
        if reply is None or "choices" not in reply:
            raise self._unreadable(reply)
        usage = reply["usage"]
        choices = reply["choices"]
        return ChatResponse(
            tuple(_completion(choice, request) for choice in choices),
            Usage(
                usage["prompt_tokens"],
                usage.get("prompt_tokens_details", {}).get("cached_tokens", 0),
                # The reply's own usage counts only one of the n samples.
                sum(len(_token_list(choice)) for choice in choices),
            ),
            self.model,
            time.perf_counter() - started,
        )

    async def stream(self, request: ChatRequest) -> AsyncGenerator[Delta | ChatResponse, None]:
        """Answer piece by piece; see `icd.backends.base.StreamingBackend.stream`. A transcript comes in one piece,
        and so do more samples than are computed at once."""
        body = self._body(request)
        if "prompt" in body or request.n > self._slots:
            response = await self.complete(request)
            for index, completion in enumerate(response.completions):
                yield Delta(completion.text, index=index)
            yield response
            return
        server = await self._ready()
        started, answer = time.perf_counter(), LocalAnswer(request)
        try:
            async with aclosing(self._chunks(server, body)) as chunks:
                async for chunk in chunks:
                    for delta in answer.add(chunk):
                        yield delta
        except BackendError as error:
            error.usage = answer.usage()
            raise
        for delta in answer.rest():
            yield delta
        yield ChatResponse(answer.completions(), answer.usage(), self.model, time.perf_counter() - started)

    def count_tokens(self, text: str) -> int:
        """Return the number of tokens by the model's own tokenizer."""
        if self._server is None:
            self._server = self._load()
        body = json.dumps({"content": text}).encode()
        request = urllib.request.Request(
            f"{self._server.listening_address}/tokenize", body, {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request) as reply:
            return len(json.load(reply)["tokens"])

    async def close(self) -> None:
        """Unload the model."""
        self._server = None

    def _load(self) -> Server:
        # Threads that spin while they wait make a machine that is also doing something else many times slower.
        os.environ.setdefault("OMP_WAIT_POLICY", "passive")
        try:
            import xllamacpp
        except ImportError as error:
            raise MissingExtraError("a local model", "local") from error
        params = xllamacpp.CommonParams()
        params.model.path = str(self._path)
        if self._adapter is not None:
            params.lora_adapters = [xllamacpp.CommonAdapterLoraInfo(str(self._adapter), 1.0)]
        params.n_ctx = self._context * self._slots
        params.n_parallel = self._slots
        params.kv_unified = True
        params.swa_full = True
        params.warmup = False
        params.verbosity = -1
        params.cache_ram_mib = _PROMPT_CACHE_MIB
        params.cpuparams.n_threads = self._threads
        params.cpuparams_batch.n_threads = self._threads
        try:
            return xllamacpp.Server(params)
        except RuntimeError as error:
            raise ModelFilesError(
                f"{self._path} cannot be loaded ({error}); is it a whole GGUF file"
                f"{f', and {self._adapter} an adapter for it' if self._adapter else ''}?"
            ) from error

    async def _ready(self) -> Server:
        async with self._lock:
            if self._server is None:
                self._server = await asyncio.to_thread(self._load)
            return self._server

    async def _chunks(self, server: Server, body: dict[str, Any]) -> AsyncGenerator[dict[str, Any], None]:
        """Yield llama.cpp's chunks; closed early, it stops at the next token."""
        loop, stop = asyncio.get_running_loop(), threading.Event()
        arrived: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue()

        def take(chunk: dict[str, Any]) -> bool:
            if not stop.is_set():
                loop.call_soon_threadsafe(arrived.put_nowait, chunk)
            return stop.is_set()

        asked = asyncio.ensure_future(asyncio.to_thread(self._ask, server, {**body, **_STREAM}, take))
        asked.add_done_callback(lambda _: arrived.put_nowait(None))
        try:
            while (chunk := await arrived.get()) is not None:
                if "error" in chunk:
                    raise self._unreadable(chunk)
                yield chunk
        finally:
            stop.set()
            reply = await asked
        if reply is not None and "error" in reply:
            raise self._unreadable(reply)

    def _unreadable(self, reply: dict[str, Any] | None) -> BackendReplyError:
        said = (reply or {}).get("error", reply)
        return BackendReplyError(f"{self.model}: llama.cpp answered {said}")

    def _ask(
        self, server: Server, body: dict[str, Any], take: Callable[[dict[str, Any]], bool] | None = None
    ) -> dict[str, Any] | None:
        handle = server.handle_completions if "prompt" in body else server.handle_chat_completions
        try:
            reply: dict[str, Any] | None = handle(body) if take is None else handle(body, take)
        except (ValueError, RuntimeError) as error:
            raise BackendRefusedError(f"{self.model}: llama.cpp refuses the request: {error}") from error
        return reply

    def _body(self, request: ChatRequest) -> dict[str, Any]:
        body: dict[str, Any] = {
            "top_k": 0,
            "top_p": 1.0,
            "min_p": _MIN_P,
            **passed_on(request.options, _LLAMA_FIELDS),
            "n": request.n,
            "max_tokens": request.max_tokens,
            "stop": list(request.stop),
            "cache_prompt": True,
            "logprobs": 1,
        }
        if request.temperature is not None:
            body["temperature"] = request.temperature
        if request.seed is not None:
            body["seed"] = request.seed
        grammar = choice_grammar(request) if request.choices is not None else answer_grammar(request)
        if grammar is not None:
            body["grammar"] = grammar
        if self._style == "plain" and request.cue and not request.tools:
            prompt = "\n\n".join(message.content for message in request.messages)
            return {**body, "prompt": f"{prompt}\n{request.cue}"}
        if request.top_logprobs:
            body["top_logprobs"] = request.top_logprobs
        messages = turns(request)
        if request.cue:
            messages.append({"role": "assistant", "content": request.cue})
        return {**body, "logprobs": True, "messages": messages}


def choice_grammar(request: ChatRequest) -> str:
    """Return the GBNF grammar of a request's answer: a choice, after a line of free text where the cue asks for one.

    Each choice begins with a space and ends with a line end, as it would in a text: a cue that ended in a space would
    put the choice off the model's distribution, and without an end "cabinet 1" could not be told from "cabinet 12".
    """
    choices = " | ".join(_quote(f" {choice}\n") for choice in request.choices or ())
    if request.cue == request.choice_cue:
        return f"root ::= {choices}"
    characters = max(request.max_tokens - _CHOICE_TOKENS, _CHOICE_TOKENS) * _CHARACTERS_PER_TOKEN
    thought = f"[^\\n]{{1,{characters}}}"
    return f"root ::= {thought} {_quote(chr(10) + request.choice_cue)} choice\nchoice ::= {choices}"


def _quote(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def _completion(choice: dict[str, Any], request: ChatRequest) -> Completion:
    text = choice["text"] if "text" in choice else choice["message"]["content"] or ""
    finish, index = choice.get("finish_reason"), choice.get("index", 0)
    return sample_of(text, finish, _token_list(choice), request, index)


def _token_list(choice: dict[str, Any]) -> list[dict[str, Any]]:
    return (choice.get("logprobs") or {}).get("content") or []
