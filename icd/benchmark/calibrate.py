"""Calibrating on an environment's held-out tasks: playing what is needed, choosing, keeping what was found.

Outcomes are never guessed: each candidate plays the same tasks as the teacher, the most careful one first; once one fails
its test, no further one is played. The promise of steps needs no playing of candidates, only one run with full records.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import NamedTuple

from icd.benchmark.compare import prepare_comparison
from icd.benchmark.conditions import fingerprint, method_defaults
from icd.benchmark.experiment import Experiment, Request, Workplace
from icd.benchmark.methods import find_method
from icd.benchmark.played import Result, results_by_method
from icd.calibration import (
    Choice,
    Tally,
    Trial,
    Unit,
    check_enough,
    check_promise,
    ordered,
    p_value_in_each,
)
from icd.calibration_record import Calibration, Promise, TrialRecord, promised_conditions
from icd.calibration_steps import at_most_in_expectation, disagreement, p_values
from icd.cascade import Policy
from icd.errors import ConfigurationError
from icd_envs.base import Suite, Task
from icd_memory.rows import DecisionRow, JsonObject


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be promised, and by whom it may be kept."""

    epsilon: float
    delta: float
    candidates: tuple[Policy, ...]
    promise: Promise = "episodes"
    by_support: float | None = None
    """Keep the promise of episodes apart for those whose first support is below this and for the others."""


class Stage(NamedTuple):
    """Something that has to be played next."""

    experiment: Experiment
    methods: tuple[str, ...]
    to_play: int
    """Episodes that are not played yet."""
    price: float | None
    """About what they cost, in dollars, from episodes that were played; None: nothing is known yet."""


def held_out_split(suite: Suite) -> str:
    """Return the split between the first, for demonstrations, and the last, for final tests.

    Raises:
        ConfigurationError: the environment has none.
    """
    if len(suite.splits) < 3:
        raise ConfigurationError(
            f"{suite.name} has no split between {' and '.join(suite.splits)}: name one with --split"
        )
    return suite.splits[1]


