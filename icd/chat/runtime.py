"""The runtime behind somebody's agent: one model call, from its messages to a recorded answer.

    call -> situation -> retrieve -> compose -> sample -> agree? -> the student's answer | the teacher's -> record

Nothing is given out before it is settled who answers and, for a whole answer, before its receipt is durable. A teacher's
answer can be passed on while it is written; its receipt is durable before the end is told.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import aclosing, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Literal, NamedTuple, TypeVar

from icd.agreement import vote
from icd.backends.base import ChatRequest, ChatResponse, Completion, Delta, Message, Usage
from icd.calls import Bill, PricedModel, pieces
from icd.cascade import NO_GUARDS, Evidence, Guards, Policy, Verdict, decide, parse_policy, resolved, toss
from icd.chat.action import completion_of
from icd.chat.budgets import BudgetLimits, Budgets
from icd.chat.call import ChatAnswer, ChatCall, Feedback, FeedbackResult, Mode, Settled, StreamItem
from icd.chat.chat_memory import ChatMemory
from icd.chat.drift import ChatDrift
from icd.chat.episodes import Episodes, Place
from icd.chat.purse import open_bill
from icd.chat.reading import AnswerReader
from icd.chat.recording import Recorder, Texts, bill_of, receipt, texts_of, without_secrets
from icd.chat.request import request_for
from icd.chat.schemas import ToolSchemas
from icd.chat.situation import Situation, situation_of
from icd.chat.tenants import Service, Tenants
from icd.decision import Candidate, ChosenStrategies, Decision, ExcerptUse
from icd.drift_watch import DriftWatch
from icd.errors import (
    BackendError,
    BackendReplyError,
    BudgetError,
    ConfigurationError,
    ContextOverflowError,
)
from icd.prompting import Placement
from icd.receipts import new_id
from icd.sampling import FAILED, draw
from icd.strategy_use import NO_STRATEGIES, StrategySettings, receipt_of
from icd.telemetry import content, operations, spans
from icd_memory.group_commit import GroupCommit
from icd_memory.redaction import Redactor
from icd_memory.retrieval import Excerpt, Memory
from icd_memory.rows import DecisionRow

_T = TypeVar("_T")
_log = logging.getLogger(__name__)

_SHADOW_SECONDS = 5.0
"""That a shadow gets when the runtime is closed: nobody waits for it."""
SHADOW = ":shadow"
"""How the receipt of a shadow ends; before it stands the receipt of the teacher's answer."""


@dataclass(frozen=True, slots=True)
class ChatSettings:
    """How calls are answered."""

    policy: Policy = field(default_factory=lambda: parse_policy("unanimity(3)"))
    mode: Mode = "cascade"
    """Of tenants without one of their own."""
    guards: Guards = NO_GUARDS
    k: int = 6
    """Excerpts at a step; 0: no demonstrations."""
    placement: Placement = "after_history"
    strategies: StrategySettings = field(default_factory=StrategySettings)
    temperature: float = 0.1
    """Of samples that are compared."""
    max_tokens: int = 4096
    """Limit of an answer where the call names none."""
    text_similarity: float = 0.9
    """Cosine from which two answers in free text are the same."""
    fall_back_to_student: bool = False
    """When the teacher fails, answer with the student's best sample instead of an error."""
    budgets: BudgetLimits = field(default_factory=BudgetLimits)
    """Of tenants, episodes and days."""


@dataclass(slots=True)
class _Step:
    """One call under way."""

    call: ChatCall
    situation: Situation
    place: Place
    service: Service
    policy: Policy
    student: PricedModel | None
    receipt_id: str
    bill: Bill
    span: spans.Span
    started: float
    drift: tuple[str, ...] = ()
    excerpts: Sequence[Excerpt] = ()
    strategies: ChosenStrategies = NO_STRATEGIES
    drawn: Sequence[Completion] = ()
    samples: Sequence[Candidate] = ()
    cut: tuple[str, ...] = ()

    @property
    def given(self) -> list[tuple[Candidate, Completion]]:
        """The samples that the student could give."""
        return [pair for pair in zip(self.samples, self.drawn, strict=True) if pair[1] is not FAILED]

    @property
    def overhead(self) -> float:
        """Seconds since the call came in, without waiting for models."""
        return time.perf_counter() - self.started - self.bill.waited


