"""Calibrating on generated households with a noisy student: play, choose, keep, and stand by it only where it holds."""

from __future__ import annotations

import asyncio
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from scenario import ScenarioModels, collection, settings

from icd.assembly import Models
from icd.benchmark.calibrate import Calibrating, Wanted, held_out_split
from icd.benchmark.compare import prepare_comparison
from icd.benchmark.experiment import Request, Workplace
from icd.benchmark.summary import summarise
from icd.calibration import episodes_needed
from icd.calibration_record import Calibration, keep_calibration, read_calibration
from icd.calibration_words import in_words
from icd.cascade import parse_policy
from icd.config import Settings
from icd.errors import ConfigurationError
from icd.prices import PriceTable
from icd_envs.table import suite

EPSILON, DELTA = 0.7, 0.3
"""So that eight episodes can say something."""
REQUEST = Request("household", 2, methods=(f"calibrated({EPSILON},{DELTA})",))
POLICIES = tuple(parse_policy(text) for text in ("unanimity(3)", "majority(3, 0.6)", "unanimity(1)"))

Known: TypeAlias = tuple[Path, Calibration, list[int]]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With demonstrations."""
    path = tmp_path_factory.mktemp("calibrate") / "icd.db"
    place = workplace(path)
    asyncio.run(collection(place, 6).play())
    place.close()
    return path


@pytest.fixture(scope="module")
def known(store: Path) -> Known:
    """A store with a calibration, what it says, and how many episodes were played for it, stage by stage."""
    path = store.with_name("known.db")
    shutil.copy(store, path)
    place = workplace(path)
    found, played = calibrate(place)
    place.close()
    return path, found, played


def cheap_models(settings: Settings, *, student: bool, teacher: bool) -> Models:
    """Make the models of the scenario, at a price at which the student's samples cost next to nothing."""
    made = ScenarioModels()(settings, student=student, teacher=teacher)
    price = PriceTable().price("gpt-4.1-nano")
    return replace(made, student=made.student and replace(made.student, price=price))


def workplace(store: Path, temperature: float = 0.3, **changes: Any) -> Workplace:
    student = {"kind": "openai", "model": "gpt-4.1-mini", "temperature": temperature}
    return Workplace(settings(store, student=student, **changes), "household", make_models=cheap_models)


def calibrate(place: Workplace, episodes: int = 8, **wanted: Any) -> tuple[Calibration, list[int]]:
    request = Request("household", episodes, command="icd calibrate household")
    calibrating = Calibrating(Wanted(EPSILON, DELTA, POLICIES, **wanted), request, place)
    played = []
    while (stage := calibrating.next_stage()) is not None:
        played.append(stage.to_play)
        asyncio.run(stage.experiment.play())
    found = calibrating.found()
    keep_calibration(place.store, found)
    return found, played


def test_what_is_chosen_is_kept_and_played_under_its_name(known: Known) -> None:
    store, found, played = known
    place = workplace(store)
    assert played[0] == 16
    assert found.split == "dev"
    assert [trial.episodes for trial in found.trials] == [8] * len(found.trials)
    assert found.policy != "teacher"
    accepted = [trial.policy for trial in found.trials if trial.p_value <= DELTA]
    assert found.policy in accepted
    assert read_calibration(place.store, "household", EPSILON, DELTA) == found

    name = f"calibrated({EPSILON},{DELTA})"
    experiment = prepare_comparison(
        Request("household", 2, methods=(name, "teacher"), command="icd bench household"), place
    )
    assert str(experiment.jobs[0].runtime.settings.policy) == found.policy
    asyncio.run(experiment.play())
    summary = summarise(place.store, experiment.run_id).of(name)
    assert summary is not None
    assert summary.episodes == 2
    place.close()


def test_a_second_time_plays_nothing_and_finds_the_same(known: Known) -> None:
    store, first, _ = known
    place = workplace(store)
    second, played = calibrate(place)
    assert set(played) == {0}
    assert second.model_dump(exclude={"made"}) == first.model_dump(exclude={"made"})
    place.close()


