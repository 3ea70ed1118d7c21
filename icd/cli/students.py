"""`icd offline list`, `register`, `promote`, `watch`, `rollback`, `recall`: versions of the student and who is used."""

from __future__ import annotations

from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from icd.cli import options
from icd.cli.failures import CHECK_FAILED
from icd.cli.output import plain, results, say, write_json

if TYPE_CHECKING:
    from collections.abc import Iterator

    from icd.offline.gate import Event, Played
    from icd_memory.store import Store

Identity = Annotated[str, typer.Argument(metavar="STUDENT", help="A student's id.")]


def list_(
    store: options.StorePlace = None, config: options.Config = None, json: options.Json = False
) -> None:
    """Students with their origin, who is active or on trial, and what was decided."""
    from icd.offline.active import read_pointer
    from icd.offline.gate import history
    from icd.offline.registry import datasets, students

    with _opened(config, store) as opened:
        pointer, found, decided, data = (
            read_pointer(opened), students(opened), history(opened), datasets(opened),
        )  # fmt: skip
    if json:
        brief = [
            {"id": one.id, "folder": one.folder, "rows": sum(f.rows for f in one.card.files.values())}
            for one in data
        ]
        write_json(
            {
                "pointer": pointer.model_dump(mode="json"),
                "students": [one.model_dump(mode="json") for one in found],
                "datasets": brief,
                "decisions": plain(decided),
            }
        )
        return
    tried = pointer.canary.student if pointer.canary else None
    results.print(f"active: {pointer.active or 'the student of the settings'}", markup=False)
    for one in found:
        mark = "active" if one.id == pointer.active else "on trial" if one.id == tried else ""
        origin = f"from {one.parent or one.base_model}, data set {one.dataset or 'none'}, {one.licence}"
        results.print(f"{one.id}  {one.created_at:%Y-%m-%d %H:%M}  {origin}  {mark}", markup=False)
    for event in decided:
        results.print(
            f"{event.at:%Y-%m-%d %H:%M}  {event.student} {event.decision}: {'; '.join(event.words)}",
            markup=False,
        )
    for set_ in data:
        results.print(f"data set {set_.id}: {set_.folder}", markup=False)


def register(
    folder: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="The student's files, whatever trained it.")
    ],
    base_model: Annotated[str, typer.Option(help="What it was trained from.")],
    licence: Annotated[str, typer.Option(help="Of the base model.")],
    weights: Annotated[
        str, typer.Option(help="adapter, merged, gguf, or endpoint (served elsewhere).")
    ] = "merged",
    dataset: Annotated[
        Path | None, typer.Option(help="Folder of the data set that it was trained on.")
    ] = None,
    parent: Annotated[str | None, typer.Option(help="The student that it was trained from.")] = None,
    student: options.Student = None,
    student_model: options.StudentModel = None,
    store: options.StorePlace = None,
    config: options.Config = None,
    json: options.Json = False,
) -> None:
    """Enter a student: its files with their sha256, its base model and licence, its data set, and how it is run."""
    from icd.cli.settings import model_arguments
    from icd.offline.card import read_card
    from icd.offline.registry import make_student, register_student

    if weights not in ("adapter", "merged", "gguf", "endpoint"):
        raise typer.BadParameter(
            f"{weights!r}: there are adapter, merged, gguf, endpoint", param_hint="--weights"
        )
    made = make_student(
        folder, base_model=base_model, licence=licence, weights=weights,  # type: ignore[arg-type]
        backend=model_arguments(student, student_model) or {}, now=datetime.now(UTC),
        dataset=read_card(dataset).id if dataset else None, parent=parent,
    )  # fmt: skip
    with _opened(config, store) as opened:
        new = register_student(opened, made)
    if json:
        write_json({"new": new, **made.model_dump(mode="json")})
    else:
        results.print(f"{made.id} {'registered' if new else 'is registered already'}", markup=False)


