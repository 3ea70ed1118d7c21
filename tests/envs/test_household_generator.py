from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections import Counter
from dataclasses import asdict

import pytest

from icd_envs.errors import TaskNotFoundError
from icd_envs.household.engine import Engine
from icd_envs.household.game import Game, GameFile
from icd_envs.household.generator import CATEGORIES, Household, household
from icd_envs.household.goal import parse_goal
from icd_envs.household.rooms import LAYOUTS, layout, split_of
from icd_envs.household.suite import HouseholdSuite
from icd_envs.table import suite

SPLITS = ("train", "dev", "test")
_DIGESTS = """
import hashlib, sys
from icd_envs.household.generator import household
for split in ("train", "dev", "test"):
    for index in range(30):
        home = household(split, index)
        print(home.key, hashlib.sha256(repr(home.game_file()).encode()).hexdigest())
"""


def in_another_process(hash_seed: str) -> str:
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", _DIGESTS],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return done.stdout


def solve(home: Household) -> tuple[bool, bool]:
    """Play the walkthrough; returns whether the goal held at the start, and whether it holds at the end."""
    engine = Engine(Game.load(home.game_file()))
    turn = engine.reset()
    at_start = turn.won
    for command in home.walkthrough():
        assert command in turn.admissible, f"{home.split}/{home.index}: {command}"
        turn = engine.step(command)
    return at_start, turn.won


def test_same_households_in_every_process() -> None:
    first = in_another_process("0")
    assert len(set(first.splitlines())) == 90
    assert in_another_process("12345") == first


def test_distinct() -> None:
    keys = {household(split, index).key for split in SPLITS for index in range(1000)}
    assert len(keys) == 3000


@pytest.mark.parametrize("split", SPLITS)
def test_walkthroughs_win(split: str) -> None:
    for index in range(24):
        assert solve(household(split, index)) == (False, True), f"{split}/{index}"


@pytest.mark.slow
def test_walkthroughs_win_in_500() -> None:
    for index in range(500):
        home = household(SPLITS[index % 3], 10_000 + index)
        assert solve(home) == (False, True), f"{home.split}/{home.index}"


@pytest.mark.slow
def test_ten_thousand_distinct_games_a_minute() -> None:
    start = time.process_time()
    texts = {household("train", index).game_file().pddl_problem.split("\n", 1)[1] for index in range(10_000)}
    assert time.process_time() - start < 60
    assert len(texts) == 10_000


def test_sentences_say_the_goal() -> None:
    homes = [household(split, index) for split in SPLITS for index in range(1000)]
    assert [home.sentence for home in homes if parse_goal(home.sentence) != home.goal] == []


def test_splits_share_no_layout() -> None:
    layouts = {split: [layout(split, index) for index in range(LAYOUTS[split])] for split in SPLITS}
    places = {split: {found.places for found in layouts[split]} for split in SPLITS}
    assert not places["train"] & places["dev"]
    assert not places["train"] & places["test"]
    assert not places["dev"] & places["test"]
    for split, found in layouts.items():
        assert {split_of(one) for one in found} == {split}
        assert all(8 <= len(one.places) <= 20 for one in found)
        assert len(places[split]) >= LAYOUTS[split] // 2, "enough different layouts"


def test_tasks_take_turns_over_categories() -> None:
    tasks = HouseholdSuite().tasks("dev", limit=60, seed=3)
    assert Counter(task.category for task in tasks) == dict.fromkeys(CATEGORIES, 10)
    assert len({task.id for task in tasks}) == 60
    assert tasks == HouseholdSuite().tasks("dev", limit=60, seed=3)
    assert tasks != HouseholdSuite().tasks("dev", limit=60, seed=4)
    assert all(task.split == "dev" and task.environment == "household" for task in tasks)


def test_every_task_once_without_a_limit() -> None:
    tasks = HouseholdSuite().tasks("test")
    assert len({task.id for task in tasks}) == len(tasks) >= 600


def test_a_task_is_found_again_by_its_id() -> None:
    households = HouseholdSuite()
    for task in households.tasks("train", limit=6):
        assert households.task(task.id) == task


@pytest.mark.parametrize(
    "task_id", ["household/dev", "household/nowhere/000001", "alfworld/dev/1", "household/dev/-1"]
)
def test_unknown_ids(task_id: str) -> None:
    with pytest.raises(TaskNotFoundError):
        HouseholdSuite().task(task_id)


def test_unknown_split_and_environment() -> None:
    with pytest.raises(TaskNotFoundError, match="train"):
        HouseholdSuite().tasks("valid_seen")
    with pytest.raises(TaskNotFoundError, match="household"):
        suite("houshold")


def test_table_knows_the_household() -> None:
    assert suite("household").splits == ("train", "dev", "test")


def test_a_household_is_a_game_file() -> None:
    file = household("dev", 7).game_file()
    assert GameFile.from_json(json.dumps(asdict(file))) == file