class _Reply(NamedTuple):
    """What is answered, and by which model."""

    completions: tuple[Completion, ...]
    usage: Usage
    model: str


class ChatRuntime:
    """Answers the model calls of agents; an `icd.chat.call.Answerer`."""

    def __init__(
        self,
        *,
        student: PricedModel | None = None,
        teacher: PricedModel | None = None,
        memory: Memory | None = None,
        settings: ChatSettings | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        new_id: Callable[[], str] = new_id,
        student_of: Callable[[str], PricedModel] | None = None,
        watch: DriftWatch | None = None,
    ) -> None:
        """Wire the parts. Without a memory nothing is retrieved and nothing recorded.

        `student_of` names the student of an episode by its id, where that is not always `student`.

        Raises:
            ConfigurationError: the policy needs a calibration that was not made.
            RedactionMissingError: the memory redacts, and the extra for it is not installed.
        """
        self.settings = settings or ChatSettings()
        resolved(self.settings.policy)
        self.student, self.teacher, self.memory = student, teacher, memory
        self._student_of = student_of
        self.store = memory.store if memory is not None else None
        self._now, self._new_id = now, new_id
        self._under_way = 0
        self.commit = GroupCommit(self.store, lambda: self._under_way) if self.store is not None else None
        self._recorder = Recorder(self.store, self.commit) if self.store and self.commit else None
        self.tenants = Tenants(self.store, Service(self.settings.mode, self.settings.policy))
        self.budgets = Budgets(self.store.accounts, self.settings.budgets, now) if self.store else None
        self._episodes = Episodes(self.store, new_id)
        self._drift = ChatDrift(watch, self.store)
        self._demonstrations = None if memory is None else ChatMemory(
            memory, k=self.settings.k, placement=self.settings.placement, strategies=self.settings.strategies
        )  # fmt: skip
        self._redactor = Redactor() if memory is not None and memory.redact else None
        self._shadows: set[asyncio.Task[None]] = set()

    async def answer(self, call: ChatCall) -> ChatAnswer:
        """Answer a call; see `icd.chat.call.Answerer.answer`."""
        step = self._begin(call)
        with self._billed_if_it_fails(step):
            verdict = await self._settle(step)
            if verdict.actor == "teacher":
                try:
                    teacher, request = self._seat("teacher", step), self._teacher_request(step)
                    reply = _reply(await step.bill.ask(teacher, request, "teacher"))
                except (BackendError, BudgetError) as error:
                    verdict = self._fallen_back(step, verdict, error)
            if verdict.actor == "student":
                reply = await self._students(step, verdict)
            return await self._finish(step, verdict, reply)

    async def stream(self, call: ChatCall) -> AsyncGenerator[StreamItem, None]:
        """Answer a call piece by piece; see `icd.chat.call.Answerer.stream`."""
        step = self._begin(call)
        with self._billed_if_it_fails(step):
            verdict = await self._settle(step)
            if verdict.actor == "teacher":
                teacher, request = self._seat("teacher", step), self._teacher_request(step)
                async with aclosing(step.bill.stream(teacher, request, "teacher")) as items:
                    try:
                        item = await anext(items)
                    except (BackendError, BudgetError) as error:
                        verdict = self._fallen_back(step, verdict, error)
                    else:
                        yield self._settled(step, verdict, teacher)
                        while isinstance(item, Delta):
                            yield item
                            item = await anext(items)
                        yield await self._finish(step, verdict, _reply(item))
                        return
            answer = await self._finish(step, verdict, await self._students(step, verdict))
            yield self._settled(step, verdict, self._seat("student", step))
            for piece in pieces(answer.completions):
                yield piece
            yield answer

    async def feedback(self, feedback: Feedback) -> FeedbackResult:
        """Record feedback; see `icd.chat.call.Answerer.feedback`."""
        if self._demonstrations is None:
            raise ConfigurationError("feedback needs a store: nothing is recorded here")
        if self._redactor is not None:
            names = self._redactor.of(feedback.tenant, feedback.episode_id or feedback.decision_id)
            feedback = replace(feedback, comment=names.redact(feedback.comment))
        return await self._drift.judged(feedback, await self._demonstrations.learn(feedback, self._now()))

    async def close(self) -> None:
        """Finish what is under way: shadows, if they are quick, and writes."""
        if self._shadows:
            _, late = await asyncio.wait(self._shadows, timeout=_SHADOW_SECONDS)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        await self._drift.close()
        if self._demonstrations is not None:
            self._demonstrations.close()
        if self.commit is not None:
            self.commit.close()  # Not in a thread: an interpreter that ends starts none.

    # One call

    def _begin(self, call: ChatCall) -> _Step:
        started = time.perf_counter()
        service = self.tenants.service(call.tenant)
        policy = resolved(call.policy or (service.policy if service.mode == "cascade" else Policy("teacher")))
        if policy.name == "copy":
            raise ConfigurationError("policy copy has no words of its own: it cannot answer a chat")
        situation = situation_of(call)
        policy, drift = self._drift.policy(call.tenant, situation.category, policy)
        place = self._episodes.place(call, situation)
        receipt_id = self._new_id()
        span = spans.ambient().start(
            operations.agent, place.episode_id, model=f"icd/{policy}", tenant=call.tenant, mode=service.mode
        )
        bill = open_bill(call, place.episode_id, receipt_id, span, self.budgets, self.commit)
        student = self._student_of(place.episode_id) if self._student_of is not None else self.student
        return _Step(call, situation, place, service, policy, student, receipt_id, bill, span, started, drift)

    async def _settle(self, step: _Step) -> Verdict:
        """Find out who answers."""
        policy = step.policy
        chance = 1.0
        if policy.name == "random":
            chance = toss(step.place.episode_id, step.place.step, step.call.seed or 0)
        if not policy.asks_student or (policy.name == "random" and chance < policy.p):
            return Verdict("teacher", "policy", None)
        reader = self._reader(step)
        if not await self._sample(step, reader):
            return Verdict("teacher", "incapable", None)
        keys = [candidate.key for candidate in step.samples]
        evidence = Evidence(
            keys,
            frozenset(c.key for c in step.samples if c.admissible and c.key is not None),
            reader.tried(step.situation) if self.settings.guards.progress else frozenset(),
            max((e.similarity for e in step.excerpts), default=None),
            chance,
            # With nothing to answer instead, the budget's own error is what the client must hear.
            self.teacher is not None
            and (not step.given or step.bill.affordable(self.teacher, lambda: self._teacher_request(step))),
        )
        return decide(policy, self.settings.guards, evidence)

    async def _sample(self, step: _Step, reader: AnswerReader) -> bool:
        """Retrieve and draw the student's samples; False, if it cannot take this call and somebody else can."""
        student, call = self._seat("student", step), step.call
        if self._demonstrations is not None:
            about = call, step.situation, step.place.episode_id
            step.excerpts = await self._retrieved(step, self._demonstrations, about)
            step.strategies = await self._demonstrations.strategies(*about, student.backend.count_tokens)
        settings, own = self.settings, step.policy.n == 1 and call.temperature is not None
        try:
            if call.tools and not student.backend.capabilities.tools:
                raise ConfigurationError(f"the student {student.backend.model} cannot call tools")
            request, step.cut = request_for(
                student, call, settings.max_tokens, n=max(step.policy.n, call.n),
                temperature=call.temperature if own else settings.temperature,
                excerpts=step.excerpts, strategies=step.strategies.shown, placement=settings.placement,
            )  # fmt: skip
        except (ConfigurationError, ContextOverflowError) as error:
            if step.policy.name in ("student", "random"):
                raise
            step.cut = (str(error),)
            return False
        step.drawn, step.samples = await draw(step.policy, student, request, reader.read, step.bill)
        return True

    async def _retrieved(
        self, step: _Step, demonstrations: ChatMemory, about: tuple[ChatCall, Situation, str]
    ) -> Sequence[Excerpt]:
        embedder = demonstrations.embedder_id
        with step.span.start(operations.retrieval, self.settings.k, embedder) as span:
            found = await demonstrations.excerpts(*about)
            span.tell(operations.found, found)
            span.content(content.search, step.situation.goal, step.situation.observation, found)
        return found

    async def _students(self, step: _Step, verdict: Verdict) -> _Reply:
        """Return the student's answer: samples of the action that was agreed on, more of them if more are wanted."""
        student, given = self._seat("student", step), step.given
        if not given:
            raise BackendReplyError(f"{student.backend.model} gave no answer, and there is no teacher to ask")
        ordered = sorted(given, key=lambda pair: pair[0].key != verdict.key)
        chosen = [sample for _, sample in ordered][: step.call.n]
        if len(chosen) < step.call.n:
            request, _ = request_for(
                student, step.call, self.settings.max_tokens, n=step.call.n - len(chosen),
                temperature=step.call.temperature,
            )  # fmt: skip
            chosen += (await step.bill.ask(student, request, "student")).completions
        usage = sum((charge.usage for charge in step.bill.charges), Usage(requests=0))
        return _Reply(tuple(chosen), usage, student.backend.model)

    async def _finish(self, step: _Step, verdict: Verdict, reply: _Reply) -> ChatAnswer:
        """Record the answer; it may be given out when this returns."""
        decision = self._decision(step, verdict, reply)
        first = reply.completions[0]
        thread = step.situation.thread.after(Message("assistant", first.text, first.tool_calls))
        if self._recorder is not None:
            texts = texts_of(step.call, step.situation)
            row = receipt(
                decision, step.call, step.situation, step.place, texts, thread, self._now(),
                mode=step.service.mode, policy=str(step.policy), guards=self.settings.guards._asdict(),
                model=reply.model, drift=step.drift,
            )  # fmt: skip
            ledger = bill_of(decision.charges, step.call, step.place, step.receipt_id)
            row, texts = self._without_secrets(step, row, texts)
            await self._recorder.record(row, ledger, texts.by_hash, held=step.bill.held)
            self._drift.note(row)
        self._episodes.note(step.call.tenant, thread, step.place)
        finishes = [completion.finish for completion in reply.completions]
        step.span.tell(operations.answered, decision, finishes, step.overhead)
        if step.service.mode == "shadow" and step.call.policy is None and step.student is not None:
            self._start_shadow(step, first)
        return ChatAnswer(
            decision, reply.completions, reply.usage, reply.model, step.place.episode_id, step.place.step,
            step.overhead,
        )  # fmt: skip

    def _without_secrets(self, step: _Step, row: DecisionRow, texts: Texts) -> tuple[DecisionRow, Texts]:
        if self._redactor is None:
            return row, texts
        return without_secrets(row, texts, self._redactor.of(step.call.tenant, step.place.episode_id))

    def _decision(self, step: _Step, verdict: Verdict, reply: _Reply) -> Decision:
        action = completion_of(reply.completions[0])
        return Decision(
            receipt_id=step.receipt_id,
            action=action.text,
            reasoning=action.reasoning,
            acted_by=verdict.actor,
            reason=verdict.reason,
            samples=tuple(step.samples),
            agreement=vote([c.key for c in step.samples]).share if step.samples else None,
            support=max((e.similarity for e in step.excerpts), default=None),
            excerpts=tuple(ExcerptUse(e.trajectory_id, e.step, e.similarity) for e in step.excerpts),
            strategies=receipt_of(step.strategies, step.cut),
            charges=tuple(step.bill.charges),
            trouble=tuple(step.bill.trouble),
            seconds=time.perf_counter() - step.started,
            cut=step.cut,
        )

    def _settled(self, step: _Step, verdict: Verdict, model: PricedModel) -> Settled:
        return Settled(
            step.receipt_id, step.place.episode_id, step.place.step, verdict.actor, verdict.reason,
            model.backend.model, step.bill.cost, step.overhead,
        )  # fmt: skip

    # Parts of it

    def _seat(self, seat: Literal["student", "teacher"], step: _Step) -> PricedModel:
        model = step.student if seat == "student" else self.teacher
        if model is None:
            raise ConfigurationError(
                f"policy {step.policy} needs a {seat}: set [{seat}] in icd.toml, or ask for another policy"
            )
        return model

    def _fallen_back(self, step: _Step, verdict: Verdict, error: Exception) -> Verdict:
        """Return who answers when the teacher has just failed; raises its error if nobody may."""
        if not (self.settings.fall_back_to_student and step.given):
            raise error
        return Verdict("student", "teacher_failed", verdict.key)

    def _teacher_request(self, step: _Step) -> ChatRequest:
        teacher, call = self._seat("teacher", step), step.call
        return request_for(
            teacher, call, self.settings.max_tokens, n=call.n, temperature=call.temperature
        ).request

    def _reader(self, step: _Step) -> AnswerReader:
        embed = self._demonstrations.embed if self._demonstrations is not None else None
        return AnswerReader(step.call, ToolSchemas(step.call.tools), embed, self.settings.text_similarity)

    @contextmanager
    def _billed_if_it_fails(self, step: _Step) -> Iterator[None]:
        """Count a call as under way, and record what was paid when no answer comes of it."""
        self._under_way += 1
        try:
            with step.span:
                yield
        except BaseException:
            if self._recorder is not None:
                rows = bill_of(step.bill.charges, step.call, step.place, step.receipt_id)
                self._recorder.bill([replace(row, decision_id=None) for row in rows], step.bill.held)
            raise
        finally:
            self._under_way -= 1

    # Shadow mode

    def _start_shadow(self, step: _Step, answer: Completion) -> None:
        """Sample the student beside a teacher's answer that was given out already; no key pays for that."""
        task = asyncio.create_task(self._shadow(step, answer))
        self._shadows.add(task)
        task.add_done_callback(self._end_shadow)

    def _end_shadow(self, task: asyncio.Task[None]) -> None:
        self._shadows.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.warning("the student was not scored beside the teacher: %s", error)

    async def _shadow(self, taught: _Step, answer: Completion) -> None:
        """Record what the policy would have done, and whether the student agrees with the teacher."""
        span = taught.span.start(operations.step, taught.place.episode_id, taught.place.step)
        call, receipt_id = replace(taught.call, account=""), taught.receipt_id + SHADOW
        step = replace(
            taught, policy=taught.service.policy, receipt_id=receipt_id, span=span, call=call,
            bill=open_bill(call, taught.place.episode_id, receipt_id, span, self.budgets, self.commit),
            started=time.perf_counter(),
        )  # fmt: skip
        with self._billed_if_it_fails(step):
            verdict = await self._settle(step)
            reader = self._reader(step)
            keys = [c.key for c in reader.read([answer, *step.drawn])]
            would = Completion("") if verdict.key is None else next(
                sample for sample, c in zip(step.drawn, step.samples, strict=True) if c.key == verdict.key
            )  # fmt: skip
            decision = self._decision(step, verdict, _Reply((would,), Usage(), ""))
            span.tell(operations.decided, decision)
            texts = texts_of(step.call, step.situation)
            row = receipt(
                decision, step.call, step.situation, step.place, texts, "", self._now(),
                mode="shadow", policy=str(step.policy), shadow_of=taught.receipt_id,
                teacher_key=keys[0], agrees_with_teacher=[key is not None and key == keys[0] for key in keys[1:]],
            )  # fmt: skip
            row, _ = self._without_secrets(step, row, texts)
            assert self._recorder is not None
            ledger = bill_of(decision.charges, step.call, step.place, row.id)
            await self._recorder.record(row, ledger, held=step.bill.held)
            self._drift.note(row)


def _reply(response: ChatResponse) -> _Reply:
    return _Reply(response.completions, response.usage, response.model)
