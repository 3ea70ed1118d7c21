"""`icd offline cycle`: one round of data set, training, evaluation and promotion, for a timer."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from icd.cli import options
from icd.cli.failures import CHECK_FAILED
from icd.cli.output import plain, results, say, write_json


def cycle(
    environment: options.Environment,
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Folder of all rounds.")],
    training: Annotated[Path, typer.Option(help="TOML file of `icd offline train`.")],
    licence: Annotated[str, typer.Option(help="Of the base model.")],
    method: Annotated[str, typer.Option(help="How both students play the held-out tasks.")] = "cascade",
    episodes: Annotated[int, typer.Option(min=1, help="Held-out tasks.")] = 200,
    split: Annotated[
        str | None, typer.Option(help="Of them; by default the environment's first test split.")
    ] = None,
    margin: options.Margin = 0.05,
    share: Annotated[
        float, typer.Option(min=0, max=0.5, help="Of live episodes that try a candidate.")
    ] = 0.1,
    budget: options.Budget = None,
    workers: options.Workers = None,
    k: Annotated[
        int, typer.Option("--k", min=0, help="Excerpts in the data set's prompts, and at play.")
    ] = 0,
    store: options.StorePlace = None,
    embedder: options.Embedder = None,
    config: options.Config = None,
    json: options.Json = False,
) -> int:
    """Make a data set, train, play held-out tasks with both students, and promote the new one or keep the old.

    The same command goes on where it was, does nothing twice, and never runs twice at a time; OUT/summary.json says how
    it ended. Exit code 1: the old student was kept, or came back, for cause.
    """
    from datetime import UTC, datetime

    from icd.cli.play import default_workers
    from icd.cli.settings import resolve, typed_command
    from icd.offline.cycle import Plan
    from icd.offline.cycle import cycle as go
    from icd.offline.cycle_training import training_step
    from icd.offline.dataset import Wishes
    from icd.offline.gate import Rules
    from icd.offline.promotion import GateRules
    from icd.offline.traces import Selection

    # Threads that spin while they wait make a machine that is also doing something else many times slower.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    settings = resolve(config, retrieval__k=k, memory__store=store, memory__embedder=embedder)
    plan = Plan(
        environment=environment,
        folder=out,
        training=training_step(training, {}, say),
        licence=licence,
        wishes=Wishes(Selection(environments=frozenset({environment}))),
        rules=Rules(GateRules(margin), share=share),
        method=method,
        episodes=episodes,
        split=split or "",
        workers=workers or default_workers(settings.student, settings.teacher),
        budget=budget,
        command=typed_command(),
    )
    summary = go(settings, plan, lambda: datetime.now(UTC), say=say)
    if json:
        write_json(plain(summary.model_dump(mode="json")))
    else:
        results.print(f"{summary.student or 'no new student'}: {summary.decision}", markup=False)
        for words in summary.words:
            results.print(words, markup=False)
    return CHECK_FAILED if summary.for_cause else 0
