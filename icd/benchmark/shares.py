"""A run's budget among workers that do not know of each other: each episode gets a share, and gives back what is left.

What is spent and dealt out never passes the limit, so the limit holds whatever the workers do. An episode whose share
was too small waits until no other is under way, and then gets all that is left.
"""

from __future__ import annotations

from collections.abc import Sequence

from icd.benchmark.runner import Job
from icd_memory.store import Store


class Shares:
    """Deals a budget out."""

    def __init__(self, limit: float | None, store: Store, jobs: Sequence[Job]) -> None:
        """Begin with what the runs of the jobs have left of `limit` dollars; None: not limited."""
        self._limit = limit
        self._store = store
        self._spent = 0.0
        self._dealt: dict[str, float] = {}
        self._before: dict[str, float] = {}
        self._whole: set[str] = set()
        self._short: set[str] = set()
        if limit is not None:
            runs = dict.fromkeys(job.run_id for job in jobs)
            self._spent = sum(row.cost for run in runs for row in store.ledger(run))

    def deal(self, episode_id: str, hands: int) -> float | None:
        """Return the dollars that an episode may cost now, where `hands` workers have nothing to do, its own included."""
        if self._limit is None:
            return None
        left = max(self._limit - self._spent - sum(self._dealt.values()), 0.0)
        whole = hands <= 1 or episode_id in self._short
        share = left if whole else left / hands
        if whole and not self._dealt:
            self._whole.add(episode_id)
        self._before[episode_id] = self._paid(episode_id)
        self._dealt[episode_id] = share
        return share

    def settle(self, episode_id: str) -> None:
        """Take back what is left of an episode's share."""
        if self._dealt.pop(episode_id, None) is not None:
            self._spent += self._paid(episode_id) - self._before.pop(episode_id)

    def may_try_again(self, episode_id: str) -> bool:
        """Say whether an episode whose share was too small can get more later: it had not all that was left."""
        self._short.add(episode_id)
        return episode_id not in self._whole

    def was_short(self, episode_id: str) -> bool:
        """Say whether an episode's share was too small before."""
        return episode_id in self._short

    def _paid(self, episode_id: str) -> float:
        return sum(row.cost for row in self._store.ledger(episode_id=episode_id))
