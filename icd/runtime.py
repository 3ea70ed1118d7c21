"""The runtime: one step of an agent, from its context to a recorded decision.

    context -> retrieve -> compose -> sample -> agree? -> act | escalate -> record

It wires the parts and keeps no state of an episode: all that a decision depends on stands in its `DecisionContext`.
Playing whole episodes is `icd.episode`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from icd.agreement import vote
from icd.analogy import adapt
from icd.asking import plan_request, read_answer, sample_reader, student_request, teacher_request
from icd.calls import Bill, PricedModel
from icd.cascade import Evidence, Verdict, before_sampling, considered, decide, resolved, toss
from icd.decision import Candidate, Charge, ChosenStrategies, Decision, DecisionContext, ExcerptUse
from icd.drift_watch import DriftWatch, Place
from icd.errors import BackendError, BudgetError, ConfigurationError
from icd.evidence import copied, copied_key, demonstrated, facts_of, keys_of, leader, query_of, tried_here
from icd.prompting import read_plan
from icd.receipts import ledger_rows, new_id, receipt, without_secrets
from icd.runtime_settings import RuntimeSettings
from icd.sampling import draw
from icd.strategy_use import NO_STRATEGIES, choose, receipt_of
from icd.strategy_use import query_of as strategy_query
from icd.sync import run_sync
from icd.telemetry import content, operations, spans
from icd_memory.retrieval import Excerpt, Retriever
from icd_memory.rows import DecisionRow, LedgerRow
from icd_memory.store import Store
from icd_memory.strategies import StrategyLibrary

if TYPE_CHECKING:
    from icd.agent_episode import AgentEpisode
    from icd_memory.redaction import Redactor

__all__ = ["PLAN_STEP", "Plan", "Runtime", "RuntimeSettings", "Sampled"]

PLAN_STEP = -1
"""The step number of the receipt of an episode's plan."""


class Plan(NamedTuple):
    """A drafted plan and what it cost."""

    text: str
    charges: tuple[Charge, ...]
    seconds: float = 0.0


class Sampled(NamedTuple):
    """The student's answers to one step."""

    samples: tuple[Candidate, ...]
    cut: tuple[str, ...]


