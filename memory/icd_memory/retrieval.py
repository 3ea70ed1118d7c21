"""The memory as a whole: a store, an embedder, and an index for each family; two-stage retrieval over them.

A family is a tenant's trajectories of one environment: each has an index of its own, so nothing is ever
filtered by tenant or environment within one. The store is the truth: an index is brought up to date from it
when it is opened.
"""

from __future__ import annotations

import threading
from collections import Counter, OrderedDict
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple, Self

import numpy as np

from icd_memory.admission import Admission, admit
from icd_memory.embedding import CachedEmbedder, Embedder, Vector
from icd_memory.errors import EmbedderMismatchError, VectorIndexError
from icd_memory.exact_index import ExactIndex
from icd_memory.excerpts import Excerpt, Query, window
from icd_memory.index import (
    TRAJECTORY_KEYS,
    Entry,
    Exclusion,
    Hit,
    StepQuery,
    TrajectoryKey,
    VectorIndex,
)
from icd_memory.probation import MOST_OF_A_STRANGER, WAITS, Probation
from icd_memory.redaction import redacted
from icd_memory.rows import Status
from icd_memory.situation import recipe, state_text
from icd_memory.store import Store
from icd_memory.trajectory import Trajectory

__all__ = [
    "RETRIEVAL_KEYS",
    "Excerpt",
    "Family",
    "Memory",
    "Query",
    "RetrievalKey",
    "RetrievalSettings",
    "Retriever",
    "state_text",
]

_BATCH = 200
_KEPT_TRAJECTORIES = 2_000

RetrievalKey = Literal["goal", "category", "plan", "state"]
RETRIEVAL_KEYS: tuple[RetrievalKey, ...] = ("goal", "category", "plan", "state")
"""What the steps of demonstrations can be ranked by."""


@dataclass(frozen=True, slots=True)
class RetrievalSettings:
    """How retrieval works."""

    window: int = 5
    """Steps shown on either side of the step that fits (arXiv 2505.00234)."""
    candidates: int | None = None
    """M, the trajectories whose steps are looked at by an index that needs a cut; None: 6k + 10."""
    step_weight: float = 3.0
    """Weight of the step's score against the trajectory's in the ranking: 1 in arXiv 2505.00234, 3 by
    measurement (docs/log.md)."""
    keys: frozenset[RetrievalKey] = frozenset(RETRIEVAL_KEYS)
    """What steps are ranked by. Without the state no step of a demonstration fits better than another: its first is
    taken."""
    min_similarity: float | None = None
    """Excerpts below this `Excerpt.similarity` are refused rather than shown; None: k are always shown."""
    keep_queries: bool = True
    """Store the vectors of what was asked for, for later processes; a server that sees new texts all the time would
    wait for the disk at each."""


class Family(NamedTuple):
    """The trajectories that share an index."""

    tenant: str
    environment: str


IndexFactory = Callable[[Family, Embedder], VectorIndex]


def exact_in_process(family: Family, embedder: Embedder) -> VectorIndex:
    """Return an empty exact index."""
    return ExactIndex(embedder.id, embedder.dimension)


