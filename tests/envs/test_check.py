from __future__ import annotations

import json
import lzma
from pathlib import Path
from typing import Any

import pytest
from small_world import WALKTHROUGH, small_game
from test_game_library import IDS, write_pack

from icd_envs.check import check, read_transcripts
from icd_envs.errors import GameFileError, TaskNotFoundError
from icd_envs.game_library import GameLibrary
from icd_envs.household.engine import Engine, Turn


def recorded(turn: Turn) -> dict[str, Any]:
    return {"feedback": turn.observation, "admissible": list(turn.admissible), "won": turn.won}


def recording(commands: tuple[str, ...] = (*WALKTHROUGH, "look", "nonsense")) -> dict[str, Any]:
    engine = Engine(small_game())
    reset = recorded(engine.reset())
    steps = [{"command": command, **recorded(engine.step(command))} for command in commands]
    return {"game": IDS[0], "kind": "plan", "reset": reset, "steps": steps}


def write(path: Path, *transcripts: dict[str, Any]) -> Path:
    text = "".join(json.dumps(one) + "\n" for one in transcripts)
    path.write_bytes(lzma.compress(text.encode()) if path.suffix == ".xz" else text.encode())
    return path


@pytest.fixture
def small_library(tmp_path: Path) -> GameLibrary:
    return GameLibrary.at([write_pack(tmp_path / "pack", IDS)])


@pytest.mark.parametrize("name", ["t.jsonl", "t.jsonl.xz"])
def test_an_equal_engine_has_no_differences(tmp_path: Path, small_library: GameLibrary, name: str) -> None:
    report = check(read_transcripts(write(tmp_path / name, recording(), recording(()))), small_library)
    assert str(report) == f"2 episodes, {len(WALKTHROUGH) + 2} steps, 0 differences"


def test_each_field_of_each_step_counts_and_the_first_are_kept(
    tmp_path: Path, small_library: GameLibrary
) -> None:
    one = recording()
    one["reset"]["won"] = True
    one["steps"][0]["feedback"] = "Something else."
    one["steps"][0]["admissible"].append("fly")
    one["steps"][1]["admissible"].reverse()
    report = check(read_transcripts(write(tmp_path / "t.jsonl", one)), small_library, keep=2)
    assert report.differences == 3
    assert [(one.step, one.field) for one in report.first] == [(0, "won"), (1, "observation")]
    assert "Something else." in str(report.first[1])
    assert "step 1 ('switch lamp 2')" in str(report.first[1])


def test_a_missing_game_is_an_error(tmp_path: Path, small_library: GameLibrary) -> None:
    path = write(tmp_path / "t.jsonl", recording() | {"game": "train/none/trial"})
    with pytest.raises(TaskNotFoundError, match="train/none/trial"):
        check(read_transcripts(path), small_library)


@pytest.mark.parametrize(
    "line", ["{}", "nonsense", '{"game": "g", "reset": {}, "steps": []}', "[]", '{"a":' * 100_000]
)
def test_a_line_that_is_no_transcript_says_where(tmp_path: Path, line: str) -> None:
    path = tmp_path / "t.jsonl"
    path.write_text(json.dumps(recording()) + "\n" + line + "\n")
    with pytest.raises(GameFileError, match=r"t\.jsonl:2: not a transcript"):
        list(read_transcripts(path))


def test_a_damaged_file_says_which(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl.xz"
    path.write_bytes(b"not xz")
    for missing in (path, tmp_path / "nowhere.jsonl"):
        with pytest.raises(GameFileError, match=missing.name):
            list(read_transcripts(missing))