class Runtime:
    """Decides steps for agents."""

    def __init__(
        self,
        *,
        student: PricedModel | None = None,
        teacher: PricedModel | None = None,
        verifier: PricedModel | None = None,
        retriever: Retriever | None = None,
        store: Store | None = None,
        library: StrategyLibrary | None = None,
        settings: RuntimeSettings | None = None,
        run_id: str = "live",
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        new_id: Callable[[], str] = new_id,
        watch: DriftWatch | None = None,
        redactor: Redactor | None = None,
    ) -> None:
        """Wire the parts. The verifier is asked whether blocks of code that differ in form do the same; without one,
        form decides. A `watch` is told of episodes, and may raise the number of samples where something got worse;
        a `redactor` takes secrets and personal data out of receipts.

        Raises:
            ConfigurationError: the policy needs a model or a memory that is not given, or a calibration that was not
                made.
        """
        self.settings = settings or RuntimeSettings()
        self.student, self.teacher, self.verifier = student, teacher, verifier
        self.retriever, self.store, self.library = retriever, store, library
        self.run_id, self.watch, self.redactor = run_id, watch, redactor
        self.now, self._new_id = now, new_id
        self._owned = ExitStack()
        self._check()

    @classmethod
    def from_config(
        cls, config: str | Path | None = None, overrides: Mapping[str, Any] | None = None
    ) -> Runtime:
        """Open a runtime by the settings: a file (else ``icd.toml`` here or the user's own), the environment, and
        `overrides`, nested as in the file. Close it when done, or use it in a `with` block.

        Raises:
            ConfigurationError: a wrong setting, a missing key, price or extra.
            IcdMemoryError: the store or the embedder cannot be used.
            ModelFilesError: weights are missing.
        """
        from icd.assembly import open_runtime
        from icd.config import load_settings

        return open_runtime(load_settings(Path(config) if config is not None else None, overrides))

    def owning(self, resource: AbstractContextManager[object]) -> Runtime:
        """Let `close` close something too, last in, first out."""
        self._owned.push(resource)
        return self

    async def aclose(self) -> None:
        """Close the models, and what the runtime was opened with; a runtime of your own parts keeps its store."""
        for model in (self.student, self.teacher, self.verifier):
            if model is not None:
                await model.backend.close()
        self._owned.close()

    def close(self) -> None:
        """Do as `aclose`, without awaiting."""
        run_sync(self.aclose())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    def episode(self, goal: str, **about: Any) -> AgentEpisode:
        """Begin an episode of an agent of your own; `about`: the other arguments of `icd.agent_episode.AgentEpisode`."""
        from icd.agent_episode import AgentEpisode

        return AgentEpisode(self, goal, **about)

    def _check(self) -> None:
        policy = resolved(self.settings.policy)
        if policy.asks_student and self.student is None:
            raise ConfigurationError(
                f"policy {policy} needs a student: set [student] in icd.toml or pass --student"
            )
        full = self.settings.record == "full"
        if (policy.asks_teacher or full) and self.teacher is None:
            raise ConfigurationError(
                f"{'record = full' if full else f'policy {policy}'} needs a teacher: set [teacher] in icd.toml or pass "
                "--teacher"
            )
        if self.retriever is None and (self.settings.k or policy.name == "copy"):
            raise ConfigurationError(
                f"policy {policy} with k = {self.settings.k} needs a memory of demonstrations"
            )
        if self.settings.guards.support is not None and not self.settings.k:
            raise ConfigurationError("the support guard needs demonstrations: k must be at least 1")

    def for_episode(self, teacher: PricedModel | None) -> Runtime:
        """Return this runtime with another teacher (an expert that is bound to one episode)."""
        return Runtime(
            student=self.student, teacher=teacher, verifier=self.verifier, retriever=self.retriever,
            store=self.store, library=self.library, settings=self.settings, run_id=self.run_id, now=self.now,
            new_id=self._new_id, watch=self.watch, redactor=self.redactor,
        )  # fmt: skip

    def _where(self, context: DecisionContext) -> Runtime:
        """Return the runtime that decides here: where this kind of task got worse, it says so in its receipts, and draws
        more samples if that is the rule."""
        if self.watch is None:
            return self
        place = Place(context.tenant, context.environment, context.category)
        drift = self.watch.open(place)
        if not drift:
            return self
        other = self.for_episode(self.teacher)
        policy = self.watch.policy(place, self.settings.policy)
        other.settings = replace(self.settings, policy=policy, drift=drift)
        return other

    async def plan(self, context: DecisionContext) -> Plan:
        """Draft an episode's plan: by the teacher where it acts alone, else by the student, with similar tasks' plans
        (arXiv 2505.00234); without any model, the nearest demonstration's plan."""
        bill, started = Bill(), time.perf_counter()
        with self._paid_if_it_fails(bill, context):
            text = await self._draft(context, bill)
        plan = Plan(text, tuple(bill.charges), time.perf_counter() - started)
        receipt_id = self._new_id()
        charges = [asdict(charge) for charge in plan.charges]
        body = {"plan": plan.text, "charges": charges, "seconds": plan.seconds}
        row = DecisionRow(receipt_id, context.episode_id, PLAN_STEP, body, self.now(), context.tenant)
        self._store(row, plan.charges)
        return plan

    async def _draft(self, context: DecisionContext, bill: Bill) -> str:
        excerpts = self._plan_excerpts(context)
        if self.settings.policy.name == "copy":
            return adapt(excerpts[0], context.goal).plan if excerpts else ""
        model = self.teacher if self.settings.policy.name == "teacher" else self.student
        assert model is not None
        request = plan_request(context, excerpts, self.settings)
        response = await bill.ask(model, request, "planner")
        return read_plan(response.completions[0].text)

    async def decide(self, context: DecisionContext, excerpts: Sequence[Excerpt] | None = None) -> Decision:
        """Decide one step. The receipt is durable before this returns.

        Args:
            context: what is known at this step.
            excerpts: shown instead of retrieving (sticky placement).

        Raises:
            BackendError: the acting model could not answer.
            BudgetError: the step cannot be paid.
        """
        bill = Bill()
        with spans.ambient().start(operations.step, context.episode_id, context.step) as span, span.current():
            with self._paid_if_it_fails(bill, context):
                here = self._where(context)
                decision = await here._decide(context, excerpts, bill)
            span.tell(operations.decided, decision)
            here._record(context, decision)
        return decision

    def decide_sync(self, context: DecisionContext) -> Decision:
        """Do as `decide`, without awaiting; also inside a running event loop (a notebook)."""
        return run_sync(self.decide(context))

    async def _decide(
        self, context: DecisionContext, excerpts: Sequence[Excerpt] | None, bill: Bill
    ) -> Decision:
        started = time.perf_counter()
        if excerpts is None:
            excerpts = self.excerpts(context)
        if context.strategies is None:
            context = replace(context, strategies=self.strategies(context))
        support = max((e.similarity for e in excerpts), default=None)
        tried, settings = tried_here(context), self.settings
        found = demonstrated(context, excerpts[:1], tried) if self._may_copy else None
        evidence = Evidence(
            (), keys_of(context.admissible), tried, support,
            toss(context.episode_id, context.step, context.seed),
            copied=copied_key(found, support, settings.copy_above),
        )  # fmt: skip
        verdict = before_sampling(settings.policy, settings.guards, evidence)
        sampled = Sampled((), ())
        if verdict is None:
            sampled = await self._sample(context, excerpts, tried, bill)
        elif self._records_all and settings.policy.asks_student:
            sampled = await self._sample(context, excerpts, tried, bill.beside())
        evidence = evidence._replace(
            keys=[c.key for c in sampled.samples], teacher_affordable=self._teacher_affordable(context)
        )
        act = await self._act(
            verdict or decide(settings.policy, settings.guards, evidence),
            context, sampled.samples, excerpts, found, bill,
        )  # fmt: skip
        shadow = None
        if self._records_all and not act.asked:
            shadow = await self._teachers(context, bill.beside())
        return Decision(
            receipt_id=self._new_id(),
            action=act.chosen.action,
            reasoning=act.chosen.reasoning,
            acted_by=act.verdict.actor,
            reason=act.verdict.reason,
            samples=sampled.samples,
            agreement=vote(considered(settings.policy, evidence.keys)).share if sampled.samples else None,
            support=support,
            excerpts=tuple(ExcerptUse(e.trajectory_id, e.step, e.similarity) for e in excerpts),
            strategies=receipt_of(context.strategies or NO_STRATEGIES, sampled.cut),
            charges=tuple(bill.charges),
            trouble=tuple(bill.trouble),
            seconds=time.perf_counter() - started,
            cut=sampled.cut,
            shadow=shadow,
            facts=facts_of(evidence, sampled.samples, found),
        )

    def excerpts(self, context: DecisionContext) -> list[Excerpt]:
        """Retrieve the excerpts that fit this step, best first."""
        retriever, count = self._demonstrations, max(1, self.settings.k)
        if retriever is None:
            return []
        with spans.ambient().start(operations.retrieval, count, retriever.embedder_id) as span:
            found = retriever.for_step(query_of(context), count)
            span.tell(operations.found, found)
            span.content(content.search, context.goal, context.observation, found)
        return found

    def strategies(self, context: DecisionContext) -> ChosenStrategies:
        """Choose the strategies for this situation; none where the student is not asked."""
        if self.library is None or not self.settings.policy.asks_student or self.student is None:
            return NO_STRATEGIES
        count = self.student.backend.count_tokens
        return choose(self.library, strategy_query(context), self.settings.strategies, count)

    def episode_strategies(self, context: DecisionContext) -> ChosenStrategies | None:
        """Choose the strategies for an episode that begins in this situation; None: each step has its own."""
        return self.strategies(context) if self.settings.strategies.per == "episode" else None

    def _plan_excerpts(self, context: DecisionContext) -> list[Excerpt]:
        retriever = self._demonstrations
        return retriever.for_plan(query_of(context), self.settings.plan_k) if retriever else []

    @property
    def _records_all(self) -> bool:
        return self.settings.record == "full"

    @property
    def _may_copy(self) -> bool:
        """Whether it matters what copying would do."""
        return bool(self.settings.k) and (self.settings.copy_above is not None or self._records_all)

    @property
    def _demonstrations(self) -> Retriever | None:
        """Where demonstrations come from; None if the settings want none."""
        return self.retriever if self.settings.k or self.settings.policy.name == "copy" else None

    async def _sample(
        self, context: DecisionContext, excerpts: Sequence[Excerpt], tried: frozenset[str], bill: Bill
    ) -> Sampled:
        """Draw samples, until the outcome is settled or the record is full."""
        assert self.student is not None
        request, prompt = student_request(self.student, context, excerpts, tried, self.settings)
        read = sample_reader(context, prompt.cue, self.verifier, bill, self.settings.agreement)
        policy = self.settings.policy
        _, samples = await draw(policy, self.student, request, read, bill, all_of_them=self._records_all)
        return Sampled(tuple(samples), prompt.cut)

    def _teacher_affordable(self, context: DecisionContext) -> bool:
        teacher = self.teacher
        return teacher is not None and Bill().affordable(
            teacher, lambda: teacher_request(teacher, context, self.settings)
        )

    async def _act(
        self,
        verdict: Verdict,
        context: DecisionContext,
        samples: Sequence[Candidate],
        excerpts: Sequence[Excerpt],
        found: Candidate | None,
        bill: Bill,
    ) -> _Act:
        if verdict.actor == "copy":
            nearest = found if verdict.reason == "copied" else None
            return _Act(verdict, nearest or copied(context, excerpts, tried_here(context)))
        if verdict.actor == "student":
            return _Act(verdict, leader(samples, verdict.key))
        try:
            return _Act(verdict, await self._teachers(context, bill), asked=True)
        except (BackendError, BudgetError):
            if not (self.settings.fall_back_to_student and samples):
                raise
            failed = Verdict("student", "teacher_failed", verdict.key)
            return _Act(failed, leader(samples, verdict.key), asked=True)

    async def _teachers(self, context: DecisionContext, bill: Bill) -> Candidate:
        assert self.teacher is not None
        response = await bill.ask(
            self.teacher, teacher_request(self.teacher, context, self.settings), "teacher"
        )
        return read_answer(response.completions[0], context)

    def _record(self, context: DecisionContext, decision: Decision) -> None:
        if self.store is None:
            return
        body = receipt(context, decision, self.settings)
        now, tenant = self.now(), context.tenant
        row = DecisionRow(decision.receipt_id, context.episode_id, context.step, body, now, tenant)
        self._store(row, decision.charges)

    def _store(self, row: DecisionRow, charges: Sequence[Charge]) -> None:
        """Make a receipt and its bill durable together."""
        if self.store is None:
            return
        if self.redactor is not None:
            hide = self.redactor.of(row.tenant, row.episode_id).redact
            row = replace(row, body=without_secrets(row.body, hide))
        with self.store.transaction():
            self.store.add_decision(row)
            self.store.add_ledger(self._ledger(charges, row.episode_id, row.tenant, row.id, row.id))

    @contextmanager
    def _paid_if_it_fails(self, bill: Bill, context: DecisionContext) -> Iterator[None]:
        """Record what was paid when no decision comes of it: the next attempt pays again."""
        try:
            yield
        except BaseException:
            if self.store is not None and bill.charges:
                rows = self._ledger(bill.charges, context.episode_id, context.tenant, self._new_id(), None)
                self.store.add_ledger(rows)
            raise

    def _ledger(
        self, charges: Sequence[Charge], episode_id: str, tenant: str, prefix: str, decision_id: str | None
    ) -> list[LedgerRow]:
        return ledger_rows(
            charges,
            run_id=self.run_id,
            episode_id=episode_id,
            prefix=prefix,
            decision_id=decision_id,
            tenant=tenant,
        )


class _Act(NamedTuple):
    verdict: Verdict
    chosen: Candidate
    asked: bool = False
    """The teacher was."""
