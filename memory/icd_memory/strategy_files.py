"""Strategies as files that people read and edit: Markdown for pull requests, JSONL for programs. Pure functions.

What is written reads back as it was. In Markdown a line of a text that begins like a heading has a backslash before it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from itertools import pairwise
from typing import Annotated, Literal, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from icd_memory.errors import StrategyFileError
from icd_memory.strategy import Strategy, StrategyOrigin, StrategyStatus, StrategyText

Format = Literal["markdown", "jsonl"]

NEW = "new"
"""What stands in place of the id of a strategy that a person adds."""
_HEAD = """# Strategies

Edit the texts and import the file: an edit comes back as a new version, which waits for approval. A new strategy has the
heading "## new". Leave id and version of the others as they are; what is missing here stays in the library.
"""
_PLAIN = re.compile(r"[\w][\w .:/+@()-]*(?<! )", re.ASCII)


def _said(text: str) -> str:
    if not text.strip():
        raise ValueError("it is empty")
    return text


Name = Annotated[str, Field(min_length=0)]
"""A text that is valid Unicode, as the store's columns need it: only with a bound does pydantic look."""
Said = Annotated[str, Field(min_length=1), AfterValidator(_said)]


class OriginEntry(BaseModel):
    """Where a version comes from."""

    model_config = ConfigDict(extra="forbid")
    model: str = ""
    run: str = ""
    episodes: tuple[str, ...] = ()
    decisions: tuple[str, ...] = ()
    created_at: datetime | None = None


class StrategyEntry(BaseModel):
    """A strategy as it stands in a file."""

    model_config = ConfigDict(extra="forbid")
    id: Name = ""
    """Empty: a person added it."""
    version: int = Field(default=1, ge=1)
    environment: Name
    status: StrategyStatus = "proposed"
    category: Name = ""
    scenario: Said
    guidance: Said
    origin: OriginEntry = OriginEntry()

    @property
    def text(self) -> StrategyText:
        """What it says."""
        return StrategyText(self.scenario, self.guidance, self.category)

    @property
    def provenance(self) -> StrategyOrigin:
        """Where it comes from."""
        return StrategyOrigin(**{name: getattr(self.origin, name) for name in OriginEntry.model_fields})


def entry_of(strategy: Strategy) -> StrategyEntry:
    """Return a strategy as it is written."""
    origin = strategy.origin
    return StrategyEntry(
        id=strategy.id, version=strategy.version, environment=strategy.environment, status=strategy.status,
        category=strategy.category, scenario=strategy.scenario, guidance=strategy.guidance,
        origin=OriginEntry(**{name: getattr(origin, name) for name in OriginEntry.model_fields}),
    )  # fmt: skip


def write_entries(entries: Iterable[StrategyEntry], format: Format) -> str:
    """Return a file's contents."""
    if format == "jsonl":
        return "".join(
            f"{json.dumps(entry.model_dump(mode='json'), ensure_ascii=False)}\n" for entry in entries
        )
    return "\n".join([_HEAD, *map(_section, entries)])


def read_entries(text: str, format: Format) -> Sequence[StrategyEntry]:
    """Read a file's contents.

    Raises:
        StrategyFileError: it is not understood; the message names the line or the strategy.
    """
    return [*(_read_lines(text) if format == "jsonl" else _read_sections(text))]


def _section(entry: StrategyEntry) -> str:
    facts = {"environment": entry.environment, "category": entry.category, "version": str(entry.version)}
    facts["status"] = entry.status
    lines = [f"## {_shown(entry.id) or NEW}", ""]
    lines += [f"- {name}: {_shown(value)}".rstrip() for name, value in facts.items()]
    origin = entry.origin.model_dump(mode="json", exclude_defaults=True)
    if origin:
        lines.append(f"- origin: {json.dumps(origin, ensure_ascii=False)}")
    lines += [
        "",
        "### When",
        "",
        _guarded(entry.scenario),
        "",
        "### Advice",
        "",
        _guarded(entry.guidance),
        "",
    ]
    return "\n".join(lines)


def _read_lines(text: str) -> Iterator[StrategyEntry]:
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            try:
                yield StrategyEntry.model_validate_json(line)
            except ValidationError as error:
                raise StrategyFileError(f"line {number}: {_first(error)}") from error


def _read_sections(text: str) -> Iterator[StrategyEntry]:
    lines = text.replace("\r\n", "\n").split("\n")
    starts = [number for number, line in enumerate(lines) if line.startswith("## ")]
    for start, end in pairwise([*starts, len(lines)]):
        yield _read_section(lines[start:end], start + 1)


def _read_section(lines: Sequence[str], at: int) -> StrategyEntry:
    name = _plain(lines[0][3:].strip(), at)
    places = {line.strip(): number for number, line in enumerate(lines) if line.startswith("### ")}
    if set(places) != {"### When", "### Advice"} or places["### When"] > places["### Advice"]:
        raise StrategyFileError(f"line {at}: strategy {name[:100]} needs ### When and then ### Advice")
    when, advice = places["### When"], places["### Advice"]
    fields: dict[str, object] = {"id": "" if name == NEW else name}
    for number, line in enumerate(lines[1:when], at + 1):
        if not line.strip():
            continue
        key, colon, value = line.removeprefix("- ").partition(":")
        if not line.startswith("- ") or not colon or key in fields:
            raise StrategyFileError(f"line {number}: {line[:100]!r} is no `- name: value`")
        fields[key] = _json(value, number) if key == "origin" else _plain(value.strip(), number)
    fields["scenario"] = _unguarded(lines[when + 1 : advice])
    fields["guidance"] = _unguarded(lines[advice + 1 :])
    try:
        return StrategyEntry.model_validate(fields)
    except ValidationError as error:
        raise StrategyFileError(f"line {at}: strategy {name[:100]}: {_first(error)}") from error


def _guarded(text: str) -> str:
    return re.sub(r"^(\\*#)", r"\\\1", text, flags=re.MULTILINE)


def _unguarded(lines: Sequence[str]) -> str:
    return "\n".join(re.sub(r"^\\(\\*#)", r"\1", line) for line in lines).strip()


def _shown(value: str) -> str:
    """Return a value for one line: as it is where that reads back, else as a JSON string."""
    if not value or (_PLAIN.fullmatch(value) and value != NEW):
        return value
    return json.dumps(value)


def _plain(value: str, line: int) -> str:
    return str(_json(value, line)) if value.startswith('"') else value


def _json(value: str, line: int) -> object:
    try:
        return json.loads(value)
    except (ValueError, RecursionError) as error:
        raise StrategyFileError(f"line {line}: {value.strip()[:100]!r} is no JSON: {error}") from error


def _first(error: ValidationError) -> str:
    found = error.errors()[0]
    return f"{'.'.join(map(str, found['loc']))[:200] or 'entry'}: {found['msg'][:200]}"


def format_of(name: str) -> Format:
    """Return the format of a file by its name.

    Raises:
        StrategyFileError: it is neither Markdown nor JSONL.
    """
    formats: dict[str, Format] = {"md": "markdown", "markdown": "markdown", "jsonl": "jsonl"}
    found = formats.get(name.rpartition(".")[2].lower())
    if found is None:
        raise StrategyFileError(f"{name!r} is neither .md nor .jsonl ({', '.join(get_args(Format))})")
    return found