class Calibrating:
    """A calibration under way. Its runs are resumable: begun again, it goes on where it was."""

    def __init__(self, wanted: Wanted, request: Request, place: Workplace) -> None:
        """Check what can be checked before anything is paid.

        Raises:
            ConfigurationError: the promise makes no sense, the split is for demonstrations, or there are too few tasks.
        """
        check_promise(wanted.epsilon, wanted.delta)
        self.wanted = replace(wanted, candidates=ordered(wanted.candidates))
        split = request.split or held_out_split(place.suite)
        self.place = place
        self.tasks: Sequence[Task] = place.suite.tasks(split, request.episodes, place.settings.run.seed)
        self._refuse_shown()
        self._request = replace(request, split=split)
        self._run_id = ""
        self._conditions: JsonObject = {}
        self._trials: list[Trial] = []
        if wanted.promise == "episodes":
            check_enough(len(self.tasks), wanted.epsilon, wanted.delta)

    def _refuse_shown(self) -> None:
        store = self.place.store
        sources = fingerprint(store, self.place.environment)[2]
        shown = {row.task_id for source in sources for row in store.episodes(source)}
        count = sum(task.id in shown for task in self.tasks)
        if count:
            raise ConfigurationError(
                f"{count} of these tasks gave demonstrations, which the student would be shown: calibrate on others "
                "(--split)"
            )

    @property
    def split(self) -> str:
        """Where the held-out tasks come from."""
        return self._request.split

    def next_stage(self) -> Stage | None:
        """Return what has to be played next; None: nothing, `found` says what came of it.

        Raises:
            ConfigurationError: the previous stage is not finished, since a machine failed at some of its episodes.
        """
        if self.wanted.promise == "steps":
            recorder = f"{max(self.wanted.candidates, key=lambda policy: policy.n)}[record=full]".replace(
                " ", ""
            )
            return None if self._run_id else self._stage((recorder,))
        if self._run_id:
            self._trials.append(self._test(self.wanted.candidates[len(self._trials)]))
        failed = any(trial.p_value > self.wanted.delta for trial in self._trials)
        if failed or len(self._trials) == len(self.wanted.candidates):
            return None
        return self._stage(("teacher", str(self.wanted.candidates[len(self._trials)]).replace(" ", "")))

    def _stage(self, methods: tuple[str, ...]) -> Stage:
        experiment = prepare_comparison(replace(self._request, methods=methods), self.place)
        self._run_id, self._conditions = experiment.run_id, experiment.config["conditions"]
        store = self.place.store
        done = {row.id for row in store.episodes(self._run_id) if row.status == "done"}
        to_play = sum(job.id not in done for job in experiment.jobs)
        return Stage(experiment, methods, to_play, self._price(to_play))

    def _price(self, to_play: int) -> float | None:
        """Return about what episodes cost: as much as those of the dearest method so far, or as the demonstrations."""
        store, means = self.place.store, []
        for run in (self._run_id, *self._conditions["sources"]):
            results = results_by_method(store.episodes(run), store.ledger(run), self._conditions)
            means += [sum(r.cost for r in group) / len(group) for group in results.values() if group]
        return to_play * max(means) if means else None

    def _test(self, policy: Policy) -> Trial:
        teacher, mine = self._results("teacher"), self._results(self._name(policy))
        groups = self._groups(teacher, mine, self._name(policy))
        for units in groups:
            check_enough(len(units), self.wanted.epsilon, self.wanted.delta)
        return Trial(
            policy,
            Tally.of([unit for units in groups for unit in units]),
            p_value_in_each(groups, self.wanted.epsilon),
            _mean_cost(list(mine.values())),
        )

    def _groups(self, teacher: dict[str, Result], mine: dict[str, Result], name: str) -> list[Sequence[Unit]]:
        # The variants of one scenario are not independent of each other.
        groups: dict[bool, dict[str, list[tuple[bool, bool]]]] = {}
        for task in self.tasks:
            below = self.wanted.by_support is not None and self._support(name, task) < self.wanted.by_support
            unit = groups.setdefault(below, {}).setdefault(mine[task.id].scenario or task.id, [])
            unit.append((teacher[task.id].won, mine[task.id].won))
        return [list(units.values()) for units in groups.values()]

    def _support(self, name: str, task: Task) -> float:
        first = next(row for row in self._rows(name, task) if row.step == 0)
        support: float | None = first.body["support"]
        return -1.0 if support is None else support

    def _rows(self, name: str, task: Task) -> list[DecisionRow]:
        seed = self.place.settings.run.seed
        return self.place.store.decisions(f"{self._run_id}/{name}/{task.id}/{seed}")

    def _results(self, name: str) -> dict[str, Result]:
        """Return a method's episodes by task: of the held-out tasks, and all of them."""
        store = self.place.store
        found = results_by_method(store.episodes(self._run_id), store.ledger(self._run_id), self._conditions)
        by_task = {result.task_id: result for result in found.get(name, [])}
        missing = [task.id for task in self.tasks if task.id not in by_task]
        if missing:
            raise ConfigurationError(
                f"{len(missing)} episodes of {name} are not played to their end, and leaving them out could flatter the "
                "result: the same command plays them again"
            )
        return by_task

    def _name(self, policy: Policy) -> str:
        return find_method(str(policy), method_defaults(self._conditions)).name

    def found(self) -> Calibration:
        """Choose among what was played."""
        wanted = self.wanted
        if wanted.promise == "steps":
            return self._found_of_steps()
        choice = Choice(
            wanted.epsilon,
            wanted.delta,
            tuple(self._trials),
            _mean_cost(list(self._results("teacher").values())),
        )
        trials = tuple(
            TrialRecord(
                policy=str(trial.policy), p_value=trial.p_value, episodes=trial.tally.episodes,
                losses=trial.tally.losses, gains=trial.tally.gains, mean_loss=trial.tally.shortfall, cost=trial.cost,
            )
            for trial in choice.tested
        )  # fmt: skip
        return self._calibration(
            str(choice.chosen.policy) if choice.chosen else "teacher",
            trials,
            teacher_cost=choice.teacher_cost,
        )

    def _found_of_steps(self) -> Calibration:
        wanted = self.wanted
        recorder = max(wanted.candidates, key=lambda policy: policy.n)
        name = find_method(f"{recorder}[record=full]", method_defaults(self._conditions)).name
        self._results(name)
        receipts = [self._rows(name, task) for task in self.tasks]
        losses = [[disagreement(rows, policy) for rows in receipts] for policy in wanted.candidates]
        values = p_values(losses, wanted.epsilon)
        accepted = next((i for i, p in enumerate(values) if p > wanted.delta), len(values))
        expected = at_most_in_expectation(losses, wanted.epsilon)
        trials = tuple(
            TrialRecord(
                policy=str(policy), p_value=p, episodes=len(loss), mean_loss=sum(loss) / len(loss), cost=None
            )
            for policy, p, loss in zip(wanted.candidates, values, losses, strict=True)
        )
        names = [str(policy) for policy in wanted.candidates]
        return self._calibration(
            names[accepted - 1] if accepted else "teacher",
            trials,
            in_expectation=names[expected - 1] if expected else "teacher",
        )

    def _calibration(
        self,
        policy: str,
        trials: tuple[TrialRecord, ...],
        teacher_cost: float | None = None,
        in_expectation: str | None = None,
    ) -> Calibration:
        wanted = self.wanted
        return Calibration(
            promise=wanted.promise, epsilon=wanted.epsilon, delta=wanted.delta, policy=policy, trials=trials,
            episodes=len(self.tasks), split=self.split, run=self._run_id, teacher_cost=teacher_cost,
            by_support=wanted.by_support, in_expectation=in_expectation,
            conditions=promised_conditions(self._conditions), made=datetime.now(UTC).isoformat(timespec="seconds"),
        )  # fmt: skip


def _mean_cost(results: Sequence[Result]) -> float:
    return sum(result.cost for result in results) / len(results)
