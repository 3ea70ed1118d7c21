"""One round of the offline path: data set, training, evaluation, promote or keep. For a timer.

A round is named by its data set and the training's settings. The same round is never done twice: one that was cut off
goes on where it was, and of one that has ended it is said again what became of its student. Only one runs at a time.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict

from icd.benchmark.compare import prepare_comparison
from icd.benchmark.conditions import digest
from icd.benchmark.experiment import Request, Workplace
from icd.benchmark.locks import file_lock
from icd.benchmark.report import write_whole
from icd.config import BackendSettings, Settings
from icd.errors import ConfigurationError
from icd.offline.active import read_pointer, student_settings
from icd.offline.dataset import Wishes
from icd.offline.gate import Event, Played, Rules, history, offer, played_units, watch_canary
from icd.offline.making import make_folder
from icd.offline.registry import Student, Weights, find_student, make_student, register_student, trained_tasks
from icd_memory.store import Store

__all__ = ["Plan", "Summary", "TrainStep", "Trained", "cycle"]

SUMMARY = "summary.json"


class Trained(NamedTuple):
    """What a training left behind."""

    folder: Path
    """Of the weights as they are served."""
    weights: Weights
    base_model: str
    backend: dict[str, Any]
    """What it changes of the settings' ``[student]``."""
    config: dict[str, Any]
    metrics: dict[str, Any]


class TrainStep(NamedTuple):
    """How a student is trained."""

    settings: dict[str, Any]
    """All that the result depends on besides the data: a part of the round's name."""
    train: Callable[[Path, Path], Trained]
    """From a data set's folder into a folder; goes on where it was cut off."""


@dataclass(frozen=True)
class Plan:
    """What a round is to do."""

    environment: str
    folder: Path
    training: TrainStep
    licence: str
    wishes: Wishes = field(default_factory=Wishes)
    rules: Rules = field(default_factory=Rules)
    method: str = "cascade"
    """By which both students play the held-out tasks."""
    episodes: int = 200
    split: str = ""
    """Of the held-out tasks; empty: the environment's first test split."""
    workers: int = 1
    budget: float | None = None
    """US dollars that the held-out episodes may cost in all."""
    command: str = ""


class Summary(BaseModel):
    """What a round came to: ``summary.json`` in the cycle's folder."""

    model_config = ConfigDict(extra="forbid")

    round: str = ""
    started: datetime
    ended: datetime | None = None
    decision: Literal["running", "waiting", "kept", "canary", "promoted", "rolled back", "failed"] = "running"
    """`waiting`: an earlier candidate is still on trial."""
    words: list[str] = []
    dataset: str = ""
    student: str = ""
    runs: list[str] = []
    spent: float = 0.0
    """US dollars of the held-out episodes that this round played."""

    @property
    def for_cause(self) -> bool:
        """Whether the old student was kept, or came back, since the new one was not good enough."""
        return self.decision in ("kept", "rolled back", "failed")


def cycle(
    settings: Settings,
    plan: Plan,
    now: Callable[[], datetime],
    make_place: Callable[[Settings, str], Workplace] = Workplace,
    say: Callable[[str], None] = lambda text: None,
) -> Summary:
    """Do a round, or what is left of it, and return what it came to.

    Raises:
        ConfigurationError: another round is running, or a setting is wrong; the summary says `failed` then too.
    """
    plan.folder.mkdir(parents=True, exist_ok=True)
    with _alone(plan.folder):
        summary = Summary(started=now())
        try:
            with Store.open(settings.memory.store) as store:
                _Round(settings, plan, store, summary, now, make_place, say).go()
        except BaseException as error:
            summary.decision, summary.words = "failed", [str(error) or type(error).__name__]
            raise
        finally:
            summary.ended = now()
            write_whole(summary.model_dump_json(indent=2) + "\n", plan.folder / SUMMARY)
    return summary


