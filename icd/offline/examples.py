"""The rows of a data set: what the student is shown at a step, and what it should have answered. Values and their files.

A row's messages are those of the runtime, turn by turn; the last one is the student's own, and the only one to learn
from: its ``weight`` is 1, that of every other assistant turn 0 (the marking of OpenAI's fine-tuning files). `cue` is how
the runtime makes the answer begin, and is a part of that turn.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from icd.config_errors import in_brief
from icd.errors import ConfigurationError
from icd_memory.schema import dump_json

__all__ = [
    "EXAMPLES",
    "FAILED",
    "PAIRS",
    "Example",
    "Kind",
    "Origin",
    "Pair",
    "Part",
    "PlainText",
    "file_of",
    "rows_of",
]

Kind = Literal["demonstration", "escalated", "student", "plan"]
"""Whose answer a row holds: the teacher's in an episode that it played alone; the teacher's at a step of a student's
episode; the student's own; the plan of an episode that the teacher played alone."""
Part = Literal["train", "validation"]
Turn = dict[str, Any]
"""A turn of a conversation, as OpenAI's protocol writes it."""

EXAMPLES, PAIRS, FAILED = "examples", "pairs", "failed"
"""The files of a data set: steps of episodes that succeeded, preference pairs, steps of episodes that failed."""


class _Row(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Origin(_Row):
    """Where a row comes from."""

    trajectory: str
    episode: str
    step: int
    """Within the trajectory; -1: the plan."""
    decision: str = ""
    """The receipt's id; empty where the store has none, such as of imported trajectories."""
    source: str
    producer: str


class Asking(_Row):
    """What the student is asked, and where that comes from."""

    id: str
    """A fingerprint of the prompt and of the answers."""
    tools: tuple[dict[str, Any], ...] = ()
    """OpenAI's tools; empty: none."""
    cue: str = ""
    """How the answer begins; empty: as the model likes."""
    environment: str
    category: str
    task: str
    groups: tuple[str, ...]
    """What the parts of a data set never share: the instances of its tasks."""
    origins: tuple[Origin, ...]
    """Several where different episodes came to the same row."""
    excerpts: tuple[str, ...] = ()
    """Ids of the demonstrations shown in the prompt, best first."""


class Example(Asking):
    """A step with its answer."""

    kind: Kind
    won: bool
    """The episode succeeded."""
    messages: tuple[Turn, ...]
    reasoning: str = ""
    """Of the answer, as it stands in it; empty: none."""
    action: str
    """Of the answer: the command, the block of code, the tool calls as JSON, the text, or the plan."""

    @property
    def prompt(self) -> tuple[Turn, ...]:
        """All turns but the answer."""
        return self.messages[:-1]

    @property
    def answer(self) -> Turn:
        """The student's own turn."""
        return self.messages[-1]


class Pair(Asking):
    """A step at which one answer is to be preferred to another; named as TRL's preference trainers read it."""

    kind: Literal["escalated", "shadow"]
    """The teacher took the step in an episode that succeeded; or it was asked beside the student in one that failed."""
    prompt: tuple[Turn, ...]
    chosen: tuple[Turn]
    rejected: tuple[Turn]


class PlainText(NamedTuple):
    """A row for a student that is prompted in the style ``plain``: a transcript without turns."""

    prompt: str
    """Ends with the cue."""
    completion: str


def plain_text(prompt: Sequence[Turn], answer: Turn, cue: str) -> PlainText:
    """Return a row as the backends put it to a model of style ``plain`` (`icd.backends.local`).

    Raises:
        ValueError: the row has tools or parts that are no text: only a chat template can write those.
    """
    texts = [turn.get("content") for turn in (*prompt, answer)]
    if answer.get("tool_calls") or not all(isinstance(text, str) for text in texts):
        raise ValueError("a row with tool calls, or with content that is no text, has no plain form")
    *asked, written = (str(text) for text in texts)
    before = "\n\n".join(asked)
    if not cue:
        return PlainText(f"{before}\n", f"{written}\n")
    return PlainText(f"{before}\n{cue}", f"{written.removeprefix(cue)}\n")


def row_id(*parts: object) -> str:
    """Return the fingerprint of a row's contents."""
    text = json.dumps(parts, sort_keys=True, ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def file_of(folder: Path, rows: str, part: Part) -> Path:
    """Return where a data set keeps its rows of a kind (`EXAMPLES`, `PAIRS`, `FAILED`)."""
    return folder / f"{rows}.{part}.jsonl"


RowT = TypeVar("RowT", bound=Asking)


def rows_of(kind: type[RowT], path: Path) -> Iterator[RowT]:
    """Yield the rows of a file; none if there is no such file. Raises `ConfigurationError` at a line that is none."""
    if not path.is_file():
        return
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            try:
                yield kind.model_validate_json(line)
            except ValidationError as error:
                raise ConfigurationError(
                    f"{path}, line {number} is no row of a data set: {in_brief(error)}"
                ) from error


def lines_of(rows: Iterable[Example | Pair]) -> str:
    """Return rows as the text of a file."""
    return "".join(dump_json(row.model_dump(mode="json")) + "\n" for row in rows)
