"""Any OpenAI-compatible endpoint, hosted or your own, through the official client.

A call ends within its deadline: with an answer, or with a typed error. Failures that may pass are tried again
inside it, with growing, jittered pauses or the pause that the endpoint asks for. An endpoint that gives fewer
samples than asked for is asked again for the rest, which bills the prompt again. A request that broke off may
have been billed without our knowing: its usage never arrived.
"""

from __future__ import annotations

import asyncio
import os
import time
from dataclasses import replace
from random import Random
from typing import TYPE_CHECKING

from icd.backends.base import Capabilities, ChatRequest, ChatResponse, Completion, Usage
from icd.backends.network import check_url, is_loopback
from icd.backends.tokens import estimate_tokens
from icd.errors import BackendError, BackendReplyError, BackendTimeoutError, ConfigurationError

if TYPE_CHECKING:
    import httpx2
    import openai

    from icd.backends.openai_wire import Guided, Reply, TokenLimitName

__all__ = ["OpenAICompatibleBackend"]

_LONGEST_PAUSE = 8.0


class OpenAICompatibleBackend:
    """Answers through an OpenAI-compatible endpoint. The client is loaded at the first call."""

    def __init__(
        self,
        model: str,
        *,
        base_url: str | None = None,
        api_key: str | None = None,
        api_key_env: str = "OPENAI_API_KEY",
        context: int = 8192,
        deadline: float = 60.0,
        retries: int = 4,
        guided: Guided | None = None,
        backoff: float = 0.5,
        random: Random | None = None,
    ) -> None:
        """Prepare an endpoint; nothing is sent yet.

        Args:
            model: its name there.
            base_url: None: OpenAI's own, or what ``OPENAI_BASE_URL`` says.
            api_key: None: read from the variable `api_key_env`. An endpoint on this machine needs none.
            api_key_env: name of the variable; empty: no key.
            context: the model's window, in tokens.
            deadline: seconds for one call of `complete`, retries included.
            retries: of one request, after failures that may pass.
            guided: how the endpoint can be made to answer with one of the choices; None: it cannot.
            backoff: the first pause in seconds; each further one is twice as long, up to 8.
            random: of the jitter.

        Raises:
            ConfigurationError: no key is set for an endpoint elsewhere.
        """
        self.model = model
        # Assumed until the endpoint shows otherwise: see _learn.
        self.capabilities = Capabilities(
            shared_prompt=True, constrained=guided is not None, context_tokens=context, seeded=False
        )
        self._base_url = base_url or os.environ.get("OPENAI_BASE_URL") or None
        self._key = api_key or _key_from(api_key_env, self._base_url)
        self._deadline = deadline
        self._retries = retries
        self._guided = guided
        self._backoff = backoff
        self._random = random or Random()
        self._limit_name: TokenLimitName = "max_completion_tokens" if self._base_url is None else "max_tokens"
        self._client: openai.AsyncOpenAI | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    async def complete(self, request: ChatRequest) -> ChatResponse:
        """Answer with `request.n` samples.

        Raises:
            BackendTimeoutError: the deadline passed.
            BackendUnreachableError: no connection, or it broke off, and retries did not help.
            BackendOverloadedError: rate-limited or failing, and retries did not help or would come too late.
            BackendRefusedError: the key, the model name or the request is refused.
            BackendReplyError: the reply cannot be read, and retries did not help.
            ConfigurationError: the network switch forbids the endpoint.
        """
        started = time.monotonic()
        completions: tuple[Completion, ...] = ()
        usage = Usage(requests=0)
        try:
            async with asyncio.timeout(self._deadline):
                while len(completions) < request.n:
                    reply = await self._request(request, len(completions), started)
                    completions += reply.completions
                    usage += reply.usage
        except TimeoutError as error:
            late = BackendTimeoutError(
                f"{self.model} at {self._url} did not answer within {self._deadline:g} s: "
                "raise its `deadline`, or lower max_tokens or n"
            )
            late.usage = usage if usage.requests else None
            raise late from error
        except BackendError as error:
            error.usage = usage if usage.requests else None
            raise
        return ChatResponse(completions, usage, self.model, time.monotonic() - started)

    def count_tokens(self, text: str) -> int:
        """Return an estimate: the endpoint's tokenizer is not known here."""
        return estimate_tokens(text)

    async def close(self) -> None:
        """Close the connections."""
        client, self._client = self._client, None
        if client is not None and self._loop is asyncio.get_running_loop():
            await client.close()

    @property
    def _url(self) -> str:
        return self._base_url or "OpenAI"

    async def _request(self, request: ChatRequest, have: int, started: float) -> Reply:
        """Ask for the samples that are still missing, again after failures that may pass."""
        import openai

        from icd.backends.openai_errors import classify

        attempt, renamed = 0, False
        while True:
            try:
                return await self._ask(request, have)
            except (openai.OpenAIError, BackendReplyError) as error:
                if not renamed and self._other_limit_name_is_wanted(error):
                    renamed = True
                    continue
                failure = classify(error, self.model, self._url)
                pause = self._pause(attempt, failure.retry_after)
                too_late = time.monotonic() - started + pause > self._deadline
                if not failure.passing or attempt >= self._retries or too_late:
                    raise failure.error from error
                attempt += 1
                await asyncio.sleep(pause)

    async def _ask(self, request: ChatRequest, have: int) -> Reply:
        """Send one request and read its reply."""
        import httpx2

        from icd.backends.openai_wire import decode, encode

        missing = request.n - have
        # Another seed for the rest, or it would repeat the samples that are already there.
        seeded = request if request.seed is None else replace(request, seed=request.seed + have)
        body = encode(seeded, self.model, missing, self._limit_name, self._guided)
        response = await self._connected().post("/chat/completions", cast_to=httpx2.Response, body=body)
        reply = decode(response.content, request, missing, self._guided)
        self._learn(missing, len(reply.completions))
        return reply

    def _connected(self) -> openai.AsyncOpenAI:
        """Return the client of the running event loop: connections of another loop cannot be used."""
        loop = asyncio.get_running_loop()
        if self._client is None or self._loop is not loop:
            import openai

            self._client = openai.AsyncOpenAI(
                api_key=self._key,
                base_url=self._base_url,
                timeout=self._deadline,
                max_retries=0,
                http_client=openai.DefaultAsyncHttpxClient(event_hooks={"request": [_ask_the_switch]}),
            )
            self._loop = loop
        return self._client

    def _pause(self, attempt: int, asked_for: float | None) -> float:
        if asked_for is not None:
            return asked_for * self._random.uniform(1.0, 1.1)
        return min(self._backoff * 2.0**attempt, _LONGEST_PAUSE) * self._random.uniform(0.5, 1.0)

    def _learn(self, asked: int, got: int) -> None:
        """One sample where several were asked for: the endpoint does not know `n`, so each has its own
        prompt."""
        if asked > 1 and got == 1:
            self.capabilities = replace(self.capabilities, shared_prompt=False)

    def _other_limit_name_is_wanted(self, error: Exception) -> bool:
        """Switch the name of the token limit if the endpoint refused it and names the other one."""
        was_long = self._limit_name == "max_completion_tokens"
        other: TokenLimitName = "max_tokens" if was_long else "max_completion_tokens"
        if getattr(error, "status_code", None) not in (400, 422) or other not in str(error):
            return False
        self._limit_name = other
        return True


def _key_from(variable: str, base_url: str | None) -> str:
    key = os.environ.get(variable, "") if variable else ""
    if key or not variable or (base_url is not None and is_loopback(base_url)):
        return key or "none"
    raise ConfigurationError(
        f"{base_url or 'OpenAI'} needs a key: set the environment variable {variable}, or name another "
        "one as api_key_env (empty, if the endpoint wants no key)"
    )


async def _ask_the_switch(request: httpx2.Request) -> None:
    check_url(str(request.url))
