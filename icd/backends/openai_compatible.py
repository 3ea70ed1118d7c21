"""Any OpenAI-compatible endpoint, hosted or your own.

A call ends within its deadline: with an answer, or with a typed error. Failures that may pass are tried again
inside it, with growing, jittered pauses or the pause that the endpoint asks for. An endpoint that gives fewer
samples than asked for is asked again for the rest, which bills the prompt again. A request that broke off may
have been billed without our knowing: its usage never arrived.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from functools import partial
from random import Random
from typing import TYPE_CHECKING, Any, TypeVar

from icd.backends.base import Capabilities, ChatRequest, ChatResponse, Completion, Delta, Usage
from icd.backends.circuit import Circuit
from icd.backends.location import OPENAI_URL, location_of
from icd.backends.network import MOST_BYTES, check_address, is_loopback
from icd.backends.tokens import estimate_tokens
from icd.errors import BackendError, BackendReplyError, BackendTimeoutError, ConfigurationError

if TYPE_CHECKING:
    import aiohttp

    from icd.backends.openai_errors import StatusError
    from icd.backends.openai_http import Endpoint
    from icd.backends.openai_stream import StreamReader
    from icd.backends.openai_wire import Guided, Reply, TokenLimitName

__all__ = ["OpenAICompatibleBackend"]

_LONGEST_PAUSE = 8.0
_ADAPTATIONS = 2
"""Fields of a request that may be named otherwise: see `_adapts_to`."""
_T = TypeVar("_T")


@dataclass(slots=True)
class _Streamed:
    """A reply that has begun."""

    endpoint: Endpoint
    reply: aiohttp.ClientResponse
    reader: StreamReader
    pieces: list[Delta] = field(default_factory=list)
    """Read, not yet shown."""
    size: int = 0

    def feed(self, data: bytes) -> list[Delta]:
        """Return the pieces that the next bytes complete. Raises BackendReplyError: there are too many bytes."""
        self.size += len(data)
        if self.size > MOST_BYTES:
            raise BackendReplyError(f"the reply is longer than {MOST_BYTES:,} bytes: it was cut off")
        return self.reader.feed(data)


class OpenAICompatibleBackend:
    """Answers through an OpenAI-compatible endpoint. The HTTP client is loaded at the first call."""

    def __init__(
        self,
        model: str,
        *,
        base_url: str | None = None,
        api_key: str | None = None,
        api_key_env: str = "OPENAI_API_KEY",
        context: int = 131_072,
        deadline: float = 60.0,
        retries: int = 4,
        guided: Guided | None = None,
        backoff: float = 0.5,
        random: Random | None = None,
        circuit: Circuit | None = None,
    ) -> None:
        """Prepare an endpoint; nothing is sent yet.

        Args:
            model: its name there.
            base_url: None: OpenAI's own, or what ``OPENAI_BASE_URL`` says.
            api_key: None: read from the variable `api_key_env`. An endpoint on this machine needs none.
            api_key_env: name of the variable; empty: no key.
            context: the model's window, in tokens.
            deadline: seconds for one answer, retries included.
            retries: of one request, after failures that may pass.
            guided: how the endpoint can be made to answer with one of the choices; None: it cannot.
            backoff: the first pause in seconds; each further one is twice as long, up to 8.
            random: of the jitter.
            circuit: when it is left alone; None: for 10 s after 5 calls in a row failed, retries included.

        Raises:
            ConfigurationError: `base_url` is no address, or no key is set for an endpoint elsewhere.
        """
        self.model = model
        # Assumed until the endpoint shows otherwise: see _learn.
        self.capabilities = Capabilities(
            shared_prompt=True, constrained=guided is not None, context_tokens=context, tools=True
        )
        self._base_url = base_url or os.environ.get("OPENAI_BASE_URL") or None
        if self._base_url is not None:
            check_address(self._base_url)
        self.location = location_of(self._base_url or OPENAI_URL)
        self._key = api_key or _key_from(api_key_env, self._base_url)
        self._deadline = deadline
        self._retries = retries
        self._guided = guided
        self._backoff = backoff
        self._random = random or Random()
        self._limit_name: TokenLimitName = "max_completion_tokens" if self._base_url is None else "max_tokens"
        self._usage_on_request = True
        self._endpoint: Endpoint | None = None
        self.circuit = circuit or Circuit()

    async def complete(self, request: ChatRequest) -> ChatResponse:
        """Answer with `request.n` samples.

        Raises:
            BackendTimeoutError: the deadline passed.
            BackendUnreachableError: no connection, or it broke off, and retries did not help.
            BackendOverloadedError: rate-limited or failing, and retries did not help or would come too late; or it failed
                so often that it is left alone for a while.
            BackendRefusedError: the key, the model name or the request is refused.
            BackendReplyError: the reply cannot be read, and retries did not help.
            ConfigurationError: the network switch forbids the endpoint.
        """
        with self.circuit.call(f"{self.model} at {self._url}"):
            return await self._answered(request)

    async def _answered(self, request: ChatRequest) -> ChatResponse:
        started = time.monotonic()
        completions: tuple[Completion, ...] = ()
        usage, failures = Usage(requests=0), list[str]()
        try:
            async with asyncio.timeout(self._deadline):
                while len(completions) < request.n:
                    have = len(completions)
                    reply = await self._retried(partial(self._ask, request, have), started, failures)
                    completions += reply.completions
                    usage += reply.usage
        except TimeoutError as error:
            raise self._late(usage, failures) from error
        except BackendError as error:
            error.usage, error.failures = usage if usage.requests else None, tuple(failures)
            raise
        return ChatResponse(completions, usage, self.model, time.monotonic() - started, tuple(failures))

    def stream(self, request: ChatRequest) -> AsyncGenerator[Delta | ChatResponse, None]:
        """Answer piece by piece; see `icd.backends.base.StreamingBackend.stream`. Raises as `complete`."""
        # An enforced choice is rewritten when it is whole.
        return self._at_once(request) if request.choices and self._guided else self._streamed(request)

    async def _streamed(self, request: ChatRequest) -> AsyncGenerator[Delta | ChatResponse, None]:
        with self.circuit.call(f"{self.model} at {self._url}"):
            async with aclosing(self._parts(request)) as items:
                async for item in items:
                    yield item

    async def _parts(self, request: ChatRequest) -> AsyncGenerator[Delta | ChatResponse, None]:
        started = time.monotonic()
        completions: tuple[Completion, ...] = ()
        usage, failures = Usage(requests=0), list[str]()
        while len(completions) < request.n:
            have = len(completions)
            part = await self._first(request, have, usage, started, failures)
            try:
                while True:
                    for delta in part.pieces:
                        yield replace(delta, index=delta.index + have) if have else delta
                    if part.reader.done:
                        break
                    part.pieces = await self._next(part, usage, started)
                await part.endpoint.finish(part.reply)
            finally:
                part.reply.close()
            reply = part.reader.reply()
            self._learn(request.n - have, len(reply.completions))
            completions += reply.completions
            usage += reply.usage
        yield ChatResponse(completions, usage, self.model, time.monotonic() - started, tuple(failures))

    def count_tokens(self, text: str) -> int:
        """Return an estimate: the endpoint's tokenizer is not known here."""
        return estimate_tokens(text)

    async def close(self) -> None:
        """Close the connections."""
        endpoint, self._endpoint = self._endpoint, None
        if endpoint is not None:
            await endpoint.close()

    @property
    def _url(self) -> str:
        return self._base_url or "OpenAI"

    async def _retried(self, ask: Callable[[], Awaitable[_T]], started: float, failures: list[str]) -> _T:
        """Ask, and again after failures that may pass, whose codes are added to `failures`."""
        import aiohttp

        from icd.backends.openai_errors import StatusError, classify

        attempt, adapted = 0, 0
        while True:
            sent = (self._limit_name, self._usage_on_request)
            try:
                return await ask()
            except (aiohttp.ClientError, StatusError, BackendError) as error:
                if (
                    adapted < _ADAPTATIONS
                    and isinstance(error, StatusError)
                    and self._adapts_to(error, *sent)
                ):
                    adapted += 1
                    continue
                failure = classify(error, self.model, self._url)
                pause = self._pause(attempt, failure.retry_after)
                too_late = time.monotonic() - started + pause > self._deadline
                if not failure.passing or attempt >= self._retries or too_late:
                    raise failure.error from error
                attempt += 1
                failures.append(failure.error.code)
                await asyncio.sleep(pause)

    async def _ask(self, request: ChatRequest, have: int) -> Reply:
        """Send one request for the samples that are still missing, and read its reply."""
        from icd.backends.openai_wire import decode, encode

        missing = request.n - have
        body = encode(_reseeded(request, have), self.model, missing, self._limit_name, self._guided)
        endpoint = await self._connected()
        reply = decode(await endpoint.post(body), request, missing, self._guided)
        self._learn(missing, len(reply.completions))
        return reply

    async def _first(
        self, request: ChatRequest, have: int, usage: Usage, started: float, failures: list[str]
    ) -> _Streamed:
        """Wait for the first piece of the samples that are still missing, with retries."""
        try:
            async with asyncio.timeout(started + self._deadline - time.monotonic()):
                return await self._retried(partial(self._open, request, have), started, failures)
        except TimeoutError as error:
            raise self._late(usage, failures) from error
        except BackendError as error:
            error.usage, error.failures = usage if usage.requests else None, tuple(failures)
            raise

    async def _open(self, request: ChatRequest, have: int) -> _Streamed:
        from icd.backends.openai_stream import StreamReader
        from icd.backends.openai_wire import encode

        missing = request.n - have
        fields: dict[str, Any] = {"stream": True}
        if self._usage_on_request:
            fields["stream_options"] = {"include_usage": True}
        body = encode(_reseeded(request, have), self.model, missing, self._limit_name, stream=fields)
        endpoint = await self._connected()
        streamed = _Streamed(endpoint, await endpoint.open(body), StreamReader(request, missing))
        try:
            while not streamed.pieces and not streamed.reader.done:
                streamed.pieces = streamed.feed(await streamed.reply.content.readany())
        except BaseException:
            streamed.reply.close()
            raise
        return streamed

    async def _next(self, streamed: _Streamed, usage: Usage, started: float) -> list[Delta]:
        """Wait for more of a reply that has begun to be shown: what fails now stays failed."""
        import aiohttp

        from icd.backends.openai_errors import StatusError, classify

        try:
            async with asyncio.timeout(started + self._deadline - time.monotonic()):
                data = b"" if streamed.reader.broken else await streamed.reply.content.readany()
                return streamed.feed(data)
        except TimeoutError as error:
            raise self._late(usage + streamed.reader.reply().usage) from error
        except (aiohttp.ClientError, StatusError, BackendError) as error:
            failure = classify(error, self.model, self._url).error
            failure.usage = usage + streamed.reader.reply().usage
            raise failure from error

    async def _at_once(self, request: ChatRequest) -> AsyncGenerator[Delta | ChatResponse, None]:
        response = await self.complete(request)
        for index, completion in enumerate(response.completions):
            yield Delta(completion.text, index=index, extra=completion.extra)
        yield response

    async def _connected(self) -> Endpoint:
        """Return the endpoint of the running event loop: connections of another loop cannot be used."""
        endpoint = self._endpoint
        if endpoint is None or endpoint.loop is not asyncio.get_running_loop():
            from icd.backends.openai_http import Endpoint

            if endpoint is not None:
                await endpoint.close()
            self._endpoint = endpoint = Endpoint(self._base_url, self._key)
        return endpoint

    def _pause(self, attempt: int, asked_for: float | None) -> float:
        if asked_for is not None:
            return asked_for * self._random.uniform(1.0, 1.1)
        return min(self._backoff * 2.0**attempt, _LONGEST_PAUSE) * self._random.uniform(0.5, 1.0)

    def _learn(self, asked: int, got: int) -> None:
        """One sample where several were asked for: the endpoint does not know `n`, so each has its own
        prompt."""
        if asked > 1 and got == 1:
            self.capabilities = replace(self.capabilities, shared_prompt=False)

    def _adapts_to(self, error: StatusError, limit_name: TokenLimitName, with_usage: bool) -> bool:
        """Change how the endpoint is asked, if it refused a field that there is another way for.

        The fields are those that were sent: meanwhile another call may have changed them already.
        """
        if error.status not in (400, 422):
            return False
        other: TokenLimitName = (
            "max_tokens" if limit_name == "max_completion_tokens" else "max_completion_tokens"
        )
        if other in str(error):
            self._limit_name = other
            return True
        if with_usage and "stream_options" in str(error):
            self._usage_on_request = False
            return True
        return False

    def _late(self, usage: Usage, failures: Sequence[str] = ()) -> BackendTimeoutError:
        late = BackendTimeoutError(
            f"{self.model} at {self._url} did not answer within {self._deadline:g} s: "
            "raise its `deadline`, or lower max_tokens or n"
        )
        late.usage, late.failures = usage if usage.requests else None, tuple(failures)
        return late


def _reseeded(request: ChatRequest, have: int) -> ChatRequest:
    """Another seed for the rest, or it would repeat the samples that are already there."""
    return replace(request, seed=request.seed + have) if have and request.seed is not None else request


def _key_from(variable: str, base_url: str | None) -> str:
    key = os.environ.get(variable, "").strip() if variable else ""
    if key or not variable or (base_url is not None and is_loopback(base_url)):
        return key
    raise ConfigurationError(
        f"{base_url or 'OpenAI'} needs a key: set the environment variable {variable}, or name another "
        "one as api_key_env (empty, if the endpoint wants no key)"
    )