class Memory:
    """What was recorded, and search over the part of it that may be shown. Safe for threads."""

    def __init__(
        self,
        store: Store,
        embedder: CachedEmbedder,
        settings: RetrievalSettings,
        make_index: IndexFactory,
        test_splits: frozenset[str],
        only: frozenset[str] | None = None,
        redact: bool = False,
    ) -> None:
        """Use `Memory.open` or `beside`."""
        self.redact = redact
        """Whether what comes from live traffic is stored without secrets and personal data."""
        self.store = store
        self.embedder = embedder
        self.settings = settings
        self.probation = Probation(store)
        self.test_splits = test_splits
        self._make_index = make_index
        self._only = only
        self._indexes: dict[Family, VectorIndex] = {}
        self._recent: OrderedDict[str, Trajectory] = OrderedDict()
        self._lock = threading.RLock()

    @classmethod
    def open(
        cls,
        store: Store,
        embedder: Embedder,
        *,
        settings: RetrievalSettings | None = None,
        make_index: IndexFactory = exact_in_process,
        test_splits: Collection[str] = (),
        reembed: bool = False,
        redact: bool = False,
    ) -> Self:
        """Open the memory over a store. Indexes are made at first use.

        `test_splits` are the splits whose trajectories are neither admitted nor shown; with `redact`, `add` stores
        trajectories without secrets and personal data. Raises
        EmbedderMismatchError when the store was used with another embedder, unless `reembed` says that this
        one takes its place.
        """
        noted = store.note("embedder")
        if noted is not None and noted != embedder.id and not reembed:
            raise EmbedderMismatchError(
                f"{store.place} was made with the embedder {noted}, not {embedder.id}: use that one, "
                "or re-embed the store with this one (`icd memory reembed`)"
            )
        if noted != embedder.id:
            store.set_note("embedder", embedder.id)
        cached = embedder if isinstance(embedder, CachedEmbedder) else CachedEmbedder(embedder, store)
        return cls(
            store, cached, settings or RetrievalSettings(), make_index, frozenset(test_splits), redact=redact
        )

    def beside(self, embedder: Embedder | None = None, only: Collection[str] | None = None) -> Memory:
        """Return another memory over the same store, to compare with: exact, kept in this process only.

        Args:
            embedder: another one; the store's own memory keeps its own.
            only: the ids of the demonstrations that it holds; None: all of them.
        """
        cached = self.embedder if embedder is None else CachedEmbedder(embedder, self.store)
        ids = None if only is None else frozenset(only)
        return Memory(self.store, cached, self.settings, exact_in_process, self.test_splits, ids)

    def holds(self, id: str) -> bool:
        """Say whether a demonstration may be found here."""
        return self._only is None or id in self._only

    @property
    def retriever(self) -> Retriever:
        """Retrieval over this memory."""
        return Retriever(self)

    def add(
        self,
        trajectory: Trajectory,
        *,
        trusted_sources: Collection[str] | None = None,
        stranger: bool = False,
        possible: Callable[[str], bool] | None = None,
    ) -> Admission:
        """Judge, clean and store a trajectory, and make it findable if it became a demonstration.

        Returns what was decided (see `icd_memory.admission`, and `icd_memory.probation` for a `stranger` and its
        `possible` actions); the same id twice is stored once.
        """
        if self.redact:
            trajectory = redacted(trajectory)
        admission = admit(
            trajectory,
            test_splits=self.test_splits,
            is_known=lambda content: self._is_shown(content, trajectory),
            trusted_sources=trusted_sources,
        )
        return self.keep(self.probation.judged(admission, stranger=stranger, possible=possible))

    def keep(self, admission: Admission) -> Admission:
        """Store a trajectory as it was judged, and show it if it may be; return where it stands then.

        A stranger's success may be the one after which all that waited for trust in it is shown.
        """
        t = admission.trajectory
        stored = self.store.add_trajectory(t, status=admission.status, reason=admission.reason)
        if stored and admission.status == "demonstration":
            self.index_added([t])
        if stored and admission.reason == WAITS:
            waiting = self.probation.waiting(t.tenant, t.provenance.source, WAITS)
            if self.probation.is_proven(waiting):
                told = f"{len(waiting)} verified successes of its source"
                self.probation.set_level(t.tenant, t.provenance.source, "proven", told)
                for one in waiting:
                    self.set_status(one.id, "demonstration", told)
                return replace(admission, status="demonstration", reason=told)
        return admission

    def index_added(self, trajectories: Iterable[Trajectory]) -> None:
        """Make demonstrations findable that were just stored by other means.

        Embeds their texts, so call it outside of `Store.transaction`.
        """
        for trajectory in trajectories:
            if not self.holds(trajectory.id):
                continue
            made = entries([trajectory], self.embedder)
            with self._lock:
                # One that is not open yet takes them from the store when it is, and finds the vectors there.
                index = self._indexes.get(Family(trajectory.tenant, trajectory.environment))
                if index is not None:
                    index.add(made)

    def index_open(self, trajectories: Iterable[Trajectory]) -> None:
        """Like `index_added`, but only for the indexes that are open: the others embed when they are."""
        with self._lock:
            open_now = frozenset(self._indexes)
        self.index_added(t for t in trajectories if Family(t.tenant, t.environment) in open_now)

    def set_status(self, id: str, status: Status, reason: str) -> None:
        """Change where a trajectory stands, and whether it is found."""
        trajectory = self.store.trajectory(id)
        self.store.set_status(id, status, reason)
        if status == "demonstration":
            self.index_added([trajectory])
            return
        with self._lock:
            index = self._indexes.get(Family(trajectory.tenant, trajectory.environment))
            if index is not None:
                index.remove([id])

    def index(self, family: Family) -> VectorIndex:
        """Return the family's index, made from the store at first use."""
        with self._lock:
            if family not in self._indexes:
                index = self._make_index(family, self.embedder)
                self._update(family, index)
                self._indexes[family] = index
            return self._indexes[family]

    def refresh(self) -> None:
        """Take in what other processes stored, disabled or removed since."""
        self.probation.refresh()
        with self._lock:
            for family, index in self._indexes.items():
                self._update(family, index)

    def trajectories_by_id(self, ids: Collection[str]) -> dict[str, Trajectory]:
        """Return stored trajectories, the recently used ones from memory: what is stored never changes."""
        with self._lock:
            found = {id: self._recent[id] for id in ids if id in self._recent}
        missing = [id for id in ids if id not in found]
        if missing:
            found.update(self.store.trajectories_by_id(missing))
        with self._lock:
            for id in ids:
                if id in found:
                    self._recent[id] = found[id]
                    self._recent.move_to_end(id)
            while len(self._recent) > _KEPT_TRAJECTORIES:
                self._recent.popitem(last=False)
        return found

    def close(self) -> None:
        """Free the indexes. The store stays open: it belongs to the caller."""
        with self._lock:
            for index in self._indexes.values():
                index.close()
            self._indexes = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _is_shown(self, content_hash: str, trajectory: Trajectory) -> bool:
        known = self.store.with_content(content_hash, tenant=trajectory.tenant)
        return any(row.status == "demonstration" and row.trajectory_id != trajectory.id for row in known)

    def _update(self, family: Family, index: VectorIndex) -> None:
        """Make an index hold exactly the family's demonstrations."""
        wanted = {
            stored.id: _version(stored.content_hash)
            for stored in self.store.listing(
                tenant=family.tenant, environment=family.environment, status="demonstration"
            )
            if self.holds(stored.id)
        }
        held = index.contents()
        index.remove([id for id, content in held.items() if wanted.get(id) != content])
        missing = [id for id, content in wanted.items() if held.get(id) != content]
        for start in range(0, len(missing), _BATCH):
            found = self.store.trajectories_by_id(missing[start : start + _BATCH])
            batch = [found[id] for id in missing[start : start + _BATCH]]
            index.add(entries(batch, self.embedder, wanted))
        if len(missing) >= _BATCH:
            # A cache: when it can't be written, it is `close` that says so.
            with suppress(VectorIndexError):
                index.save()


