"""What passes between the driver of a run and its workers, as plain JSON: no store, model or environment is ever sent.

The driver sends a `Briefing` once and an `Order` for each episode; a worker answers with `Reply`s.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from icd.benchmark.experiment import Request
from icd.config import Settings
from icd.errors import (
    BackendError,
    BudgetError,
    ClusterError,
    ConfigurationError,
    EnvsError,
    IcdError,
    IcdMemoryError,
    ModelFilesError,
)
from icd_memory.errors import EmbedderError, MemoryStoreError, VectorIndexError
from icd_memory.rows import EpisodeRow, JsonObject
from icd_memory.trajectory import Actor


class _Message(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Briefing(_Message):
    """What a worker must know to rebuild the driver's workplace."""

    run_id: str
    request: Request
    settings: JsonObject
    conditions: JsonObject
    """Those of the driver: a worker that finds others would play another experiment."""
    folder: str
    """The driver's current folder: where relative paths begin, if the worker's machine has it."""

    @classmethod
    def of(
        cls, run_id: str, request: Request, settings: Settings, conditions: JsonObject, folder: str
    ) -> Briefing:
        """Gather it on the driver's side."""
        plain = settings.model_dump(mode="json")
        return cls(run_id=run_id, request=request, settings=plain, conditions=conditions, folder=folder)

    def restored(self) -> Settings:
        """Return the driver's settings; what they fix wins over the worker's own environment."""
        return Settings(**self.settings)


class Order(_Message):
    """An episode to play."""

    method: str
    task_id: str
    seed: int
    budget: float | None = None
    """Dollars that its calls may cost now; None: not limited."""


class StepSaid(_Message):
    """The episode went on by a step."""

    kind: Literal["step"] = "step"
    step: int
    actor: Actor
    action: str


class EndSaid(_Message):
    """The episode came to its end, or was given up by a machine failure; it is stored."""

    kind: Literal["end"] = "end"
    row: EpisodeRow
    cost: float
    lasting: bool = False
    """It failed in a way in which it would fail again."""


class ErrorSaid(_Message):
    """Nothing can go on: an error of the tree of `icd.errors`."""

    kind: Literal["error"] = "error"
    code: str
    message: str

    @classmethod
    def of(cls, error: IcdError | EnvsError | IcdMemoryError) -> ErrorSaid:
        """Put an error into plain words."""
        return cls(code=error.code, message=str(error))

    def error(self) -> Exception:
        """Return the error again, as the nearest of its kind that takes a message."""
        for kind in _KINDS:
            if self.code == kind.code or self.code.startswith(f"{kind.code}."):
                return kind(self.message)
        return ClusterError(self.message)


_KINDS: tuple[type[IcdError] | type[EnvsError] | type[IcdMemoryError], ...] = (
    BudgetError, ConfigurationError, ModelFilesError, BackendError,
    MemoryStoreError, EmbedderError, VectorIndexError, IcdMemoryError, EnvsError,
)  # fmt: skip


Reply: TypeAlias = StepSaid | EndSaid | ErrorSaid

_REPLY: TypeAdapter[Reply] = TypeAdapter(Annotated[Reply, Field(discriminator="kind")])


def read_reply(data: JsonObject) -> Reply:
    """Read what a worker said. Raises pydantic's `ValidationError`."""
    return _REPLY.validate_python(data)


def differences(driver: JsonObject, worker: JsonObject, path: str = "") -> Iterator[str]:
    """Yield where two conditions differ, each with both values."""
    for key in sorted({*driver, *worker}):
        mine, yours = driver.get(key), worker.get(key)
        if isinstance(mine, dict) and isinstance(yours, dict):
            yield from differences(mine, yours, f"{path}{key}.")
        elif mine != yours:
            yield f"{path}{key} is {mine!r} here and {yours!r} there"
