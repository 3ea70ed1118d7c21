"""An episode of somebody's own agent: it observes and acts, the runtime decides, and the outcome is recorded.

with Runtime.from_config() as runtime, runtime.episode("Put a clean mug on the desk.") as episode:
    while not done:
        decision = episode.decide_sync(observation, admissible=possible)
        observation, done = act(decision.action)
    episode.finish(success=goal_reached)
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from types import TracebackType
from typing import TYPE_CHECKING, Self

from icd.decision import ChosenStrategies, Decision, DecisionContext
from icd.drift_watch import Place, under_of, values_of
from icd.errors import ConfigurationError
from icd.receipts import LIVE, new_id
from icd.strategy_use import note_episode
from icd.sync import run_sync
from icd.telemetry import operations, spans
from icd_memory.admission import Admission, admit
from icd_memory.redaction import redacted
from icd_memory.store import Store
from icd_memory.trajectory import Outcome, Provenance, Step, Trajectory

if TYPE_CHECKING:
    from icd.runtime import Runtime


class AgentEpisode:
    """One attempt at one task. Left without `finish`, it is kept in quarantine: nobody said how it ended."""

    def __init__(
        self,
        runtime: Runtime,
        goal: str,
        *,
        environment: str = "agent",
        category: str = "",
        plan: str = "",
        tenant: str = "default",
        instance: str = "",
        episode_id: str = "",
        seed: int = 0,
    ) -> None:
        """Begin.

        Args:
            runtime: decides the steps.
            goal: the task, in words.
            environment: where the agent acts; demonstrations come from the same one.
            category: what kind of task this is.
            plan: how it is to be done, if you have one.
            tenant: whose demonstrations are shown, and whose this becomes.
            instance: nothing recorded of the same instance is shown (the leak guard).
            episode_id: names the receipts; a new one if empty.
            seed: of the samples.
        """
        self.id = episode_id or new_id()
        self.goal, self.environment, self.category, self.plan = goal, environment, category, plan
        self.tenant, self.instance, self.seed = tenant, instance, seed
        self.steps: tuple[Step, ...] = ()
        self._runtime = runtime
        self._strategies: ChosenStrategies | None = None
        self._outcome: Outcome | None = None
        self._recorded = False
        self._watched = ExitStack()

    async def decide(
        self, observation: str, *, admissible: Sequence[str] | None = None, view: str = ""
    ) -> Decision:
        """Decide the next step; do its `action`, and call again with what you see then.

        Args:
            observation: what the agent sees.
            admissible: the actions that are possible; None: any text is one.
            view: what the agent knows so far, where you keep that.

        Raises:
            BackendError, BudgetError: as `Runtime.decide`.
        """
        context = DecisionContext(
            goal=self.goal,
            category=self.category,
            observation=observation,
            plan=self.plan,
            view=view,
            history=self.steps,
            admissible=None if admissible is None else tuple(admissible),
            environment=self.environment,
            instance=self.instance,
            tenant=self.tenant,
            episode_id=self.id,
            step=len(self.steps),
            seed=self.seed + len(self.steps),
            strategies=self._strategies,
        )
        if not self.steps:
            self._strategies = self._runtime.episode_strategies(context)
            context = replace(context, strategies=self._strategies)
        decision = await self._runtime.decide(context)
        step = Step(observation, decision.action, decision.reasoning, view, decision.acted_by)
        self.steps = (*self.steps, step)
        return decision

    def decide_sync(
        self, observation: str, *, admissible: Sequence[str] | None = None, view: str = ""
    ) -> Decision:
        """Do as `decide`, without awaiting."""
        return run_sync(self.decide(observation, admissible=admissible, view=view))

    def finish(self, *, success: bool, score: float | None = None) -> None:
        """Say how it ended; recorded when the `with` block ends."""
        self._outcome = Outcome(success, float(success) if score is None else score, "feedback")

    def record(self) -> Admission | None:
        """Store the episode; one with a verified success becomes a demonstration. None: there was no step, or it is
        recorded already.

        Raises:
            ConfigurationError: the runtime has no store.
        """
        runtime = self._runtime
        if self._recorded or not self.steps:
            return None
        if runtime.store is None:
            raise ConfigurationError("an episode can only be recorded by a runtime with a store")
        self._recorded = True
        self._note_strategies(runtime.store)
        self._note_drift(runtime.store)
        trajectory = self._trajectory()
        if runtime.redactor is not None:  # As in the receipts: the same placeholders.
            trajectory = redacted(trajectory, runtime.redactor.of(self.tenant, self.id))
        if runtime.retriever is not None:
            return runtime.retriever.memory.add(trajectory)
        admission = admit(trajectory, test_splits=())
        runtime.store.add_trajectory(admission.trajectory, status=admission.status, reason=admission.reason)
        return admission

    def __enter__(self) -> Self:
        span = self._watched.enter_context(
            spans.ambient().start(
                operations.agent, self.id, model=f"icd/{self._runtime.settings.policy}", tenant=self.tenant,
                category=self.category,
            )
        )  # fmt: skip
        self._watched.enter_context(span.current())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with ExitStack() as ending:
            ending.push(self._watched)
            if self._runtime.store is not None:
                self.record()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.__exit__(kind, error, trace)

    def _note_strategies(self, store: Store) -> None:
        library = self._runtime.library
        if library is not None:
            note_episode(
                library, [row.body for row in store.decisions(self.id)], tenant=self.tenant, episode_id=self.id,
                at=self._runtime.now(), outcome=self._outcome,
            )  # fmt: skip

    def _note_drift(self, store: Store) -> None:
        watch = self._runtime.watch
        if watch is not None:
            bodies = [row.body for row in store.decisions(self.id)]
            success = None if self._outcome is None else self._outcome.success
            watch.observe(
                Place(self.tenant, self.environment, self.category), under_of(bodies),
                values_of(bodies, success), self._runtime.now(),
            )  # fmt: skip

    def _trajectory(self) -> Trajectory:
        seats = {"student": self._runtime.student, "teacher": self._runtime.teacher}
        acted = sorted({step.actor for step in self.steps})
        producer = "+".join(model.backend.model for actor in acted if (model := seats.get(actor)) is not None)
        return Trajectory(
            id=f"{LIVE}-{self.tenant}-{self.id}",
            environment=self.environment,
            task_id=self.id,
            instance=self.instance or self.id,
            split=LIVE,
            goal=self.goal,
            category=self.category,
            plan=self.plan,
            steps=self.steps,
            outcome=self._outcome,
            provenance=Provenance(f"{LIVE}:{self.tenant}", producer, self._runtime.now()),
            tenant=self.tenant,
        )
