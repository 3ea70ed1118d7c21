from __future__ import annotations

import json
import lzma
from collections.abc import Callable
from pathlib import Path

import pytest
from small_world import DOMAIN, GRAMMAR, PROBLEM, WALKTHROUGH, small_file

from icd_envs.alfworld import AlfworldSuite
from icd_envs.errors import GameFileError, TaskNotFoundError
from icd_envs.game_library import GameLibrary, GamePack, GameTree
from icd_envs.sampling import varied

SENTENCE = "light every lamp, and bring a box to the kitchen."


def game_id(split: str, number: int, kind: str = "light_and_bring") -> str:
    return f"{split}/{kind}-Box-None-Kitchen-{number}/trial_{number:03d}"


def write_pack(folder: Path, ids: list[str]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    common = {"pddl_domain": DOMAIN, "grammar": GRAMMAR.replace(SENTENCE, "@GOAL@")}
    (folder / "common.json").write_text(json.dumps(common))
    for split in {one.split("/")[0] for one in ids}:
        with lzma.open(folder / f"{split}.jsonl.xz", "wt") as file:
            for one in ids:
                if one.startswith(split + "/"):
                    row = {
                        "id": one,
                        "goal": SENTENCE,
                        "walkthrough": list(WALKTHROUGH),
                        "pddl_problem": PROBLEM,
                    }
                    file.write(json.dumps(row) + "\n")
    return folder


def write_tree(folder: Path, ids: list[str], solvable: bool = True) -> Path:
    for one in ids:
        place = folder / "json_2.1.1" / one
        place.mkdir(parents=True)
        game = {
            "pddl_domain": DOMAIN,
            "grammar": GRAMMAR,
            "pddl_problem": PROBLEM,
            "solvable": solvable,
            "walkthrough": list(WALKTHROUGH),
        }
        (place / "game.tw-pddl").write_text(json.dumps(game))
    return folder


IDS = [game_id("train", 2), game_id("train", 1), game_id("valid_seen", 3)]


@pytest.mark.parametrize("write", [write_pack, write_tree])
def test_a_pack_and_a_tree_hold_the_same_games(
    tmp_path: Path, write: Callable[[Path, list[str]], Path]
) -> None:
    library = GameLibrary.at([write(tmp_path / "games", IDS)])
    assert library.splits() == ("train", "valid_seen")
    assert library.ids("train") == sorted(IDS[:2])
    game = library.game(IDS[2])
    assert (game.goal, game.split, game.category, game.trial) == (
        SENTENCE,
        "valid_seen",
        "light_and_bring",
        "trial_003",
    )
    assert library.file(IDS[0]) == small_file()


def test_a_tree_may_be_named_by_its_inner_folder(tmp_path: Path) -> None:
    write_tree(tmp_path, IDS)
    assert GameTree(tmp_path / "json_2.1.1").ids("train") == sorted(IDS[:2])


def test_a_tree_leaves_out_what_the_published_loader_leaves_out(tmp_path: Path) -> None:
    write_tree(
        tmp_path, [IDS[0], game_id("train", 5, "pick-AppleSliced"), game_id("train", 6, "movable_thing")]
    )
    write_tree(tmp_path, [game_id("train", 7)], solvable=False)
    assert GameTree(tmp_path).ids("train") == [IDS[0]]


def test_games_are_looked_for_in_every_place_in_turn(tmp_path: Path) -> None:
    first, second = write_pack(tmp_path / "a", IDS[:1]), write_tree(tmp_path / "b", IDS)
    library = GameLibrary.at([first, second])
    assert library.file(IDS[2]) == small_file()
    assert len(library.ids("train")) == 2
    with pytest.raises(TaskNotFoundError, match=r"no game 'train/x/y'.*alfworld-download"):
        library.file("train/x/y")


@pytest.mark.parametrize("name", ["../secret", "a/../../b", "/etc/passwd", "one", "a/b/c/d", "../../../x"])
def test_an_id_never_leads_out_of_a_tree(tmp_path: Path, name: str) -> None:
    write_tree(tmp_path, IDS)
    with pytest.raises(TaskNotFoundError):
        GameTree(tmp_path).file(name)


def test_nothing_configured_says_what_to_do() -> None:
    with pytest.raises(GameFileError, match=r"alfworld-download.*ICD_ALFWORLD_PACK.*--games"):
        GameLibrary.from_environment({})


def test_one_of_the_two_variables_is_enough(tmp_path: Path) -> None:
    pack = write_pack(tmp_path / "pack", IDS)
    environment = {"ICD_ALFWORLD_PACK": str(pack), "ALFWORLD_DATA": str(tmp_path / "nowhere")}
    assert GameLibrary.from_environment(environment).ids("valid_seen") == [IDS[2]]
    with pytest.raises(GameFileError, match="ALFWORLD_DATA: no folder"):
        GameLibrary.from_environment({"ALFWORLD_DATA": str(tmp_path / "nowhere")})


def test_a_folder_that_is_neither_says_so(tmp_path: Path) -> None:
    with pytest.raises(GameFileError, match="neither a game pack"):
        GameLibrary.at([tmp_path])


def test_a_damaged_pack_says_which_file(tmp_path: Path) -> None:
    pack = write_pack(tmp_path, IDS)
    (pack / "train.jsonl.xz").write_bytes(b"not xz")
    with pytest.raises(GameFileError, match=r"train\.jsonl\.xz"):
        GamePack(pack).ids("train")
    (pack / "common.json").write_text("{}")
    with pytest.raises(GameFileError, match=r"common\.json"):
        GamePack(pack)


def test_the_suite_offers_tasks_by_split(tmp_path: Path) -> None:
    suite = AlfworldSuite([write_pack(tmp_path, IDS)])
    (task,) = suite.tasks("valid_seen")
    assert (task.id, task.environment, task.instance, task.category) == (
        IDS[2],
        "alfworld",
        "trial_003",
        "light_and_bring",
    )
    assert suite.task(IDS[2]) == task
    assert "train" not in suite.test_splits
    with pytest.raises(TaskNotFoundError, match="valid_unseen"):
        suite.tasks("valid_unseen")
    with pytest.raises(TaskNotFoundError, match="there are train"):
        suite.tasks("test")


def test_the_suite_plays_its_tasks_with_a_step_cap(tmp_path: Path) -> None:
    suite = AlfworldSuite([write_pack(tmp_path, IDS)])
    (task,) = suite.tasks("valid_seen")
    world = suite.environment(max_steps=len(WALKTHROUGH))
    results = [world.reset(task), *(world.step(command) for command in WALKTHROUGH)]
    assert [result.done for result in results] == [False] * len(WALKTHROUGH) + [True]
    assert results[-1].won
    world = suite.environment(max_steps=1)
    world.reset(task)
    capped = world.step("look")
    assert (capped.done, capped.won) == (True, False)


def test_an_order_is_varied_and_set_by_its_seed() -> None:
    items = [f"{kind}{number}" for kind in "abc" for number in range(4)]
    order = varied(items, lambda item: item[0], seed=3)
    assert sorted(order) == sorted(items)
    assert {item[0] for item in order[:3]} == {item[0] for item in order[3:6]} == set("abc")
    assert varied(list(items), lambda item: item[0], seed=3) == order
    assert varied(items, lambda item: item[0], seed=4) != order


def test_uneven_categories_keep_every_item() -> None:
    assert sorted(varied("aaab", lambda item: item, seed=0)) == list("aaab")
    assert varied("", lambda item: item, seed=0) == []
