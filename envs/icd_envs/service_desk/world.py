"""A service desk as an `Environment`: one customer, the desk's tools, a step cap, and what the desk knows so far."""

from __future__ import annotations

from collections.abc import Callable

from icd_envs.base import ActionSpace, Expert, StepResult, Task
from icd_envs.errors import EngineError
from icd_envs.service_desk.acts import kind_of, sentence
from icd_envs.service_desk.case import Case
from icd_envs.service_desk.commands import Command, parse_command
from icd_envs.service_desk.conduct import FREE_CALLS, Conduct, before_change, before_refusal
from icd_envs.service_desk.customer import Customer
from icd_envs.service_desk.database import Database
from icd_envs.service_desk.evaluation import Verdict, evaluate
from icd_envs.service_desk.expert import ServiceDeskExpert
from icd_envs.service_desk.knowledge import Knowledge
from icd_envs.service_desk.options import options
from icd_envs.service_desk.tools import Answer, do


class Conversation:
    """One conversation: the records, the customer, and what the desk did so far."""

    def __init__(self, case: Case) -> None:
        self.case = case
        self.database = Database(case.tables)
        self.conduct = Conduct()
        self.customer = Customer(case, self.conduct)

    def opening(self) -> str:
        """Return what the customer writes first."""
        return f"Customer ({self.customer.mood}): {self.case.opening}"

    def do(self, command: Command) -> str:
        """Do a command, and return what comes back."""
        return self._say(command.thing) if command.verb == "say" else self._use(command)

    def verdict(self) -> Verdict:
        """Judge the conversation as if it ended now."""
        return evaluate(self.case, self.conduct, self.database.snapshot())

    def _say(self, act: str) -> str:
        conduct = self.conduct
        conduct.calls = 0
        if kind_of(act) == "refuse":
            before_refusal(self.case, conduct, act.removeprefix("refuse: "))
        refused = conduct.refusals[-1] if conduct.refusals else ""
        said = sentence(act, "; ".join(conduct.done[conduct.told :] or conduct.done), refused)
        answer = self.customer.hear(act)
        return f"Desk: {said}\nCustomer ({self.customer.mood}): {answer}"

    def _use(self, command: Command) -> str:
        conduct = self.conduct
        answer = do(command, self.database)
        if answer.changed:
            before_change(self.case, conduct, command)
            conduct.done.append(answer.text)
        self._note(command, answer)
        conduct.calls += 1
        if conduct.calls <= FREE_CALLS:
            return answer.text
        conduct.waits += 1
        self.customer.wait()
        return f"{answer.text}\nCustomer ({self.customer.mood}): Are you still there?"

    def _note(self, command: Command, answer: Answer) -> None:
        if command.verb == "read" and answer.text.startswith("policy "):
            self.conduct.read.add(command.thing)
        if command.verb == "lookup" and answer.text.startswith(f"{command.thing} "):
            self.conduct.seen.add((command.thing, command.number))
            self.conduct.seen |= {
                ("ticket", id)
                for id, row in self.database.rows("tickets").items()
                if command.thing == "order" and row.get("order") == command.number
            }
        if command.verb == "verify" and answer.text.startswith("check "):
            self.conduct.verified = "confirmed" in answer.text


class ServiceDeskWorld:
    """One world in which service-desk tasks are played one after the other. Not thread-safe: one per worker."""

    def __init__(self, load: Callable[[Task], Case], max_steps: int, name: str = "service-desk") -> None:
        """Make a world that gets each task's case from `load`."""
        self.name = name
        self.max_steps = max_steps
        self.knowledge: Knowledge | None = None
        """What the agent of the running episode knows."""
        self.conversation: Conversation | None = None
        """The running or last episode, for the evaluation; an agent never sees it."""
        self._load = load
        self._steps = 0
        self._over = True

    def reset(self, task: Task) -> StepResult:
        """Start an episode of `task`. Raises `TaskNotFoundError`."""
        self.conversation = Conversation(self._load(task))
        self.knowledge = Knowledge()
        self._steps, self._over = 0, False
        opening = self.conversation.opening()
        self.knowledge.start(opening)
        return StepResult(opening, ActionSpace(options(self.knowledge)), view=self.knowledge.view())

    def step(self, action: str) -> StepResult:
        """Do `action`. Raises `EngineError` before the first reset and after the end of an episode.

        The last observation tells the satisfaction and the violations. The last reward is the satisfaction, 1 to
        10; those before are 0.
        """
        if self.conversation is None or self.knowledge is None or self._over:
            raise EngineError("no episode is running: call reset(task) first")
        command = parse_command(action)
        self._steps += 1
        closed = command.verb == "close"
        observation = "The conversation is closed." if closed else self.conversation.do(command)
        self.knowledge.update(action, observation)
        left = self.conversation.conduct.left
        if left:
            observation += "\nThe customer has left."
        self._over = closed or left or self._steps >= self.max_steps
        verdict = self.conversation.verdict() if self._over else None
        if verdict is not None:
            observation += f"\n{verdict.told}"
        return StepResult(
            observation=observation,
            actions=ActionSpace(options(self.knowledge)),
            reward=verdict.satisfaction if verdict else 0.0,
            done=self._over,
            won=bool(verdict and verdict.won and closed),
            view=self.knowledge.view(),
        )

    def expert(self) -> Expert | None:
        """Return the expert of the running episode; None before the first."""
        return ServiceDeskExpert(self.knowledge) if self.knowledge is not None else None

    def close(self) -> None:
        """Forget the running episode."""
        self.conversation, self.knowledge, self._over = None, None, True
