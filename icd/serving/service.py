"""What every wire format shares: who calls, what they sent, the call to the runtime, and what is said about the answer.

A wire format is a module with `router(service) -> APIRouter`. Its handlers do, in this order: `admit` (key, rate limit),
`read` (size, type), validate, `names`, then `answer` or `stream`. Errors are raised, never written: the gate writes them.
"""

from __future__ import annotations

import math
import time
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping
from contextlib import aclosing, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote, unquote

from starlette.requests import Request
from starlette.responses import Response

from icd.backends.base import Delta
from icd.chat.call import Answerer, ChatAnswer, ChatCall, Settled
from icd.chat.schemas import check_response_format, check_tools
from icd.errors import BudgetError
from icd.serving import logs
from icd.serving.errors import ApiError, bad_request, encoded
from icd.serving.keys import Caller, Keyring
from icd.serving.lifecycle import Deadline, Lifecycle
from icd.serving.limits import RateLimiter
from icd.serving.metrics import Metrics
from icd.serving.request_headers import header
from icd.serving.served_models import ServedModels

if TYPE_CHECKING:
    from icd.chat.tenants import Tenants
    from icd.config import ServeSettings
    from icd_memory.store import Store

__all__ = ["CallNames", "Caller", "OpenStream", "Service", "deadline_of"]

DEADLINE = "icd.deadline"
"""Where the gate puts the request's `Deadline` in the scope."""
_LONGEST_NAME = 200


class CallNames(NamedTuple):
    """What a client may say about a call besides the call; empty: derived."""

    episode_id: str = ""
    category: str = ""
    instance: str = ""


class OpenStream(NamedTuple):
    """A stream whose first item is known, so that its headers can be written."""

    settled: Settled
    items: AsyncGenerator[Delta | ChatAnswer, None]
    deadline: Deadline


def deadline_of(request: Request) -> Deadline:
    """Return the time limit that the gate gave this request."""
    found = request.scope[DEADLINE]
    assert isinstance(found, Deadline)
    return found


_ANYBODY = Caller("", "default", "operator", None, None)
"""Who calls where no key is needed: only this machine can."""


@dataclass
class Service:
    """The runtime behind the wire formats."""

    answerer: Answerer
    models: ServedModels
    settings: ServeSettings
    keys: Keyring | None = None
    """None: nobody needs a key."""
    local: bool = False
    """Only this machine can reach the server: as long as there is no key, nobody needs one."""
    store: Store | None = None
    """For receipts and readiness; None: nothing is recorded."""
    tenants: Tenants | None = None
    """How each tenant is served."""
    metrics: Metrics = field(default_factory=Metrics)
    lifecycle: Lifecycle = field(default_factory=Lifecycle)
    limiter: RateLimiter = field(default_factory=RateLimiter)

    async def is_open(self) -> bool:
        """Say whether nobody needs a key now."""
        return self.keys is None or (self.local and not await self.keys.needed())

    async def admit(self, request: Request, *, operator: bool = False) -> Caller:
        """Return who calls.

        Raises:
            ApiError: no key or a wrong one (401), not an operator (403), too many requests (429).
        """
        if self.keys is None or await self.is_open():
            return _ANYBODY
        caller = await self.keys.verify(_token(request))
        if caller.requests_per_minute is not None:
            self._check_rate(caller.account, caller.requests_per_minute)
        if operator and caller.role != "operator":
            raise ApiError(
                403,
                "this key is an agent's: use an operator's (`icd keys create --role operator`)",
                code="wrong_role",
            )
        return caller

    def _check_rate(self, account: str, per_minute: int) -> None:
        wait = self.limiter.check(account, per_minute, time.monotonic())
        if wait > 0:
            raise ApiError(
                429,
                f"this key may send {per_minute} requests a minute: wait {wait:.1f} s, or ask for a larger limit",
                type="rate_limit_error",
                code="rate_limit_exceeded",
                headers={"Retry-After": str(math.ceil(wait))},
            )

    async def read(self, request: Request) -> bytes:
        """Return the body.

        Raises:
            ApiError: it is not JSON by its content type (415), or too large (413).
        """
        kind = header(request.scope["headers"], b"content-type").partition(";")[0].strip().lower()
        if kind != "application/json" and not (kind.startswith("application/") and kind.endswith("+json")):
            raise ApiError(
                415, "send the header Content-Type: application/json", code="unsupported_media_type"
            )
        most = int(self.settings.max_body_mb * 1_000_000)
        if int(header(request.scope["headers"], b"content-length") or 0) > most:
            raise self._too_large()
        pieces, size = [], 0
        async for piece in request.stream():
            size += len(piece)
            if size > most:
                raise self._too_large()
            pieces.append(piece)
        return b"".join(pieces)

    def _too_large(self) -> ApiError:
        return ApiError(
            413,
            f"the body is larger than {self.settings.max_body_mb:g} MB: send less, or raise serve.max_body_mb",
            code="body_too_large",
            headers={"Connection": "close"},
        )

    async def answer(self, call: ChatCall, added: float = 0.0) -> ChatAnswer:
        """Answer a call; `added`: seconds that were ours since its body had been read.

        Raises as `Answerer.answer`, and `ApiError` (400) for schemas that cannot be used.
        """
        _check_schemas(call)
        with self._refusals_counted():
            answer = await self.answerer.answer(call)
        self._decided(answer, added)
        return answer

    def _decided(self, answer: ChatAnswer, added: float = 0.0) -> None:
        self.metrics.decided(answer.decision, answer.overhead + added)
        logs.decided(answer)

    @contextmanager
    def _refusals_counted(self) -> Iterator[None]:
        try:
            yield
        except BudgetError:
            self.metrics.refused()
            raise

    async def reply(
        self, call: ChatCall, began: float, write: Callable[[ChatAnswer], Mapping[str, Any]]
    ) -> Response:
        """Answer a call whole; `write` puts the answer in the wire format's words. Raises as `answer`.

        `began` is when its body had been read, by `time.perf_counter`.
        """
        added = time.perf_counter() - began
        answer = await self.answer(call, added)
        return Response(encoded(write(answer)), headers=headers(answer, added), media_type="application/json")

    async def stream(self, call: ChatCall, request: Request) -> OpenStream:
        """Wait until it is settled who answers a call, and return that and what follows.

        Raises as `answer`. A client that hangs up from now on ends the call.
        """
        _check_schemas(call)
        deadline = deadline_of(request)
        deadline.watch(request.receive)
        items = self.answerer.stream(call)
        with self._refusals_counted():
            settled = await anext(items)
        assert isinstance(settled, Settled), "a stream begins with who answers"
        return OpenStream(settled, self._counted(items), deadline)

    async def _counted(self, items: AsyncGenerator[Any, None]) -> AsyncGenerator[Delta | ChatAnswer, None]:
        async with aclosing(items):
            async for item in items:
                if isinstance(item, ChatAnswer):
                    self._decided(item)
                yield item


