"""The engine on the published games: equal to recordings, and solved by their walkthroughs."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from icd_envs.alfworld import AlfworldSuite
from icd_envs.check import check, read_transcripts
from icd_envs.game_library import GameLibrary, GamePack
from icd_envs.household.engine import NOTHING_HAPPENS, Engine, Turn
from icd_envs.household.game import Game
from icd_envs.sampling import varied

pytestmark = pytest.mark.alfworld

OLDER_COMMANDS = "common_2.1.1_put-in-on.json"


@pytest.fixture(scope="session")
def older_pack(pack: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same games with the older domain and grammar."""
    folder = tmp_path_factory.mktemp("older")
    for split in ("valid_seen", "train"):
        (folder / f"{split}.jsonl.xz").symlink_to((pack / f"{split}.jsonl.xz").resolve())
    (folder / "common.json").write_bytes((pack / OLDER_COMMANDS).read_bytes())
    return folder


def solves(library: GameLibrary, game_id: str, older: bool = False) -> bool:
    game = Game.load(library.file(game_id))
    engine = Engine(game)
    won = [engine.reset().won]
    for command in game.walkthrough:
        turn = engine.step(put_in_on(command) if older else command)
        assert turn.observation != NOTHING_HAPPENS, (game_id, command)
        won.append(turn.won)
    return won[-1] and not any(won[:-1])


def put_in_on(command: str) -> str:
    """Say a command in the words of the older command set."""
    if not command.startswith("move "):
        return command
    thing, place = command.removeprefix("move ").split(" to ")
    return f"put {thing} in/on {place}"


def sample(library: GameLibrary, split: str, size: int) -> Sequence[str]:
    return varied(library.ids(split), lambda game_id: game_id.split("/")[1].split("-")[0], seed=1)[:size]


def random_walk(game: Game, seed: int, length: int = 40) -> list[Turn]:
    engine, rng = Engine(game), random.Random(seed)
    turns = [engine.reset()]
    for _ in range(length):
        turns.append(engine.step(rng.choice(turns[-1].admissible)))
    return turns


def test_every_recorded_step_is_equal(pack: Path, library: GameLibrary) -> None:
    report = check(read_transcripts(pack / "transcripts.jsonl.xz"), library)
    assert report.differences == 0, "\n".join(map(str, report.first))
    assert (report.episodes, report.steps) == (240, 5247)


@pytest.mark.parametrize("split", ["valid_seen", "train"])
def test_walkthroughs_of_a_sample_win(library: GameLibrary, split: str) -> None:
    assert [one for one in sample(library, split, 60) if not solves(library, one)] == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("split", "size"),
    [("valid_seen", 140), ("valid_train", 200), pytest.param("train", 3553, marks=pytest.mark.long)],
)
def test_every_walkthrough_wins(library: GameLibrary, split: str, size: int) -> None:
    ids = library.ids(split)
    assert len(ids) == size
    assert [one for one in ids if not solves(library, one)] == []


def test_the_older_command_set_plays_the_same_games(older_pack: Path) -> None:
    library = GameLibrary.at([older_pack])
    assert [one for one in sample(library, "valid_seen", 30) if not solves(library, one, older=True)] == []
    engine = Engine(Game.load(library.file(sample(library, "valid_seen", 1)[0])))
    start = engine.reset()
    assert "help" not in start.admissible
    arrival = engine.step(next(command for command in start.admissible if command.startswith("go to ")))
    assert arrival.observation.startswith("You arrive at loc ")


def test_what_is_offered_can_be_done_and_the_rest_changes_nothing(library: GameLibrary) -> None:
    rng = random.Random(5)
    for game_id in sample(library, "train", 8):
        game = Game.load(library.file(game_id))
        engine = Engine(game)
        turn = engine.reset()
        known = set(turn.admissible) | set(game.walkthrough)
        for _ in range(40):
            refused = rng.choice(sorted(known - set(turn.admissible)) or [""])
            assert engine.step(refused) == Turn(NOTHING_HAPPENS, turn.admissible, turn.won)
            turn = engine.step(rng.choice(turn.admissible))
            assert turn.observation != NOTHING_HAPPENS
            known |= set(turn.admissible)


def test_eight_threads_play_as_one_after_the_other(library: GameLibrary) -> None:
    files = [library.file(game_id) for game_id in sample(library, "train", 8)]
    alone = [random_walk(Game.load(file), seed) for seed, file in enumerate(files * 2)]
    shared = [Game.load(file) for file in files]
    with ThreadPoolExecutor(8) as threads:
        walks = threads.map(random_walk, shared * 2, range(16))
        loaded = threads.map(lambda one: random_walk(Game.load(one[1]), one[0]), enumerate(files * 2))
        assert list(walks) == alone
        assert list(loaded) == alone


def test_a_game_file_in_a_tree_is_the_same_game(pack: Path, tmp_path: Path) -> None:
    (game_id,) = sample(GameLibrary.at([pack]), "valid_seen", 1)
    file = GamePack(pack).file(game_id)
    place = tmp_path / "json_2.1.1" / game_id
    place.mkdir(parents=True)
    data = {
        "pddl_domain": file.pddl_domain,
        "grammar": file.grammar,
        "pddl_problem": file.pddl_problem,
        "solvable": True,
        "walkthrough": file.walkthrough,
    }
    (place / "game.tw-pddl").write_text(json.dumps(data))
    tree, packed = AlfworldSuite([tmp_path]), AlfworldSuite([pack])
    (task,) = tree.tasks("valid_seen")
    assert task == packed.task(game_id)
    assert task.goal
    assert tree.library.file(game_id) == file
    assert tree.environment().reset(task) == packed.environment().reset(task)


def test_the_suite_offers_all_kinds_of_tasks(pack: Path) -> None:
    tasks = AlfworldSuite([pack]).tasks("valid_seen", limit=12)
    assert len({task.category for task in tasks[:6]}) == 6
    assert len({task.id for task in tasks}) == 12