class _Round:
    def __init__(
        self,
        settings: Settings,
        plan: Plan,
        store: Store,
        summary: Summary,
        now: Callable[[], datetime],
        make_place: Callable[[Settings, str], Workplace],
        say: Callable[[str], None],
    ) -> None:
        self.settings, self.plan, self.store, self.summary = settings, plan, store, summary
        self.now, self.make_place, self.say = now, make_place, say

    def go(self) -> None:
        if self._on_trial():
            return
        data = self._dataset()
        self.summary.round = digest({"data": self.summary.dataset, "training": self.plan.training.settings})
        folder = self.plan.folder / "rounds" / self.summary.round
        if (folder / SUMMARY).is_file():
            self._said_before(folder)
            return
        active = read_pointer(self.store).active
        student = self._student(data, folder, active)
        self._decide(student, active)
        write_whole(self.summary.model_dump_json(indent=2) + "\n", folder / SUMMARY)

    def _on_trial(self) -> bool:
        """Look at a candidate that is on trial; True if the round ends with it."""
        watched = watch_canary(self.store, self.now)
        if watched is None:
            return False
        found, event = watched
        if event is None:
            self.summary.decision = "waiting"
            self.summary.words = [f"on trial: {found.canary} live episodes by the candidate so far"]
            return True
        self._tell(event)
        return event.decision == "rolled back"

    def _dataset(self) -> Path:
        """Make the data set; the same rows are kept once, under their id."""
        fresh = self.plan.folder / "dataset.new"
        shutil.rmtree(fresh, ignore_errors=True)
        card = make_folder(self.settings, fresh, self.plan.wishes, self.now(), kept=self._place_of)
        self.summary.dataset = card.id
        folder = self._place_of(card.id)
        if folder.exists():
            shutil.rmtree(fresh)
        else:
            folder.parent.mkdir(exist_ok=True)
            fresh.rename(folder)
        self.say(f"data set {card.id}: {card.parts['train'].examples} examples to train on")
        return folder

    def _place_of(self, id: str) -> Path:
        return self.plan.folder / "datasets" / id

    def _student(self, data: Path, folder: Path, active: str | None) -> Student:
        trained = self.plan.training.train(data, folder)
        student = make_student(
            trained.folder, base_model=trained.base_model, licence=self.plan.licence, weights=trained.weights,
            backend=trained.backend, now=self.now(), dataset=self.summary.dataset, config=trained.config,
            metrics=trained.metrics,
        )  # fmt: skip
        register_student(self.store, student)
        self.summary.student = student.id
        self.say(f"trained {student.id}, beside {active or 'the student of the settings'}")
        return student

    def _decide(self, student: Student, active: str | None) -> None:
        mine, others = (
            self._play(student_settings(self.store, self.settings.student, id)) for id in (student.id, active)
        )
        units = played_units(
            self.store, mine, others, student, find_student(self.store, active) if active else None,
            trained_tasks(self.store, student),
        )  # fmt: skip
        event, _ = offer(self.store, student, units, self.plan.rules, self.now)
        self._tell(event)

    def _play(self, seat: BackendSettings) -> Played:
        """Play the held-out tasks with a student.

        Raises:
            BudgetError: they cost more than what is left.
            ConfigurationError: not all of them could be played.
        """
        plan = self.plan
        left = None if plan.budget is None else max(plan.budget - self.summary.spent, 0.0)
        run = self.settings.run.model_copy(update={"budget": left})
        place = self.make_place(
            self.settings.model_copy(update={"student": seat, "run": run}), plan.environment
        )
        try:
            request = Request(
                plan.environment, plan.episodes, plan.split or place.suite.test_splits[0], methods=(plan.method,),
                workers=plan.workers, retries=2, command=plan.command,
            )  # fmt: skip
            experiment = prepare_comparison(request, place)
            before = self._spent(experiment.run_id)
            (method,) = experiment.totals
            self.summary.runs.append(experiment.run_id)
            self.say(f"playing {experiment.run_id} with {seat.effective_model}")
            tally = asyncio.run(experiment.play())
        finally:
            place.close()
        self.summary.spent += self._spent(experiment.run_id) - before
        if tally.failed or tally.not_played:
            raise ConfigurationError(
                f"{len(tally.failed) + tally.not_played} episodes of {experiment.run_id} could not be played: repeat the "
                "command"
            )
        return Played(experiment.run_id, method)

    def _spent(self, run_id: str) -> float:
        return sum(row.cost for row in self.store.ledger(run_id) if not row.counterfactual)

    def _said_before(self, folder: Path) -> None:
        """Say what became of the student of a round that was done before: a trial may have ended since."""
        before = Summary.model_validate_json((folder / SUMMARY).read_text("utf-8"))
        self._tell([event for event in history(self.store) if event.student == before.student][-1])
        self.summary.runs = before.runs
        self.summary.words.insert(0, f"nothing new since {before.started:%Y-%m-%d %H:%M}")

    def _tell(self, event: Event) -> None:
        self.summary.student, self.summary.decision = event.student, event.decision
        self.summary.words = list(event.words)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Keep a second round out; the lock dies with its holder."""
    with file_lock(folder / "cycle.lock") as mine:
        if not mine:
            raise ConfigurationError(f"another cycle is running in {folder}: wait for its end")
        yield
