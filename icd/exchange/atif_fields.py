"""The fields of ATIF, version 1.8: Harbor's RFC 0001, as the models of harbor 0.25.0 have them.

Checked when a file is read: the types, the order of steps, which fields only an agent's step has, and that
results refer to calls of their step. Fields of later versions are let through. Tests hold what is
written against the package `atif`.
"""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

VERSION = "ATIF-v1.8"


class _Fields(BaseModel):
    model_config = ConfigDict(extra="allow")


class ContentPart(_Fields):
    """A part of a message: text, or a reference to an image or a sound."""

    type: str
    text: str | None = None


Content = str | list[ContentPart]


class ToolCall(_Fields):
    """A call of a tool."""

    tool_call_id: str
    function_name: str
    arguments: dict[str, Any]


class Result(_Fields):
    """What came of a call, or was seen after a step without one."""

    source_call_id: str | None = None
    content: Content | None = None


class Observation(_Fields):
    """What was seen after a step."""

    results: list[Result]


class AtifStep(_Fields):
    """A turn of the user, the system or the agent."""

    step_id: int
    source: Literal["system", "user", "agent"]
    message: Content
    timestamp: str | None = None
    model_name: str | None = None
    reasoning_content: str | None = None
    tool_calls: list[ToolCall] | None = None
    observation: Observation | None = None
    is_copied_context: bool | None = None
    extra: dict[str, Any] | None = None

    @model_validator(mode="after")
    def _of_its_source(self) -> Self:
        if self.source != "agent":
            for name in ("model_name", "reasoning_content", "tool_calls"):
                if getattr(self, name) is not None:
                    raise ValueError(f"only an agent's step has {name}")
        called = {call.tool_call_id for call in self.tool_calls or ()}
        for result in self.observation.results if self.observation else ():
            if result.source_call_id is not None and result.source_call_id not in called:
                raise ValueError(f"a result of {result.source_call_id!r}, which the step does not call")
        return self


class AtifAgent(_Fields):
    """Who acted."""

    name: str
    version: str
    model_name: str | None = None
    tool_definitions: list[dict[str, Any]] | None = None


class AtifTrajectory(_Fields):
    """A document."""

    schema_version: str = Field(pattern=r"^ATIF-v1\.\d+$")
    agent: AtifAgent
    steps: list[AtifStep] = Field(min_length=1)
    session_id: str | None = None
    trajectory_id: str | None = None
    notes: str | None = None
    continued_trajectory_ref: str | None = None
    extra: dict[str, Any] | None = None

    @field_validator("steps")
    @classmethod
    def _in_order(cls, steps: list[AtifStep]) -> list[AtifStep]:
        for number, step in enumerate(steps, 1):
            if step.step_id != number:
                raise ValueError(f"step {number} has the step_id {step.step_id}: they count from 1")
        return steps


class OwnStep(BaseModel):
    """What we add to a step, under ``extra.icd``."""

    model_config = ConfigDict(extra="forbid")

    view: str = ""
    actor: Literal["student", "teacher", "copy", "random"] = "teacher"
    reward: float = 0.0


class OwnOutcome(BaseModel):
    """How an episode ended."""

    model_config = ConfigDict(extra="forbid")

    success: bool
    score: float
    verified_by: Literal["environment", "feedback"] | None = None


class OwnFields(BaseModel):
    """What we add to a document, under ``extra.icd``: all of a trajectory that ATIF has no field for."""

    model_config = ConfigDict(extra="forbid")

    tenant: str
    environment: str
    task_id: str
    instance: str
    split: str
    category: str
    plan: str
    source: str
    created_at: str
    restriction: str = ""
    outcome: OwnOutcome | None = None
    notes: dict[str, str] = {}