class Retriever:
    """Retrieval for planning and for steps. Keeps nothing between calls."""

    def __init__(self, memory: Memory, settings: RetrievalSettings | None = None) -> None:
        """Search `memory`, by its own settings unless others are given."""
        self.memory = memory
        self.settings = settings or memory.settings

    @property
    def embedder_id(self) -> str:
        """By which embedder texts are compared."""
        return self.memory.embedder.id

    def for_plan(self, query: Query, k: int) -> list[Excerpt]:
        """Return up to k whole demonstrations by goal and category, best first, for writing a plan."""
        keys, _ = self._vectors(query, ("goal", "category"), state="")
        if not keys or k < 1:
            return []
        index = self.memory.index(Family(query.tenant, query.environment))
        return self._limited(
            query, k, lambda n: index.find_trajectories(keys, n, self._exclusion(query)), whole=True
        )

    def for_step(self, query: Query, k: int) -> list[Excerpt]:
        """Return up to k windows around the steps that fit best, one a trajectory, best first."""
        settings = self.settings
        wanted: tuple[TrajectoryKey, ...] = tuple(key for key in TRAJECTORY_KEYS if key in settings.keys)
        keys, state = self._vectors(query, wanted, query.state)
        if (wanted and not keys) or k < 1:
            return []
        index = self.memory.index(Family(query.tenant, query.environment))
        if "state" not in settings.keys:
            return self._limited(
                query, k, lambda n: index.find_trajectories(keys, n, self._exclusion(query)), whole=False
            )
        asked = StepQuery(keys, state, query.state_key, settings.step_weight, self._exclusion(query))
        return self._limited(
            query,
            k,
            lambda n: index.find_steps(asked, n, max(n, settings.candidates or 6 * n + 10)),
            whole=False,
        )

    def _limited(
        self, query: Query, k: int, find: Callable[[int], list[Hit]], *, whole: bool
    ) -> list[Excerpt]:
        """Return the k best excerpts, but of a stranger only a few: what it repeats takes no place from others."""
        probation = self.memory.probation
        if not probation.has_strangers(query.tenant):
            return self._excerpts(find(k), whole)
        wanted = k
        while True:
            hits = find(wanted)
            kept: list[Excerpt] = []
            of: Counter[str] = Counter()
            for excerpt in self._excerpts(hits, whole):
                if probation.level(query.tenant, excerpt.source) == "proven":
                    of[excerpt.source] += 1
                    if of[excerpt.source] > MOST_OF_A_STRANGER:
                        continue
                kept.append(excerpt)
            if len(kept) >= k or len(hits) < wanted:
                return kept[:k]
            wanted *= 4

    def is_quick(self, query: Query) -> bool:
        """Say whether `for_step` would answer in about a millisecond: all vectors at hand, the index in this process."""
        index = self.memory.index(Family(query.tenant, query.environment))
        texts = [text for text in (query.goal, query.category, query.plan) if text.strip()]
        return isinstance(index, ExactIndex) and self.memory.embedder.remembers([*texts, query.state])

    def _vectors(
        self, query: Query, names: tuple[TrajectoryKey, ...], state: str
    ) -> tuple[dict[TrajectoryKey, Vector], Vector]:
        """Return the vectors of the query's keys that have a text, and of the state, from one batch."""
        texts = {"goal": query.goal, "category": query.category, "plan": query.plan}
        used = [name for name in names if texts[name].strip()]
        rows = self.memory.embedder.embed(
            [*(texts[name] for name in used), state], keep=self.settings.keep_queries
        )
        return dict(zip(used, rows[:-1], strict=True)), rows[-1]

    def _exclusion(self, query: Query) -> Exclusion:
        instances = frozenset({query.instance}) if query.instance else frozenset()
        return Exclusion(instances, query.exclude_splits | self.memory.test_splits)

    def _excerpts(self, hits: list[Hit], whole: bool) -> list[Excerpt]:
        least = self.settings.min_similarity
        similarities = [self._similarity(hit, whole) for hit in hits]
        near = [
            (hit, similarity)
            for hit, similarity in zip(hits, similarities, strict=True)
            if least is None or similarity >= least
        ]
        found = self.memory.trajectories_by_id([hit.trajectory_id for hit, _ in near])
        width = self.settings.window
        return [
            _excerpt(found[hit.trajectory_id], hit, similarity, None if whole else width)
            for hit, similarity in near
            if hit.trajectory_id in found
        ]

    def _similarity(self, hit: Hit, whole: bool) -> float:
        """Return the mean of those of a hit's two scores that it was ranked by."""
        if whole or "state" not in self.settings.keys:
            return hit.trajectory_score
        return (
            hit.step_score if self.settings.keys == {"state"} else (hit.trajectory_score + hit.step_score) / 2
        )