def promote(
    student: Identity,
    candidate: Annotated[str, typer.Option(help="Held-out episodes of the candidate: RUN, or RUN:METHOD.")],
    current: Annotated[str, typer.Option(help="The same of the current student.")],
    margin: options.Margin = 0.05,
    alpha: Annotated[
        float, typer.Option(min=0.0001, max=0.5, help="Chance of a false promotion, at most.")
    ] = 0.05,
    share: Annotated[
        float, typer.Option(min=0, max=0.5, help="Of live episodes that try it; 0: no trial.")
    ] = 0.1,
    canary_margin: Annotated[
        float, typer.Option(min=0.001, max=0.5, help="By which success on live episodes may fall, at most.")
    ] = 0.1,
    most: Annotated[
        int, typer.Option(min=1, help="Live episodes of the candidate until it is decided.")
    ] = 2000,
    store: options.StorePlace = None,
    config: options.Config = None,
    json: options.Json = False,
) -> int:
    """Put a candidate in the current student's place, if it passes: first on trial, on a share of live episodes.

    It has to be shown, on held-out tasks that both have played at the same policy, that success does not fall by the
    margin and that cost per success falls. `icd offline watch` ends the trial. Exit code 1: the current student was kept.
    """
    from icd.offline.active import read_pointer
    from icd.offline.canary import CanaryRules
    from icd.offline.gate import Rules, offer, played_units
    from icd.offline.promotion import GateRules
    from icd.offline.registry import find_student, trained_tasks

    rules = Rules(GateRules(margin, alpha), CanaryRules(canary_margin, alpha, most), share)
    with _opened(config, store) as opened:
        found = find_student(opened, student)
        active = read_pointer(opened).active
        units = played_units(
            opened, _played(opened, candidate), _played(opened, current), found,
            find_student(opened, active) if active else None, trained_tasks(opened, found),
        )  # fmt: skip
        event, _ = offer(opened, found, units, rules, _now)
    _tell(event, json)
    return CHECK_FAILED if event.decision == "kept" else 0


def watch(store: options.StorePlace = None, config: options.Config = None, json: options.Json = False) -> int:
    """Look at the candidate on trial: promote it or send it back if its live episodes decide that.

    For a timer. Exit code 1: it was sent back.
    """
    from icd.offline.gate import watch_canary

    with _opened(config, store) as opened:
        found = watch_canary(opened, _now)
    if found is None:
        if json:
            write_json({"decision": None})
        say("no candidate is on trial")
        return 0
    seen, event = found
    if event is not None:
        _tell(event, json)
        return CHECK_FAILED if event.decision == "rolled back" else 0
    if json:
        write_json(plain(seen))
    else:
        results.print(
            f"not decided yet: {seen.canary_won} of {seen.canary} live episodes won by the candidate, "
            f"{seen.current_won} of {seen.current} by the current student",
            markup=False,
        )
    return 0


def rollback(
    reason: Annotated[str, typer.Option(help="Why; it is recorded.")] = "by hand",
    store: options.StorePlace = None,
    config: options.Config = None,
    json: options.Json = False,
) -> None:
    """End the trial of a candidate; without one, go back to the student before the active one."""
    from icd.offline.gate import roll_back

    with _opened(config, store) as opened:
        event = roll_back(opened, reason, _now)
    _tell(event, json)


def recall(
    source: Annotated[
        str | None, typer.Option(help="A run, log or user whose episodes were taken back.")
    ] = None,
    id: Annotated[str | None, typer.Option("--id", help="A trajectory's id.")] = None,
    store: options.StorePlace = None,
    config: options.Config = None,
    json: options.Json = False,
) -> int:
    """List the data sets and students that contain a source or a trajectory. Exit code 1: there are some."""
    from icd.offline.registry import recall as find

    if (source is None) == (id is None):
        raise typer.BadParameter("give either --source or --id")
    with _opened(config, store) as opened:
        found = find(opened, source=source, trajectories=[id] if id else [])
    if json:
        write_json(
            {"datasets": [one.id for one in found.datasets], "students": [one.id for one in found.students]}
        )
    else:
        for data in found.datasets:
            results.print(f"data set {data.id}: {data.folder}", markup=False)
        for one in found.students:
            results.print(f"{one.id}: {one.folder}", markup=False)
        say(f"{len(found.datasets)} data sets, {len(found.students)} students")
    return CHECK_FAILED if found.datasets else 0


@contextmanager
def _opened(config: Path | None, store: str | None) -> Iterator[Store]:
    from icd.cli.settings import open_store

    with open_store(config, store) as opened:
        yield opened


def _now() -> datetime:
    return datetime.now(UTC)


def _played(store: Store, text: str) -> Played:
    """Read RUN or RUN:METHOD; a run with one method needs no name of it."""
    from icd.errors import ConfigurationError
    from icd.offline.gate import Played

    run, _, method = text.partition(":")
    methods = sorted({row.method for row in store.episodes(run)})
    if not method and len(methods) > 1:
        raise ConfigurationError(
            f"{run} has several methods: write {run}:{methods[0]}, or one of {', '.join(methods)}"
        )
    return Played(run, method or (methods[0] if methods else ""))


def _tell(event: Event, as_json: bool) -> None:
    if as_json:
        body: dict[str, Any] = plain(event)
        write_json(body)
        return
    results.print(f"{event.student}: {event.decision}", markup=False)
    for words in event.words:
        results.print(words, markup=False)
