"""Making a data set from a store: rows of verified episodes, each once, parted by task, balanced, with a card.

A folder holds ``examples``, ``pairs`` and ``failed`` for ``train`` and ``validation``, the card, and the formats that
were asked for. The same store and wishes make the same rows, in the same order.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from icd.benchmark.about import version_of
from icd.benchmark.report import write_whole
from icd.chance import uniform
from icd.errors import ConfigurationError
from icd.exchange import restriction_of
from icd.offline.card import CARD, Card, Counts, FileFacts, Mix, SourceFacts, markdown
from icd.offline.composing import Composer
from icd.offline.conversations import Conversations
from icd.offline.examples import EXAMPLES, FAILED, PAIRS, Example, Pair, Part, RowT, file_of, lines_of
from icd.offline.formats import Format, write_format
from icd.offline.mix import ALPHA, Balance, balanced, evidence_of, measure, shares
from icd.offline.steps import examples, pairs
from icd.offline.traces import Selection, Trace, traces
from icd_memory.store import Store

__all__ = ["DataSet", "Wishes", "make_dataset", "part_of", "write_dataset"]

PARTS: tuple[Part, ...] = ("train", "validation")


@dataclass(frozen=True)
class Wishes:
    """What a data set is to be like."""

    selection: Selection = field(default_factory=Selection)
    balance: Balance = "auto"
    validation: float = 0.1
    """Share of the tasks kept for validation."""
    formats: tuple[Format, ...] = ()
    """Besides its own."""
    chat_tokens: int = 4096
    """Kept free for an answer of a chat call, as the server does."""
    excerpts: tuple[int, ...] = ()
    """Numbers of excerpts: each step once with each; empty: as the settings say."""


@dataclass
class DataSet:
    """Rows by part, each once; balancing comes when they are written."""

    examples: dict[Part, list[Example]]
    pairs: dict[Part, list[Pair]]
    failed: dict[Part, list[Example]]
    traces: list[Trace]
    episodes_left_out: Counter[str]
    steps_left_out: Counter[str]
    duplicates: int = 0

    @property
    def rows(self) -> list[Example | Pair]:
        """All rows."""
        found: list[Example | Pair] = []
        for part in PARTS:
            found += [*self.examples[part], *self.pairs[part], *self.failed[part]]
        return found


def part_of(group: str, validation: float) -> Part:
    """Return the part of a group of tasks: the same in every data set, so that none is ever in both."""
    return "validation" if uniform(group) < validation else "train"


def make_dataset(store: Store, wishes: Wishes, *composers: Composer) -> DataSet:
    """Read a store's episodes and make their rows, those of a step once by each composer.

    Raises:
        ConfigurationError: nothing may be learned from, or the prompts cannot be composed from traces.
    """
    episodes_out, steps_out = Counter[str](), Counter[str]()
    found = list(traces(store, wishes.selection, episodes_out))
    won: list[Example] = []
    lost: list[Example] = []
    judged: list[Pair] = []
    for composer in composers:
        conversations = Conversations(store, composer, wishes.chat_tokens)
        for trace in found:
            chat = trace.chat
            made = conversations.examples(trace, steps_out) if chat else examples(trace, composer, steps_out)
            (won if trace.won else lost).extend(made)
            judged += conversations.pairs(trace, steps_out) if chat else pairs(trace, composer, steps_out)
    if not won:
        why = ", ".join(f"{number} {reason}" for reason, number in episodes_out.items()) or "there are none"
        raise ConfigurationError(
            f"{store.place} has no verified success to learn from (episodes left out: {why}): `icd collect` makes some"
        )
    share = wishes.validation
    dataset = DataSet(
        _parted(_once(won), share), _parted(_once(judged), share), _parted(_once(lost), share),
        found, episodes_out, steps_out,
    )  # fmt: skip
    dataset.duplicates = len(won) + len(lost) + len(judged) - len(dataset.rows)
    return dataset


def write_dataset(
    dataset: DataSet, folder: Path, wishes: Wishes, composers: Sequence[Composer], now: datetime
) -> Card:
    """Write a data set's folder and return its card.

    Raises:
        ConfigurationError: the folder holds something else.
        MissingExtraError: a format's extra is not installed.
        OSError: it cannot be written.
    """
    if folder.exists() and any(folder.iterdir()) and not (folder / CARD).is_file():
        raise ConfigurationError(f"{folder} holds something that is no data set: name another folder")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / CARD).unlink(missing_ok=True)
    train, mix = _balanced(dataset, wishes.balance)
    written: dict[str, FileFacts] = {}
    for part in PARTS:
        learned = train if part == "train" else dataset.examples[part]
        for name, rows in ((EXAMPLES, learned), (PAIRS, dataset.pairs[part]), (FAILED, dataset.failed[part])):
            path = file_of(folder, name, part)
            write_whole(lines_of(rows), path)
            others = (write_format(rows, kind, path) for kind in wishes.formats if rows)
            for file in (path, *(other for other in others if other is not None)):
                written[file.name] = _facts(file, len(rows))
    card = _card(dataset, wishes, composers, mix, written, now)
    write_whole(markdown(card), folder / "card.md")
    write_whole(card.model_dump_json(indent=2) + "\n", folder / CARD)
    return card


def _once(rows: Iterable[RowT]) -> list[RowT]:
    """Return each row once, with the origins of all that are the same; of a task kept for validation if one is."""
    kept: dict[str, RowT] = {}
    for row in rows:
        known = kept.get(row.id)
        kept[row.id] = row if known is None else _joined(known, row)
    return list(kept.values())


def _joined(known: RowT, row: RowT) -> RowT:
    origins = tuple(dict.fromkeys((*known.origins, *row.origins)))
    groups = tuple(sorted({*known.groups, *row.groups}))
    return known.model_copy(update={"origins": origins, "groups": groups})


def _parted(rows: Sequence[RowT], validation: float) -> dict[Part, list[RowT]]:
    parts: dict[Part, list[RowT]] = {"train": [], "validation": []}
    for row in rows:
        held = any(part_of(group, validation) == "validation" for group in row.groups)
        parts["validation" if held else "train"].append(row)
    return parts


def _balanced(dataset: DataSet, wanted: Balance) -> tuple[list[Example], Mix]:
    rows = dataset.examples["train"]
    evidence = evidence_of(dataset.traces)
    by = measure(evidence, wanted)
    before = Counter(row.category for row in rows)
    by_share: Mapping[str, float] = {}
    if by in ("gap", "escalation") and before:
        by_share = shares(sorted(before), evidence, "gap" if by == "gap" else "escalation")
        rows = balanced(rows, by_share)
    after = Counter(row.category for row in rows)
    return rows, Mix(
        by=by,
        alpha=ALPHA,
        evidence=evidence,
        shares=dict(by_share),
        before=dict(sorted(before.items())),
        after=dict(sorted(after.items())),
    )


def _facts(path: Path, rows: int) -> FileFacts:
    content = path.read_bytes()
    return FileFacts(rows=rows, bytes=len(content), sha256=hashlib.sha256(content).hexdigest())


def _card(
    dataset: DataSet,
    wishes: Wishes,
    composers: Sequence[Composer],
    mix: Mix,
    written: Mapping[str, FileFacts],
    now: datetime,
) -> Card:
    names = "\n".join(f"{name} {facts.sha256}" for name, facts in sorted(written.items()))
    used = {origin.trajectory for row in dataset.rows for origin in row.origins}
    learned = [trace.trajectory for trace in dataset.traces if trace.trajectory.id in used]
    return Card(
        id=hashlib.sha256(names.encode()).hexdigest()[:16],
        created_at=now,
        version=version_of("icd-runtime"),
        tenant=wishes.selection.tenant,
        environments=tuple(sorted({trajectory.environment for trajectory in learned})),
        parts={part: _counted(dataset, part) for part in PARTS},
        kinds=dict(sorted(Counter(row.kind for part in PARTS for row in dataset.examples[part]).items())),
        sources=_sources(dataset.rows),
        episodes_left_out=dict(sorted(dataset.episodes_left_out.items())),
        steps_left_out=dict(sorted(dataset.steps_left_out.items())),
        duplicates=dataset.duplicates,
        mix=mix,
        prompt=_prompt_facts(composers),
        validation=wishes.validation,
        restrictions=tuple(sorted({restriction_of(one) for one in learned} - {""})),
        files=dict(written),
    )


def _counted(dataset: DataSet, part: Part) -> Counts:
    rows = [*dataset.examples[part], *dataset.pairs[part], *dataset.failed[part]]
    return Counts(
        tasks=len({group for row in rows for group in row.groups}),
        episodes=len({origin.episode for row in rows for origin in row.origins}),
        examples=len(dataset.examples[part]),
        pairs=len(dataset.pairs[part]),
        failed=len(dataset.failed[part]),
    )


def _sources(rows: Sequence[Example | Pair]) -> dict[str, SourceFacts]:
    producers: dict[str, set[str]] = defaultdict(set)
    episodes: dict[str, set[str]] = defaultdict(set)
    counts: Counter[str] = Counter()
    for row in rows:
        counts.update({origin.source for origin in row.origins})
        for origin in row.origins:
            producers[origin.source].add(origin.producer)
            episodes[origin.source].add(origin.episode)
    return {
        source: SourceFacts(
            producers=tuple(sorted(producers[source])), episodes=len(episodes[source]), rows=counts[source]
        )
        for source in sorted(counts)
    }


def _prompt_facts(composers: Sequence[Composer]) -> dict[str, Any]:
    settings = composers[0].settings
    shown = asdict(replace(settings.student_prompt))
    ks = tuple(composer.settings.k if composer.retriever is not None else 0 for composer in composers)
    return {
        "k": ks[0] if len(ks) == 1 else ks,
        **shown,
        "context_tokens": composers[0].window.backend.capabilities.context_tokens,
        "max_tokens": settings.max_tokens,
        "max_code_tokens": settings.max_code_tokens,
    }
