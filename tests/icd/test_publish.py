"""What is published of a run says nothing of the machine's folders."""

import importlib.util
from pathlib import Path

import pytest

_FILE = Path(__file__).parents[2] / "benchmarks/publish.py"
_SPEC = importlib.util.spec_from_file_location("publish", _FILE)
assert _SPEC is not None
assert _SPEC.loader is not None
publish = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(publish)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("icd run --games /home/me/games/pack -n 4", "icd run --games pack -n 4"),
        ('{"games": ["/home/me/games"]}', '{"games": ["games"]}'),
        ("valid_seen/task-1/trial_2", "valid_seen/task-1/trial_2"),
        ("http://127.0.0.1:8000/v1/chat", "http://127.0.0.1:8000/v1/chat"),
        ("<td>6/7</td></tr>", "<td>6/7</td></tr>"),
        ("M 3.5/2.0/1 </path>", "M 3.5/2.0/1 </path>"),
    ],
)
def test_only_absolute_paths_are_cut(text: str, shown: str) -> None:
    assert publish.without_folders(text) == shown
