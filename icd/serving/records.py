"""Routes about what was recorded: feedback, receipts, and how a tenant's calls are answered."""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter
from pydantic import BaseModel, Field, StringConstraints
from starlette.requests import Request
from starlette.responses import Response

from icd.cascade import parse_policy, resolved
from icd.chat.call import Feedback, Mode
from icd.chat.tenants import Service as Served
from icd.chat.tenants import Tenants
from icd.serving.documented import errors, request_body
from icd.serving.errors import bad_request, encoded, not_found
from icd.serving.keys import Caller
from icd.serving.request_fields import RequestModel, read_json
from icd.serving.service import Service

__all__ = ["BODIES", "router"]

_Name = Annotated[str, StringConstraints(min_length=1, max_length=200)]
_LONGEST_COMMENT = 10_000


class FeedbackBody(RequestModel):
    """What somebody says about an episode, or about one decision of it."""

    id: _Name | None = None
    """Given twice, it counts once. Left out: the same words about the same thing count once."""
    episode: _Name | None = None
    """The X-ICD-Episode header of its answers."""
    decision: _Name | None = None
    """The X-ICD-Receipt header of an answer, instead of the episode."""
    success: bool | None = None
    """Of an episode: decides whether it becomes a demonstration."""
    score: float | None = None
    comment: str = Field(default="", max_length=_LONGEST_COMMENT)


class FeedbackReply(BaseModel):
    """What came of it."""

    object: Literal["icd.feedback"]
    id: str
    episode: str
    new: bool
    status: Literal["recorded", "demonstration", "quarantine", "rejected"]
    reason: str


class DecisionReply(BaseModel):
    """A decision and its receipt."""

    object: Literal["icd.decision"]
    id: str
    episode: str
    step: int
    created: int
    receipt: dict[str, Any]
    """Who acted and why, the samples, the excerpts that were shown, and what each call cost."""


class TenantBody(RequestModel):
    """How a tenant's calls are answered from now on."""

    mode: Mode
    policy: _Name | None = None
    """Left out: the server's own."""


class TenantReply(BaseModel):
    """How a tenant's calls are answered."""

    object: Literal["icd.tenant"]
    id: str
    mode: Mode
    policy: str


BODIES: tuple[type[BaseModel], ...] = (FeedbackBody, TenantBody)


def router(service: Service) -> APIRouter:
    """Return the routes."""
    routes = APIRouter()

    @routes.post(
        "/v1/feedback",
        responses={200: {"model": FeedbackReply}, **errors(400, 404, 413, 415)},
        openapi_extra=request_body(FeedbackBody),
    )
    async def feedback(request: Request) -> Response:
        """Say how an episode or a decision turned out."""
        caller = await service.admit(request)
        body = read_json(FeedbackBody, await service.read(request))
        result = await service.answerer.feedback(_feedback(body, caller))
        found = {"object": "icd.feedback", **asdict(result)}
        found["episode"] = found.pop("episode_id")
        return _json(found)

    @routes.get("/v1/decisions/{id}", responses={200: {"model": DecisionReply}, **errors(404)})
    async def decision(request: Request, id: str) -> Response:
        """Return the receipt of a decision."""
        caller = await service.admit(request)
        return _json(await _decision(service, caller, id))

    @routes.get("/v1/tenant", responses={200: {"model": TenantReply}, **errors(403, 404)})
    async def tenant(request: Request) -> Response:
        """Say how the calls of this key's tenant are answered; for operators."""
        caller = await service.admit(request, operator=True)
        return _json(await _tenant(service, caller.tenant))

    @routes.put(
        "/v1/tenant",
        responses={200: {"model": TenantReply}, **errors(400, 403, 404, 413, 415)},
        openapi_extra=request_body(TenantBody),
    )
    async def change_tenant(request: Request) -> Response:
        """Answer the calls of this key's tenant in another way from now on; for operators."""
        caller = await service.admit(request, operator=True)
        body = read_json(TenantBody, await service.read(request))
        tenants = _tenants(service)
        policy = (
            tenants.default.policy
            if body.policy is None
            else resolved(parse_policy(body.policy, str(tenants.default.policy)))
        )
        await asyncio.to_thread(tenants.change, caller.tenant, Served(body.mode, policy), datetime.now(UTC))
        return _json(await _tenant(service, caller.tenant))

    return routes


def _json(body: dict[str, Any]) -> Response:
    return Response(encoded(body), media_type="application/json")


def _feedback(body: FeedbackBody, caller: Caller) -> Feedback:
    if (body.episode is None) == (body.decision is None):
        raise bad_request("give either `episode` or `decision`: what the feedback is about", param="episode")
    if body.success is None and body.score is None and not body.comment:
        raise bad_request("give `success`, `score` or `comment`", param="success")
    said = (caller.account, body.episode, body.decision, body.success, body.score, body.comment)
    id = body.id or f"said-{hashlib.sha256(repr(said).encode()).hexdigest()[:32]}"
    return Feedback(
        id, body.episode or "", body.decision or "", body.success, body.score, body.comment,
        caller.tenant, caller.account,
    )  # fmt: skip


async def _decision(service: Service, caller: Caller, id: str) -> dict[str, Any]:
    own = service.store.of(caller.tenant) if service.store is not None else None
    row = await asyncio.to_thread(own.decision, id) if own is not None else None
    if row is None:
        raise not_found(
            "there is no decision of this id here: it is in the reply's X-ICD-Receipt header", param="id"
        )
    return {
        "object": "icd.decision",
        "id": row.id,
        "episode": row.episode_id,
        "step": row.step,
        "created": int(row.created_at.timestamp()),
        "receipt": row.body,
    }


def _tenants(service: Service) -> Tenants:
    if service.tenants is None:
        raise not_found("this server has no tenants: it was started without a store")
    return service.tenants


async def _tenant(service: Service, id: str) -> dict[str, Any]:
    served = await asyncio.to_thread(_tenants(service).service, id)
    return {"object": "icd.tenant", "id": id, "mode": served.mode, "policy": str(served.policy)}
