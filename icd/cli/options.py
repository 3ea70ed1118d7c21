"""The options that several commands share, worded once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, TypeAlias

import typer

_MODELS = "Models"
_MEMORY = "Memory"
CLUSTER = "Several machines"

Environment: TypeAlias = Annotated[
    str, typer.Argument(help="household, alfworld, workspace, appworld or service-desk.", metavar="ENV")
]
Json: TypeAlias = Annotated[
    bool, typer.Option("--json", help="Write one JSON document to standard output, and nothing else to it.")
]
Config: TypeAlias = Annotated[
    Path | None,
    typer.Option("--config", "-c", help="Settings file; else icd.toml here or in your configuration folder."),
]
StorePlace: TypeAlias = Annotated[
    str | None, typer.Option("--store", help="Store: a file path or a database URL.", rich_help_panel=_MEMORY)
]
Embedder: TypeAlias = Annotated[
    str | None,
    typer.Option(help="minilm, hashing or sentence-transformers:NAME.", rich_help_panel=_MEMORY),
]
Student: TypeAlias = Annotated[
    str | None,
    typer.Option(
        help="URL of an OpenAI-compatible endpoint, path of a GGUF file, or local.", rich_help_panel=_MODELS
    ),
]
StudentModel: TypeAlias = Annotated[
    str | None, typer.Option(help="The student's model name.", rich_help_panel=_MODELS)
]
Teacher: TypeAlias = Annotated[
    str | None,
    typer.Option(
        help="expert (the environment's own), URL of an endpoint, or path of a GGUF file.",
        rich_help_panel=_MODELS,
    ),
]
TeacherModel: TypeAlias = Annotated[
    str | None, typer.Option(help="The teacher's model name.", rich_help_panel=_MODELS)
]
Margin: TypeAlias = Annotated[
    float, typer.Option(min=0.001, max=0.5, help="By which success may fall, at most.")
]
Budget: TypeAlias = Annotated[
    float | None, typer.Option(min=0, help="US dollars that all calls together may cost at most.")
]
Methods: TypeAlias = Annotated[
    str,
    typer.Option(
        help="With commas: names or policies, with changed settings as in in-context[k=1;window=0]."
    ),
]
Vary: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(help="setting=value,value: each value makes a method of every student method; repeatable."),
]
Split: TypeAlias = Annotated[str | None, typer.Option(help="By default the environment's last one: test.")]
Repeats: TypeAlias = Annotated[int, typer.Option(min=1, help="Episodes of each task, with other seeds.")]
K: TypeAlias = Annotated[int | None, typer.Option("--k", min=0, help="Demonstrations shown at a step.")]
Temperature: TypeAlias = Annotated[float | None, typer.Option(min=0, help="Of the student's samples.")]
Retries: TypeAlias = Annotated[
    int,
    typer.Option(min=0, help="Times that an episode at which a machine failed is played again at the end."),
]
Fresh: TypeAlias = Annotated[bool, typer.Option("--fresh", help="Start anew instead of going on.")]
Html: TypeAlias = Annotated[Path | None, typer.Option(help="Also write the report as a page.")]
Results: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        "--results", help="Also write every episode, step by step, as a line of JSON, without texts."
    ),
]
Workers: TypeAlias = Annotated[int | None, typer.Option(min=1, help="Episodes played at the same time.")]
MaxSteps: TypeAlias = Annotated[int | None, typer.Option(min=1, help="Steps after which an episode ends.")]
Seed: TypeAlias = Annotated[int | None, typer.Option(min=0, help="Sets the order of tasks and all sampling.")]
Games: TypeAlias = Annotated[
    list[Path] | None,
    typer.Option(help="Compact pack or unpacked tree of published games; may be given more than once."),
]
RequireSandbox: TypeAlias = Annotated[
    bool,
    typer.Option(
        "--require-sandbox",
        help="workspace and appworld only: refuse to run the model's code where it cannot be shut in.",
    ),
]
AppworldPython: TypeAlias = Annotated[
    Path | None,
    typer.Option(help="appworld only: a Python that has it installed; else what APPWORLD_PYTHON names."),
]
AppworldRoot: TypeAlias = Annotated[
    Path | None, typer.Option(help="appworld only: the folder with its data; else what APPWORLD_ROOT names.")
]
GameEngine: TypeAlias = Annotated[
    str | None, typer.Option(help="alfworld only: icd (ours) or textworld (the published one).")
]
Engine: TypeAlias = Annotated[
    str,
    typer.Option(help="Where episodes are played: local (this process) or ray.", rich_help_panel=CLUSTER),
]
RayAddress: TypeAlias = Annotated[
    str | None,
    typer.Option(
        help="HOST:PORT of a Ray cluster's head, auto (the one that this machine is in) or local; else RAY_ADDRESS, "
        "else local: one of its own on this machine.",
        rich_help_panel=CLUSTER,
    ),
]