def entries(
    trajectories: Collection[Trajectory], embedder: Embedder, versions: Mapping[str, str] | None = None
) -> list[Entry]:
    """Return what an index is given of the trajectories that have steps, embedded in one batch."""
    able = [trajectory for trajectory in trajectories if trajectory.steps]
    texts: list[str] = []
    for t in able:
        texts += [t.goal, t.category, t.plan]
        texts += [state_text(step.observation, step.view, t.goal) for step in t.steps]
        texts += [step.reasoning for step in t.steps]
    rows = embedder.embed(texts)
    made = []
    at = 0
    for t in able:
        count = len(t.steps)
        goal, category, plan = rows[at : at + 3]
        observation, reasoning = np.split(rows[at + 3 : at + 3 + 2 * count], 2)
        at += 3 + 2 * count
        version = versions[t.id] if versions else _version(t.content_hash())
        made.append(Entry(t.id, version, t.instance, t.split, goal, category, plan, observation, reasoning))
    return made


def _version(content_hash: str) -> str:
    """Return what the vectors of a trajectory are made from: its contents, and how its steps are put in
    words."""
    return f"{content_hash}-{recipe()}"


def _excerpt(trajectory: Trajectory, hit: Hit, similarity: float, width: int | None) -> Excerpt:
    steps, focus = (trajectory.steps, 0) if width is None else window(trajectory, hit.step, width)
    return Excerpt(
        trajectory_id=trajectory.id,
        goal=trajectory.goal,
        category=trajectory.category,
        plan=trajectory.plan,
        steps=steps,
        focus=focus,
        step=hit.step,
        trajectory_score=hit.trajectory_score,
        step_score=hit.step_score,
        similarity=similarity,
        source=trajectory.provenance.source,
    )
