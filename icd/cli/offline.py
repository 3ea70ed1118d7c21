"""`icd offline`: data sets from traces, training on them, and promoting a student behind a gate."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from icd.cli import offline_cycle, offline_train, options, students
from icd.cli.output import plain, results, say, write_json

if TYPE_CHECKING:
    from icd.offline.card import Card
    from icd.offline.dataset import Wishes

app = typer.Typer(
    help="Fine-tune the student on its traces, and promote it behind a gate.", no_args_is_help=True
)
app.command("train")(offline_train.train)
app.command("export")(offline_train.export)
app.command("list")(students.list_)
app.command("register")(students.register)
app.command("promote")(students.promote)
app.command("watch")(students.watch)
app.command("rollback")(students.rollback)
app.command("recall")(students.recall)
app.command("cycle")(offline_cycle.cycle)
Folder = Annotated[Path, typer.Argument(metavar="OUT", help="Folder of the data set.")]


@app.command()
def dataset(
    out: Folder,
    env: Annotated[
        list[str] | None, typer.Option("--env", help="Only this environment's episodes; can be repeated.")
    ] = None,
    k: Annotated[
        list[int] | None,
        typer.Option(
            "--k",
            min=0,
            help="Excerpts in the prompts, as the trained student will be shown; 0 if not given. Repeated: each step "
            "once with each number.",
        ),
    ] = None,
    history: Annotated[
        int | None, typer.Option(min=0, help="Latest steps that the prompts show; else as configured.")
    ] = None,
    validation: Annotated[float, typer.Option(min=0, max=0.9, help="Share of the tasks kept out.")] = 0.1,
    balance: Annotated[
        str, typer.Option(help="Of categories: auto, gap (of success), escalation (rate) or none.")
    ] = "auto",
    formats: Annotated[
        str, typer.Option("--format", help="Also write openai, sharegpt or parquet; several with commas.")
    ] = "",
    tenant: Annotated[str, typer.Option(help="Whose episodes.")] = "default",
    include_unpublishable: Annotated[
        bool, typer.Option(help="Also episodes from which nothing may be published.")
    ] = False,
    student: options.Student = None,
    student_model: options.StudentModel = None,
    store: options.StorePlace = None,
    embedder: options.Embedder = None,
    config: options.Config = None,
    json: options.Json = False,
) -> None:
    """Make a data set from the store's episodes: what the student should have answered where it was asked.

    Prompts are those of the runtime under the settings in force; run the trained student under the same ones.
    """
    from icd.cli.settings import model_arguments, resolve
    from icd.offline.making import make_folder

    excerpts = tuple(dict.fromkeys(k or [0]))
    settings = resolve(
        config, retrieval__k=max(excerpts), student=model_arguments(student, student_model), student__history=history,
        memory__store=store, memory__embedder=embedder,
    )  # fmt: skip
    wishes = _wishes(env, tenant, include_unpublishable, balance, validation, formats, excerpts)
    card = make_folder(settings, out, wishes)
    if json:
        write_json(plain(card.model_dump(mode="json")))
    else:
        _show(card, out)


def _wishes(
    env: list[str] | None,
    tenant: str,
    include_unpublishable: bool,
    balance: str,
    validation: float,
    formats: str,
    excerpts: tuple[int, ...],
) -> Wishes:
    from typing import get_args

    from icd.offline.dataset import Wishes
    from icd.offline.formats import FORMATS
    from icd.offline.mix import Balance
    from icd.offline.traces import Selection

    by = next((known for known in get_args(Balance) if known == balance), None)
    if by is None:
        raise typer.BadParameter(
            f"{balance!r}: there are {', '.join(get_args(Balance))}", param_hint="--balance"
        )
    wanted = [name.strip() for name in formats.split(",") if name.strip()]
    if unknown := [name for name in wanted if name not in FORMATS]:
        raise typer.BadParameter(f"{unknown[0]!r}: there are {', '.join(FORMATS)}", param_hint="--format")
    return Wishes(
        Selection(tenant, frozenset(env or ()), include_unpublishable),
        by,
        validation,
        tuple(kind for kind in FORMATS if kind in wanted),
        excerpts=excerpts,
    )


def _show(card: Card, folder: Path) -> None:
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for heading in ("part", "tasks", "episodes", "examples", "pairs", "of failed episodes"):
        table.add_column(heading, justify="left" if heading == "part" else "right")
    for name, part in card.parts.items():
        table.add_row(
            name, str(part.tasks), str(part.episodes), str(part.examples), str(part.pairs), str(part.failed)
        )
    results.print(table)
    results.print(f"data set {card.id} in {folder}; its card: {folder / 'card.md'}", markup=False)
    for reason, number in card.episodes_left_out.items():
        say(f"{number} episodes left out: {reason}")
