"""The table before and after fine-tuning: what `benchmarks/dial.py` makes of published episodes."""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def script() -> Iterator[ModuleType]:
    spec = importlib.util.spec_from_file_location("dial", ROOT / "benchmarks/dial.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["dial"] = module  # Where dataclasses look up their annotations.
    spec.loader.exec_module(module)
    yield module
    del sys.modules["dial"]


def publish(folder: Path, **won: list[bool]) -> Path:
    """Write the episodes of methods: won in two steps, or lost in five of which the first is the teacher's."""
    folder.mkdir()
    lines = [episode(method, task, ended) for method, all_ in won.items() for task, ended in enumerate(all_)]
    (folder / "episodes.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder


def episode(method: str, task: int, won: bool) -> dict[str, Any]:
    actors = ["student"] * 2 if won else ["teacher", *["student"] * 4]
    steps = [{"acted_by": actor} for actor in actors]
    return {
        "method": method, "task": f"task-{task}", "seed": 0, "won": won, "cost": 0.001 * len(steps), "steps": steps
    }  # fmt: skip


def test_the_same_tasks_before_and_after(script: ModuleType, tmp_path: Path) -> None:
    before = publish(tmp_path / "before", student=[False] * 10, cascade=[True] * 10, teacher=[True] * 10)
    after = publish(tmp_path / "after", student=[True] * 8 + [False] * 2, teacher=[True] * 10)
    places = script.dial(script.read(before, tuned=False), script.read(after, tuned=True))
    assert [place.name for place in places] == ["zero-shot", "cascade", "fine-tuned, zero-shot", "teacher"]
    lines = list(script.table(places))
    assert lines[2].startswith("| zero-shot | 10 | 0.00 [0.00, 0.28] | 5.0 [5.0, 5.0] | 20% |")
    assert lines[4].startswith("| fine-tuned, zero-shot | 10 | 0.80 [0.49, 0.94] | 2.6 ")
    assert lines[-1].startswith("| zero-shot | +0.80 [")
    assert "| 0.008 |" in lines[-1], "8 of 8 discordant tasks: 2 / 2^8"
    pytest.importorskip("matplotlib")
    assert "fine-tuned" in script.plot(places)


def test_runs_of_other_tasks_are_refused(script: ModuleType, tmp_path: Path) -> None:
    before = publish(tmp_path / "before", student=[False] * 3)
    after = publish(tmp_path / "after", student=[True] * 2)
    with pytest.raises(ValueError, match="same tasks"):
        script.dial(script.read(before, tuned=False), script.read(after, tuned=True))