def _check_schemas(call: ChatCall) -> None:
    for param, problem in (
        ("tools", check_tools(call.tools) if call.tools else None),
        ("response_format", check_response_format(call.response_format)),
    ):
        if problem is not None:
            raise bad_request(problem, param=param, code="invalid_schema")


def _token(request: Request) -> str:
    """Return the key that a request bears: OpenAI's clients and Anthropic's send it differently."""
    kind, _, token = header(request.scope["headers"], b"authorization").partition(" ")
    token = token.strip() if kind.lower() == "bearer" else header(request.scope["headers"], b"x-api-key")
    if not token:
        raise ApiError(
            401,
            "no key: send Authorization: Bearer icd_..., made by `icd keys create`",
            code="invalid_api_key",
            headers={"WWW-Authenticate": "Bearer"},
        )
    return token


_HEADER = b"x-icd-"
_NO_NAMES = CallNames()


def names(request: Request, metadata: Mapping[str, Any] | None = None) -> CallNames:
    """Return what a client says about a call: in its metadata, or in headers, which win.

    Raises:
        ApiError: a name is not text of 1 to 200 characters.
    """
    given = {
        name[len(_HEADER) :]: value for name, value in request.scope["headers"] if name.startswith(_HEADER)
    }
    if not given and not metadata:
        return _NO_NAMES
    metadata = metadata or {}

    def one(name: str) -> str:
        header = given.get(name.encode())
        value = metadata.get(f"icd_{name}", "") if header is None else unquote(header.decode("latin-1"))
        if not isinstance(value, str) or len(value) > _LONGEST_NAME or not value.isprintable():
            raise bad_request(
                f"`icd_{name}` must be at most {_LONGEST_NAME} printable characters",
                param=f"metadata.icd_{name}",
            )
        return value

    return CallNames(one("episode"), one("category"), one("instance"))


def other_metadata(metadata: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the metadata that is not for us."""
    return {key: value for key, value in (metadata or {}).items() if key not in _OURS}


_OURS = frozenset({"icd_episode", "icd_category", "icd_instance"})


def headers(told: Settled | ChatAnswer, added: float = 0.0) -> dict[str, str]:
    """Return the response headers about a decision; `added`: our seconds beyond what the runtime knows of."""
    decision = told.decision if isinstance(told, ChatAnswer) else told
    return {
        "X-ICD-Receipt": quote(decision.receipt_id, safe=_HEADER_SAFE),
        "X-ICD-Episode": quote(told.episode_id, safe=_HEADER_SAFE),
        "X-ICD-Acted-By": decision.acted_by,
        "X-ICD-Reason": decision.reason,
        "X-ICD-Cost": f"{decision.cost:.9f}",
        "X-ICD-Overhead-Ms": f"{(told.overhead + added) * 1000:.3f}",
    }


_HEADER_SAFE = "!#$&'()*+,/:;=?@[]^`{|}\"<> \\"
