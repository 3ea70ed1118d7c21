"""The student's seat of a running server: who plays an episode, looked up again every few seconds, without a restart."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime

from icd.calls import PricedModel
from icd.errors import ConfigurationError, IcdError
from icd.offline.active import Pointer, read_pointer, student_for
from icd.offline.registry import damaged, find_student
from icd_memory.store import Store

__all__ = ["StudentSeats"]

_log = logging.getLogger(__name__)

_EVERY = 2.0
"""Seconds between two looks at who is active."""


class StudentSeats:
    """The student of each episode: that of the settings, the active one, or the candidate on trial.

    A student whose files were changed, or that cannot be made, never plays: a candidate's trial is ended, and beside an
    active one that came later the server goes on with the one before. Models are kept until `close`: a call may still be
    under way.
    """

    def __init__(
        self,
        store: Store,
        configured: PricedModel,
        make: Callable[[str], PricedModel],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Prepare.

        Args:
            store: who is active stands in it.
            configured: the student of the settings.
            make: makes a registered student by its id.
            clock: seconds.

        Raises:
            ConfigurationError: the active student cannot be used.
        """
        self._store, self._make, self._clock = store, make, clock
        self._models: dict[str | None, PricedModel] = {None: configured}
        self._used = Pointer()
        self._seen: Pointer | None = None
        self._looked = clock()
        pointer = read_pointer(store)
        if pointer.active is not None:
            self._prepare(pointer.active)
        self._follow(pointer)

    def of(self, episode_id: str) -> PricedModel:
        """Return the student that plays an episode."""
        if self._clock() - self._looked >= _EVERY:
            self._looked = self._clock()
            self._look()
        return self._models[student_for(self._used, episode_id)]

    async def close(self) -> None:
        """Free what was made; the student of the settings is its owner's."""
        for id, model in self._models.items():
            if id is not None:
                await model.backend.close()

    def _look(self) -> None:
        try:
            pointer = read_pointer(self._store)
        except IcdError as error:
            _log.error("who the active student is cannot be read: %s", error)
            return
        if pointer != self._seen:
            self._follow(pointer)

    def _follow(self, pointer: Pointer) -> None:
        """Use who is named from now on; who cannot be used is not."""
        self._seen = pointer
        active, canary = pointer.active, pointer.canary
        try:
            self._prepare(active)
        except IcdError as error:
            active = self._used.active
            _log.error(
                "the active student cannot be used, %s goes on: %s", active or "the configured one", error
            )
        try:
            self._prepare(canary.student if canary else None)
        except IcdError as error:
            assert canary is not None
            from icd.offline.gate import end_trial

            _log.error("%s cannot be used, its trial ends: %s", canary.student, error)
            end_trial(self._store, canary.student, f"it cannot be used: {error}", lambda: datetime.now(UTC))
            canary = None
        self._used = pointer.model_copy(update={"active": active, "canary": canary})

    def _prepare(self, id: str | None) -> None:
        if id in self._models:
            return
        student = find_student(self._store, str(id))
        if broken := damaged(student):
            raise ConfigurationError(
                f"{student.id}: {', '.join(broken)} of {student.folder} is gone or was changed"
            )
        self._models[student.id] = self._make(student.id)
