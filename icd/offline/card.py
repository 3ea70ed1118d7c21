"""What a data set is made of, for people and programs: ``card.json`` and ``card.md`` in its folder."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from icd.config_errors import in_brief
from icd.errors import ConfigurationError
from icd.offline.mix import Balance, Evidence

__all__ = ["Card", "Counts", "FileFacts", "Mix", "SourceFacts", "markdown", "read_card"]

CARD = "card.json"


class _Facts(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class FileFacts(_Facts):
    """A file of the data set."""

    rows: int
    bytes: int
    sha256: str


class SourceFacts(_Facts):
    """A run, log or user that rows come from."""

    producers: tuple[str, ...]
    episodes: int
    rows: int
    """Of all files, each row once."""


class Counts(_Facts):
    """What a part holds, without repeated rows."""

    tasks: int
    """Groups of tasks that share an instance."""
    episodes: int
    examples: int
    pairs: int
    failed: int


class Mix(_Facts):
    """How the categories of the examples to train on were balanced."""

    by: Balance
    alpha: float
    evidence: dict[str, Evidence]
    shares: dict[str, float]
    """Wanted, by category; empty: as the rows are."""
    before: dict[str, int]
    """Different rows, by category."""
    after: dict[str, int]
    """Rows written, by category."""


class Card(_Facts):
    """A data set's facts."""

    id: str
    """A fingerprint of its files."""
    created_at: datetime
    version: str
    """Of icd-runtime."""
    tenant: str
    environments: tuple[str, ...]
    parts: dict[str, Counts]
    kinds: dict[str, int]
    """Different examples by whose answer they hold."""
    sources: dict[str, SourceFacts]
    episodes_left_out: dict[str, int]
    """By reason."""
    steps_left_out: dict[str, int]
    duplicates: int
    """Rows that were the same as another one: kept once, with all origins."""
    mix: Mix
    prompt: dict[str, Any]
    """The settings by which prompts were composed: the trained student has to be run with the same ones."""
    validation: float
    """Share of the tasks kept for validation."""
    restrictions: tuple[str, ...]
    """Why it must not be passed on; empty: it may be."""
    files: dict[str, FileFacts]


def read_card(folder: Path) -> Card:
    """Return the card of a data set. Raises `ConfigurationError` where there is none."""
    path = folder / CARD
    try:
        return Card.model_validate_json(path.read_bytes())
    except FileNotFoundError as error:
        raise ConfigurationError(
            f"{folder} is no data set: it has no {CARD}; `icd offline dataset` makes one"
        ) from error
    except ValidationError as error:
        raise ConfigurationError(f"{path} cannot be read: {in_brief(error)}") from error


def markdown(card: Card) -> str:
    """Return the card as a page."""
    return "\n".join(_lines(card)) + "\n"


def _lines(card: Card) -> Iterator[str]:
    yield f"# Data set {card.id}"
    yield ""
    yield (
        f"Made by icd-runtime {card.version} at {card.created_at:%Y-%m-%d %H:%M %Z} from the traces of tenant "
        f"{card.tenant} in {', '.join(card.environments)}. No task of a test split is in it; no task is in two parts."
    )
    for restriction in card.restrictions:
        yield ""
        yield f"**Not to be passed on**: {restriction}."
    yield ""
    yield "| part | tasks | episodes | examples | pairs | steps of failed episodes |"
    yield "|---|---|---|---|---|---|"
    for name, part in card.parts.items():
        yield f"| {name} | {part.tasks} | {part.episodes} | {part.examples} | {part.pairs} | {part.failed} |"
    yield ""
    yield f"Examples by whose answer they hold: {_counts(card.kinds)}. Duplicates joined: {card.duplicates}."
    yield ""
    yield "| category | different rows | rows written | wanted share | gap of success | teacher's steps |"
    yield "|---|---|---|---|---|---|"
    for name, before in card.mix.before.items():
        found, share = card.mix.evidence.get(name, Evidence()), card.mix.shares.get(name)
        yield (
            f"| {name} | {before} | {card.mix.after.get(name, 0)} | {_number(share)} | {_number(found.gap)} "
            f"| {_number(found.escalation)} |"
        )
    yield ""
    yield f"Balanced by: {card.mix.by}."
    yield ""
    yield "| source | by | episodes | rows |"
    yield "|---|---|---|---|"
    for name, source in card.sources.items():
        yield f"| {name} | {', '.join(source.producers)} | {source.episodes} | {source.rows} |"
    yield ""
    yield f"Episodes left out: {_counts(card.episodes_left_out)}. Steps left out: {_counts(card.steps_left_out)}."
    yield ""
    yield "Prompts: " + ", ".join(f"{name} = {value}" for name, value in card.prompt.items()) + "."
    yield ""
    yield "| file | rows | sha256 |"
    yield "|---|---|---|"
    for name, file in card.files.items():
        yield f"| {name} | {file.rows} | {file.sha256} |"


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{number} {name}" for name, number in counts.items()) or "none"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"
