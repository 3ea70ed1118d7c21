"""The strategy library: what is proposed, reviewed, edited, merged, measured, and found by its scenario.

Only what a person approved is ever shown, or what passed its paired test where the settings allow that. Texts never
change: an edit is a new version, and every change is kept with who, why and when.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from itertools import combinations
from typing import NamedTuple

import numpy as np

from icd_memory.embedding import CachedEmbedder, Embedder, Matrix
from icd_memory.errors import (
    EmbedderMissingError,
    StrategyConflictError,
    StrategyNotFoundError,
    StrategyStatusError,
)
from icd_memory.excerpts import Query
from icd_memory.store import Store
from icd_memory.strategy import (
    ChangeKind,
    Match,
    MeasuredUse,
    Merge,
    Outcomes,
    PairedTest,
    Strategy,
    StrategyChange,
    StrategyDraft,
    StrategyOrigin,
    StrategyStatus,
    StrategyText,
    StrategyUse,
    StrategyVersion,
)
from icd_memory.strategy_admission import problems, told
from icd_memory.strategy_store import UseCounts

ALIKE = 0.92
"""Cosine of scenario and guidance from which two strategies are near-duplicates."""

_SEEN = 600
"""Characters of what is seen that a situation is compared by: a whole room would drown the task."""

_FROM: dict[StrategyStatus, frozenset[StrategyStatus]] = {
    "approved": frozenset({"proposed", "held", "retired"}),
    "rejected": frozenset({"proposed", "held"}),
    "retired": frozenset({"approved"}),
}
"""From where a reviewer can bring a strategy to a status."""
_STANDING: tuple[StrategyStatus, ...] = ("approved", "proposed")
"""What may be merged, and which of two is kept."""


ADMISSION = "admission"
"""Who holds a text back."""


class _Change(NamedTuple):
    action: ChangeKind
    status: StrategyStatus
    by: str
    why: str


def _no_tools_known(environment: str) -> None:
    return None


class StrategyLibrary:
    """A store's strategies. Safe for threads and for several processes."""

    def __init__(
        self,
        store: Store,
        embedder: Embedder | None = None,
        *,
        tools_of: Callable[[str], Collection[str] | None] = _no_tools_known,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """Open the library.

        Args:
            store: where it is kept.
            embedder: without one nothing can be looked for, or merged by likeness.
            tools_of: tells which names may be called in an environment; None: calls in texts are not judged.
            now: tells the time.
        """
        self.store = store
        self._tables = store.strategies
        self._tools_of, self._now = tools_of, now
        self._embedder = (
            embedder
            if embedder is None or isinstance(embedder, CachedEmbedder)
            else CachedEmbedder(embedder, store)
        )

    # Review

    def propose(self, draft: StrategyDraft, *, by: str, why: str = "") -> Strategy:
        """Store a new strategy as `proposed`, or `held` if its text is suspicious (see `icd_memory.strategy_admission`);
        one of this id that is there already is returned as it is.

        Raises:
            ValueError: scenario or guidance is blank.
        """
        text = _cleaned(draft.text)
        draft = replace(draft, scenario=text.scenario, guidance=text.guidance, category=text.category)
        at = self._now()
        steps = [_Change("propose", "proposed", by, why), *self._held(draft.environment, draft.text)]
        made = Strategy(
            draft.identity, draft.tenant, draft.environment, draft.scenario, draft.guidance, draft.category,
            draft.origin, steps[-1].status, 1, len(steps), steps[-1].why, at,
        )  # fmt: skip
        if self._tables.add(made, _entries(made, steps, at)):
            return made
        return self.get(made.id, tenant=made.tenant)

    def approve(self, id: str, *, by: str, why: str, tenant: str = "default") -> Strategy:
        """Let a strategy be shown.

        Raises:
            StrategyNotFoundError: there is none of this id.
            StrategyStatusError: it was rejected, or merged into another.
            StrategyConflictError: it was changed meanwhile.
        """
        return self._move(id, tenant, _Change("approve", "approved", by, why))

    def reject(self, id: str, *, by: str, why: str, tenant: str = "default") -> Strategy:
        """Keep a strategy that waits from ever being shown. Raises as `approve`."""
        return self._move(id, tenant, _Change("reject", "rejected", by, why))

    def retire(self, id: str, *, by: str, why: str, tenant: str = "default") -> Strategy:
        """Show an approved strategy no more. Raises as `approve`."""
        return self._move(id, tenant, _Change("retire", "retired", by, why))

    def edit(
        self,
        id: str,
        text: StrategyText,
        *,
        by: str,
        why: str,
        based_on: int,
        origin: StrategyOrigin | None = None,
        tenant: str = "default",
    ) -> Strategy:
        """Store a new version, which waits for approval (or is held); the same text changes nothing.

        Args:
            id: the strategy.
            text: what the new version says.
            by: who wrote it.
            why: why it was changed.
            based_on: the version that was edited.
            origin: where the new version comes from.
            tenant: whose strategy it is.

        Raises:
            StrategyConflictError: there is a newer version than `based_on`, or it was changed meanwhile.
            StrategyNotFoundError, StrategyStatusError: there is none of this id, or it was merged into another.
            ValueError: scenario or guidance is blank.
        """
        text = _cleaned(text)
        old = self.get(id, tenant=tenant)
        if old.text == text:
            return old
        if old.merged_into is not None:
            raise StrategyStatusError(f"strategy {id} was merged into {old.merged_into}: edit that one")
        if old.version != based_on:
            raise StrategyConflictError(
                f"strategy {id} is at version {old.version}, and the edit was made on version {based_on}: "
                "look at what changed, and edit the newest version"
            )
        new = replace(
            old, scenario=text.scenario, guidance=text.guidance, category=text.category, version=old.version + 1,
            origin=origin or StrategyOrigin(created_at=self._now()),
        )  # fmt: skip
        steps = [_Change("edit", "proposed", by, why), *self._held(old.environment, text)]
        return self._changed(old, new, *steps)

    def approve_if_tested(
        self, id: str, *, by: str, tenant: str = "default", confidence: float = 0.95
    ) -> Strategy:
        """Approve a proposed strategy whose last paired test of its present version was passed; else leave it."""
        found = self.get(id, tenant=tenant)
        tests = [test for test in self.tests(id, tenant=tenant) if test.version == found.version]
        if found.status != "proposed" or not tests:
            return found
        last = tests[-1]
        if not (last.passed and last.confidence >= confidence):
            return found
        why = (
            f"passed its paired test: {last.measure} {last.difference:+.3f} "
            f"[{last.low:+.3f}, {last.high:+.3f}] over {last.pairs} pairs"
        )
        return self._changed(found, found, _Change("approve", "approved", by, why))

    # Looking

    def get(self, id: str, *, tenant: str = "default") -> Strategy:
        """Return a strategy. Raises StrategyNotFoundError."""
        found = self._tables.one(id, tenant)
        if found is None:
            raise StrategyNotFoundError(f"no strategy {id!r} of tenant {tenant} in {self.store.place}")
        return found

    def list(
        self,
        *,
        tenant: str = "default",
        environment: str | None = None,
        status: StrategyStatus | None = None,
    ) -> Sequence[Strategy]:
        """Return the tenant's strategies in the order they came; None means any."""
        return self._tables.find(tenant, environment, status)

    def versions(self, id: str, *, tenant: str = "default") -> Sequence[StrategyVersion]:
        """Return what all versions said, oldest first. Raises StrategyNotFoundError."""
        self.get(id, tenant=tenant)
        return self._tables.versions(id, tenant)

    def history(self, id: str, *, tenant: str = "default") -> Sequence[StrategyChange]:
        """Return all changes of a strategy and of what was merged into it, in the order they were made."""
        self.get(id, tenant=tenant)
        return self._tables.changes(self._family(id, tenant), tenant)

    # Measuring

    def note_use(self, use: StrategyUse) -> bool:
        """Record an episode in which a strategy applied; once an episode, again only while its outcome was unknown."""
        return self._tables.put_use(use)

    def measured(self, id: str, *, tenant: str = "default") -> MeasuredUse:
        """Return what became of showing a strategy."""
        return _measured(self._tables.outcomes(tenant, self._family(id, tenant)))

    def all_measured(self, *, tenant: str = "default") -> dict[str, MeasuredUse]:
        """Return what became of showing each strategy that applied anywhere, what was merged into others by itself."""
        found: dict[str, list[UseCounts]] = {}
        for counts in self._tables.outcomes(tenant):
            found.setdefault(counts.strategy_id, []).append(counts)
        return {id: _measured(counts) for id, counts in found.items()}

    def add_test(self, id: str, test: PairedTest, *, tenant: str = "default") -> bool:
        """Record a paired test; False, and nothing changes, if its id is there already. Raises StrategyNotFoundError."""
        return self._tables.add_test(self.get(id, tenant=tenant), test)

    def tests(self, id: str, *, tenant: str = "default") -> Sequence[PairedTest]:
        """Return a strategy's tests in the order they came."""
        return self._tables.tests(id, tenant)

    # Likeness

    def find(self, query: Query, *, min_similarity: float, k: int | None = None) -> Sequence[Match]:
        """Return the approved strategies that apply, best first: by their scenarios' likeness to the situation, which is
        its task (category and goal) and the beginning of what is seen (`Query.state`) in one text."""
        approved = self._tables.find(query.tenant, query.environment, "approved")
        task = ": ".join(filter(str.strip, (query.category, query.goal)))
        situation = f"{task}\n{query.state.strip()[:_SEEN]}".strip()
        if not approved or not situation:
            return []
        rows = self._vectors([situation, *(strategy.scenario for strategy in approved)])
        scores = rows[1:] @ rows[0]
        matches = [
            Match(approved[at], float(scores[at]))
            for at in np.argsort(-scores, kind="stable")
            if scores[at] >= min_similarity
        ]
        return matches[:k]

    def duplicates(
        self, environment: str, *, tenant: str = "default", threshold: float = ALIKE
    ) -> Sequence[Merge]:
        """Return which strategies are near-duplicates of which; kept is what is approved, else what came first."""
        standing = [s for status in _STANDING for s in self._tables.find(tenant, environment, status)]
        rows = self._vectors([f"{strategy.scenario}\n{strategy.guidance}" for strategy in standing])
        found: list[Merge] = []
        gone: set[str] = set()
        for kept, other in combinations(range(len(standing)), 2):
            similarity = float(rows[kept] @ rows[other])
            ids = standing[kept].id, standing[other].id
            if similarity >= threshold and not gone & set(ids):
                found.append(Merge(*ids, similarity))
                gone.add(ids[1])
        return found

    def merge(self, kept: str, gone: str, *, by: str, why: str, tenant: str = "default") -> Strategy:
        """Retire a strategy in favour of another, which takes over its history and measured use.

        Raises:
            StrategyNotFoundError: there is none of these ids.
            StrategyStatusError: one of them was merged before, or they are the same.
            StrategyConflictError: one of them was changed meanwhile.
        """
        stays, goes = self.get(kept, tenant=tenant), self.get(gone, tenant=tenant)
        if goes.merged_into == kept:
            return stays
        if kept == gone or stays.merged_into or goes.merged_into:
            raise StrategyStatusError(f"{gone} cannot be merged into {kept}: one of them is merged already")
        with self.store.transaction():
            self._changed(
                goes, replace(goes, merged_into=kept),
                _Change("merge", "retired", by, f"merged into {kept}: {why}"),
            )  # fmt: skip
            return self._changed(stays, stays, _Change("merge", stays.status, by, f"took in {gone}: {why}"))

    def merge_duplicates(
        self, environment: str, *, by: str, tenant: str = "default", threshold: float = ALIKE
    ) -> Sequence[Merge]:
        """Merge near-duplicates, and return which."""
        merges = self.duplicates(environment, tenant=tenant, threshold=threshold)
        for found in merges:
            why = f"says the same (similarity {found.similarity:.3f})"
            self.merge(found.kept, found.gone, by=by, why=why, tenant=tenant)
        return merges

    def _vectors(self, texts: Collection[str]) -> Matrix:
        if self._embedder is None:
            raise EmbedderMissingError("the strategy library was opened without an embedder")
        return self._embedder.embed([*texts])

    def _family(self, id: str, tenant: str) -> Sequence[str]:
        """Return a strategy's id, and those of all that was merged into it, at once or by way of another."""
        found = [id]
        for one in found:
            found += self._tables.merged_into(one, tenant)
        return found

    def _held(self, environment: str, text: StrategyText) -> Sequence[_Change]:
        found = problems(text, self._tools_of(environment))
        return [_Change("hold", "held", ADMISSION, told(found))] if found else []

    def _move(self, id: str, tenant: str, change: _Change) -> Strategy:
        old, status = self.get(id, tenant=tenant), change.status
        if old.status == status and old.merged_into is None:
            return old
        if old.merged_into is not None or old.status not in _FROM[status]:
            stands = f"merged into {old.merged_into}" if old.merged_into else old.status
            raise StrategyStatusError(f"strategy {id} is {stands}: it cannot be {status}")
        return self._changed(old, old, change)

    def _changed(self, old: Strategy, new: Strategy, *steps: _Change) -> Strategy:
        last = steps[-1]
        new = replace(new, status=last.status, revision=old.revision + len(steps), reason=last.why)
        if not self._tables.change(old, new, _entries(new, steps, self._now())):
            raise StrategyConflictError(
                f"strategy {old.id} was changed by somebody else meanwhile: look at it again"
            )
        return new


def _entries(strategy: Strategy, steps: Sequence[_Change], at: datetime) -> Sequence[StrategyChange]:
    """Return the entries of the history by which a strategy came to stand where it does."""
    first = strategy.revision - len(steps) + 1
    return [
        StrategyChange(strategy.id, number, step.action, step.status, strategy.version, step.by, step.why, at)
        for number, step in enumerate(steps, first)
    ]


def _cleaned(text: StrategyText) -> StrategyText:
    """Return a text without blanks around it, its lines ended in one way, so that a file gives it back as it is."""
    scenario, guidance, category = (
        part.replace("\r\n", "\n").replace("\r", "\n").strip()
        for part in (text.scenario, text.guidance, text.category)
    )
    if not scenario or not guidance:
        raise ValueError("a strategy needs a scenario and guidance")
    return StrategyText(scenario, guidance, " ".join(category.split()))


def _measured(counts: Sequence[UseCounts]) -> MeasuredUse:
    shown = [one for one in counts if one.shown]
    return MeasuredUse(
        sum(one.episodes for one in shown),
        _outcomes(shown),
        _outcomes([one for one in counts if not one.shown]),
        sum(one.helpful for one in counts),
        sum(one.harmful for one in counts),
    )


def _outcomes(counts: Sequence[UseCounts]) -> Outcomes:
    scored = sum(one.scored for one in counts)
    mean = sum(one.score for one in counts) / scored if scored else None
    return Outcomes(sum(one.known for one in counts), sum(one.successes for one in counts), mean)
