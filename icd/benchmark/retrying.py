"""Which episodes are tried again after a machine failure, after how long, and when a run has to stop."""

from __future__ import annotations

from collections import Counter

from icd.errors import BackendRefusedError, ContextOverflowError, EnvsError, IcdError
from icd_envs.errors import GameFileError, TaskNotFoundError
from icd_memory.rows import EpisodeRow

STOP_AFTER = 3
"""Episodes given up one after the other, without a success between them, after which a run stops."""

_LASTING = (BackendRefusedError, ContextOverflowError, GameFileError, TaskNotFoundError)
_FIRST_PAUSE, _LONGEST_PAUSE = 2.0, 60.0


def lasting(error: IcdError | EnvsError) -> bool:
    """Say whether it would fail again in the same way."""
    return isinstance(error, _LASTING)


class Retries:
    """The failures of a run so far."""

    def __init__(self, most: int) -> None:
        """Try an episode `most` times again."""
        self._most = most
        self._attempts: Counter[str] = Counter()
        self._in_a_row = 0
        self._given_up_in_a_row = 0
        self._failed: dict[str, EpisodeRow] = {}

    @property
    def failed(self) -> tuple[EpisodeRow, ...]:
        """The episodes that a machine failed at, and that were not played since."""
        return tuple(self._failed.values())

    @property
    def exhausted(self) -> bool:
        """Whether nothing seems to work any more."""
        return self._given_up_in_a_row >= STOP_AFTER or self._in_a_row >= STOP_AFTER * (1 + self._most)

    def has_failed(self, episode_id: str) -> bool:
        """Say whether an episode failed, and was not played since."""
        return episode_id in self._failed

    def worked(self, episode_id: str) -> None:
        """Note an episode that came to its end."""
        self._failed.pop(episode_id, None)
        self._in_a_row = self._given_up_in_a_row = 0

    def again(self, row: EpisodeRow, *, lasting: bool) -> bool:
        """Note a failed episode, and say whether it is to be tried again, after all others."""
        self._failed[row.id] = row
        self._in_a_row += 1
        self._attempts[row.id] += 1
        if lasting or self._attempts[row.id] > self._most:
            self._given_up_in_a_row += 1
            return False
        return True

    def pause(self, episode_id: str) -> float:
        """Return the seconds to wait before an episode: they grow with its failures and with those in a row."""
        failures = max(self._attempts[episode_id], self._in_a_row if self._most else 0)
        return min(_FIRST_PAUSE * 2 ** (failures - 1), _LONGEST_PAUSE) if failures else 0.0
