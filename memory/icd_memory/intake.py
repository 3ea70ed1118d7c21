"""Taking in many trajectories from outside: judged one by one as ever, stored a chunk at a time.

A chunk is one transaction, and what is stored already is left alone, so an import that was stopped goes on where it was.
Nothing is embedded, unless an index is open: the others are made from the store when they are.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import replace

from icd_memory.admission import Admission, admit, without_idle_steps
from icd_memory.probation import WAITS, WAITS_FOR_A_PERSON
from icd_memory.redaction import redacted
from icd_memory.retrieval import Memory
from icd_memory.trajectory import Trajectory

KNOWN = "known"
"""What came of a trajectory whose id the store holds already."""
_CHUNK_STEPS = 4_000
"""Steps in a transaction: some MB, and a fraction of a second for which other writers wait."""


class Intake:
    """Takes trajectories into one memory.

    What a file says of its success nobody here has seen: unless a person has approved it, or its source is a run of
    this store, it waits in quarantine.
    """

    def __init__(
        self,
        memory: Memory,
        *,
        approved: bool,
        test_splits: Callable[[str], Collection[str]],
        invented: Callable[[str], bool],
    ) -> None:
        """Prepare.

        Args:
            memory: what they are taken into.
            approved: a person has; a source that was recalled stays recalled.
            test_splits: those of an environment; what is of one is never shown.
            invented: says of an environment that its people are: nothing in it needs to be redacted.
        """
        self._memory = memory
        self._approved = approved
        self._test_splits = test_splits
        self._invented = invented
        self._neighbours = memory.probation.neighbours()
        self._strangers: dict[tuple[str, str], bool] = {}

    def take(self, trajectories: Iterable[Trajectory], told: Callable[[int], None]) -> Counter[str]:
        """Take them in; return how many came to which status, or were known. `told` hears of the steps of each chunk
        when they are stored."""
        came: Counter[str] = Counter()
        chunk: list[Trajectory] = []
        steps = 0
        for trajectory in trajectories:
            chunk.append(trajectory)
            steps += len(trajectory.steps) or 1
            if steps >= _CHUNK_STEPS:
                came.update(self._store(chunk))
                told(steps)
                chunk, steps = [], 0
        came.update(self._store(chunk))
        told(steps)
        return came

    def _store(self, chunk: Sequence[Trajectory]) -> Counter[str]:
        bulk = self._memory.store.bulk
        held = set(bulk.held([t.id for t in chunk]))
        new = []
        for t in chunk:
            if t.id not in held:
                held.add(t.id)
                new.append(self._cleaned(t))
        contents = [t.content_hash() for t in new]
        shown = {(tenant, content) for content, tenant, _ in bulk.shown(contents)}
        judged: list[tuple[Admission, str]] = []
        for t, content in zip(new, contents, strict=True):
            admission = self._judged(t, content, shown)
            judged.append((admission, content))
            if admission.status == "demonstration":
                shown.add((t.tenant, content))
        bulk.add(judged)
        self._memory.index_open(
            admission.trajectory for admission, _ in judged if admission.status == "demonstration"
        )
        came: Counter[str] = Counter(admission.status for admission, _ in judged)
        if len(chunk) > len(new):
            came[KNOWN] = len(chunk) - len(new)
        return came

    def _cleaned(self, t: Trajectory) -> Trajectory:
        if self._memory.redact and not self._invented(t.environment):
            t = redacted(t)
        return without_idle_steps(t)

    def _judged(self, t: Trajectory, content: str, shown: Collection[tuple[str, str]]) -> Admission:
        probation, source = self._memory.probation, t.provenance.source
        admission = admit(
            t,
            test_splits=self._test_splits(t.environment),
            is_known=lambda content: (t.tenant, content) in shown,
            content=content,
        )
        stranger = self._is_stranger(t.tenant, source)
        judged = probation.judged(admission, stranger=stranger, neighbours=self._neighbours)
        if stranger:
            self._neighbours.stored(t)
            if judged.reason == WAITS:
                # A file can say what it likes: its successes prove nothing, a person has to.
                return replace(judged, reason=WAITS_FOR_A_PERSON)
        return judged

    def _is_stranger(self, tenant: str, source: str) -> bool:
        """Say whether a source is not the tenant's own; what a person has approved is trusted from here on."""
        key = (tenant, source)
        if key not in self._strangers:
            if self._approved and self._memory.probation.level(tenant, source) not in (
                "recalled",
                "approved",
            ):
                self._memory.probation.set_level(tenant, source, "approved", "imported by hand")
            self._strangers[key] = not self._approved and self._memory.store.run(source) is None
        return self._strangers[key]