def test_a_price_is_told_before_playing(store: Path) -> None:
    place = workplace(store)
    calibrating = Calibrating(Wanted(EPSILON, DELTA, POLICIES), Request("household", 8), place)
    stage = calibrating.next_stage()
    assert stage is not None
    assert stage.to_play == 16
    assert stage.price is not None
    assert stage.price > 0
    place.close()


def test_without_a_calibration_the_policy_is_refused(store: Path) -> None:
    place = workplace(store)
    with pytest.raises(ConfigurationError, match=r"icd calibrate household --epsilon 0\.7 --delta 0\.3"):
        prepare_comparison(REQUEST, place)
    place.close()


def test_under_other_conditions_it_is_refused_too(known: Known) -> None:
    store = known[0].with_name("other.db")
    shutil.copy(known[0], store)
    place = workplace(store)
    prepare_comparison(REQUEST, place)
    with pytest.raises(ConfigurationError, match="holds for the run's settings only"):
        prepare_comparison(replace(REQUEST, methods=(f"{REQUEST.methods[0]}[k=1]",)), place)
    place.close()
    warmer = workplace(store, temperature=0.9)
    with pytest.raises(ConfigurationError, match=r"other conditions.*temperature"):
        prepare_comparison(REQUEST, warmer)
    asyncio.run(collection(warmer, 8).play())
    warmer.close()
    more = workplace(store)
    with pytest.raises(ConfigurationError, match=r"other conditions.*demonstrations.*memory"):
        prepare_comparison(REQUEST, more)
    more.close()


def test_too_little_is_refused_before_anything_is_played(store: Path) -> None:
    place = workplace(store)
    with pytest.raises(ConfigurationError, match="22 are needed, 12 more"):
        Calibrating(Wanted(0.1, 0.1, POLICIES), Request("household", 10), place)
    with pytest.raises(ConfigurationError, match="gave demonstrations"):
        Calibrating(Wanted(0.7, 0.3, POLICIES), Request("household", 10, "train"), place)
    place.close()
    assert episodes_needed(EPSILON, DELTA) <= 8


def test_steps_are_promised_from_one_run_with_full_records(store: Path) -> None:
    place = workplace(store)
    found, played = calibrate(place, promise="steps")
    assert played == [8]
    losses = [trial.mean_loss for trial in found.trials]
    assert losses[0] == min(losses)
    assert len(losses) == len(POLICIES)
    assert found.in_expectation is not None
    assert "steps" in "\n".join(in_words(found))
    place.close()


def test_a_promise_by_support_holds_in_each_group(known: Known) -> None:
    store, plain, _ = known
    place = workplace(store)
    apart, played = calibrate(place, by_support=-2.0)
    assert set(played) == {0}
    assert [trial.p_value for trial in apart.trials] == [trial.p_value for trial in plain.trials]
    halves, _ = calibrate(place, by_support=_middle_support(place, plain))
    assert halves.trials[0].p_value > plain.trials[0].p_value
    keep_calibration(place.store, plain)
    place.close()


def _middle_support(place: Workplace, found: Calibration) -> float:
    """Return a border with half of the episodes on each side."""
    rows = [row for row in place.store.episodes(found.run) if row.method == "cascade"]
    supports = sorted(
        next(decision.body["support"] for decision in place.store.decisions(row.id) if decision.step == 0)
        for row in rows
    )
    return float(supports[len(supports) // 2]) + 1e-9


def test_the_words_say_what_for_which_tasks_how_surely_and_from_how_much(known: Known) -> None:
    text = "\n".join(in_words(known[1]))
    assert f"calibrated({EPSILON}, {DELTA})" in text
    assert "split dev, of which 8 were played" in text
    assert "price of the guarantee" in text


def test_the_held_out_split_lies_between_train_and_test() -> None:
    assert held_out_split(suite("household")) == "dev"
    assert held_out_split(suite("workspace")) == "dev"
