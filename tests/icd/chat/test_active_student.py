"""The student that a running server uses: the active one, a candidate for its share of episodes, and the way back."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from icd.backends.base import Message
from icd.calls import PricedModel
from icd.cascade import parse_policy
from icd.chat.call import ChatCall
from icd.chat.runtime import ChatRuntime, ChatSettings
from icd.config import load_settings
from icd.errors import ConfigurationError
from icd.ledger import Budget
from icd.offline.active import Canary, Pointer, active_settings, in_canary, read_pointer, write_pointer
from icd.offline.gate import end_trial, history
from icd.offline.registry import Student, make_student, register_student
from icd.offline.seats import StudentSeats
from icd.prices import Price
from icd.testing import ScriptedBackend
from icd_memory.store import Store

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def model(name: str) -> PricedModel:
    return PricedModel(ScriptedBackend(lambda request: name, model=name), Price.free(), Budget())


class Served:
    """A store with two students, their seats, and a clock that goes when it is told to."""

    def __init__(self, folder: Path, active: str | None = None) -> None:
        self.store = Store.open(folder / "icd.db")
        self.first, self.second = (self._student(folder / name) for name in ("first", "second"))
        self.made: list[str] = []
        self.seconds = 0.0
        if active:
            write_pointer(self.store, Pointer(active=getattr(self, active).id))
        self.seats = StudentSeats(self.store, model("configured"), self.make, lambda: self.seconds)

    def _student(self, folder: Path) -> Student:
        folder.mkdir()
        (folder / "weights.gguf").write_text(folder.name)
        made = make_student(
            folder, base_model="tiny", licence="mit", weights="gguf", backend={"model": folder.name}, now=NOW
        )
        register_student(self.store, made)
        return made

    def make(self, id: str) -> PricedModel:
        self.made.append(id)
        return model({self.first.id: "first", self.second.id: "second"}[id])

    def point(self, pointer: Pointer) -> None:
        write_pointer(self.store, pointer)
        self.seconds += 10

    def try_out(self, student: Student, active: str | None = None) -> Canary:
        canary = Canary(student=student.id, share=0.3, since=NOW, margin=0.1, alpha=0.05, most=100)
        self.point(Pointer(active=active, canary=canary))
        return canary

    def plays(self, episode: str) -> str:
        return self.seats.of(episode).backend.model


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    served = Served(tmp_path)
    yield served
    served.store.close()


def test_a_promotion_and_a_rollback_take_effect_without_a_restart(served: Served) -> None:
    assert served.plays("e") == "configured"
    served.point(Pointer(active=served.first.id))
    assert served.plays("e") == "first"
    served.point(Pointer(active=served.second.id))
    assert served.plays("e") == "second"
    served.point(Pointer(active=served.first.id))
    assert served.plays("e") == "first"
    served.point(Pointer())
    assert served.plays("e") == "configured"
    assert served.made == [served.first.id, served.second.id], "each is made once"


def test_the_store_is_not_asked_at_every_call(served: Served) -> None:
    write_pointer(served.store, Pointer(active=served.first.id))
    assert served.plays("e") == "configured"
    served.seconds += 10
    assert served.plays("e") == "first"


def test_a_candidate_plays_its_share_of_the_episodes_and_no_other(served: Served) -> None:
    canary = served.try_out(served.second, active=served.first.id)
    for episode in (f"episode-{number}" for number in range(200)):
        tried = in_canary(canary.student, canary.share, episode)
        assert served.plays(episode) == ("second" if tried else "first")


def test_a_candidate_whose_files_were_changed_is_sent_back(served: Served) -> None:
    (Path(served.second.folder) / "weights.gguf").write_text("somebody else's")
    served.try_out(served.second)
    assert {served.plays(f"episode-{number}") for number in range(50)} == {"configured"}
    assert read_pointer(served.store).canary is None
    (event,) = history(served.store)
    assert (event.student, event.decision) == (served.second.id, "rolled back")
    assert "weights.gguf" in event.words[0]
    assert end_trial(served.store, served.second.id, "again", lambda: NOW) is None
    assert len(history(served.store)) == 1


def test_beside_an_active_student_that_cannot_be_used_the_one_before_goes_on(served: Served) -> None:
    served.point(Pointer(active=served.first.id))
    assert served.plays("e") == "first"
    (Path(served.second.folder) / "weights.gguf").unlink()
    served.point(Pointer(active=served.second.id))
    assert served.plays("e") == "first"


def test_a_server_does_not_start_on_a_damaged_student(tmp_path: Path) -> None:
    served = Served(tmp_path)
    (Path(served.first.folder) / "weights.gguf").write_text("changed")
    write_pointer(served.store, Pointer(active=served.first.id))
    with pytest.raises(ConfigurationError, match="is gone or was changed"):
        StudentSeats(served.store, model("configured"), served.make)
    served.store.close()


async def test_calls_are_answered_by_the_student_of_their_episode(served: Served) -> None:
    canary = served.try_out(served.second)
    runtime = ChatRuntime(
        student=model("configured"),
        settings=ChatSettings(parse_policy("student"), k=0),
        student_of=served.seats.of,
    )
    seen = set()
    for episode in (f"episode-{number}" for number in range(30)):
        answer = await runtime.answer(ChatCall((Message("user", "Hello"),), episode_id=episode))
        tried = in_canary(canary.student, canary.share, episode)
        assert answer.model == answer.completions[0].text == ("second" if tried else "configured")
        seen.add(answer.model)
    assert seen == {"configured", "second"}
    await runtime.close()
    await served.seats.close()


def test_runs_of_an_environment_take_the_active_student(served: Served) -> None:
    settings = load_settings(None, {"memory": {"store": served.store.place}})
    assert active_settings(settings) == settings
    write_pointer(served.store, Pointer(active=served.first.id))
    assert active_settings(settings).student.model == "first"
    nowhere = load_settings(None, {"memory": {"store": served.store.place + ".none"}})
    assert active_settings(nowhere) == nowhere
