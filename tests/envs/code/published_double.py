"""A double of the published AppWorld, small enough to read: a Python with a package `appworld` and a root with tasks.

It speaks the environment server's protocol as 0.1.3 or 0.2 does, one task at a time, refuses fields that its version
doesn't know, and judges a task by a file that the session's code leaves behind, which needs the ground truth. Where the
versions differ (the names of fields, statuses, what is closed and how it is evaluated) it does as its version.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

_SERVER = """
import contextlib, io, json, os, traceback
from datetime import datetime
from fastapi import Body, FastAPI, HTTPException
from pydantic import BaseModel

from appworld import __version__

ROOT = os.environ["APPWORLD_ROOT"]
NEW = __version__ >= "0.2"
app = FastAPI()
world = None


class Common(BaseModel, extra="forbid"):
    task_id: str
    experiment_name: str = "default"
    load_ground_truth: bool = True
    timeout_seconds: int | None = 100


class Old(Common):
    null_patch_unsafe_execution: bool = True


class New(Common):
    raise_on_unsafe_execution: bool = True
    wrap_response: bool = False
    unwrap_response: bool = False


Args = New if NEW else Old


class Refused(Exception):
    pass


class App:
    def __init__(self, world, name):
        self._world, self._name = world, name

    def __getattr__(self, api):
        if not hasattr(World, f"{self._name}_{api}"):
            raise Exception(f"no API {api} in {self._name}")

        def call(**arguments):
            self._world.calls += 1
            if self._world.calls > 1000:
                raise Refused("too many API calls in this execution")
            return getattr(self._world, f"{self._name}_{api}")(**arguments)

        return call


def show(*values, **options):
    import builtins

    values = [json.dumps(v, indent=1) if isinstance(v, (list, dict)) else v for v in values]
    builtins.print(*values, **options)


class World:
    def __init__(self, args):
        self.args, self.calls, self.done = args, 0, False
        folder = f"{ROOT}/data/tasks/{args.task_id}"
        if args.load_ground_truth:
            open(f"{folder}/ground_truth/metadata.json").close()
        self.output = f"{ROOT}/experiments/outputs/{args.experiment_name}/tasks/{args.task_id}"
        os.makedirs(self.output)
        apis = type("Apis", (), {name: App(self, name) for name in ("api_docs", "supervisor")})()
        self.namespace = {"apis": apis, "print": show}

    def api_docs_show_app_descriptions(self):
        return [{"name": name, "description": f"The {name} app."} for name in ("api_docs", "supervisor")]

    def supervisor_complete_task(self, answer=None):
        self.done = True
        with open(f"{self.output}/done", "w") as file:
            file.write(json.dumps(answer))
        return {"message": "ok"}

    def execute(self, code):
        self.calls = 0
        printed = io.StringIO()
        try:
            with contextlib.redirect_stdout(printed):
                exec(compile(code, "<python-input>", "exec"), self.namespace)
        except Exception:
            return printed.getvalue() + traceback.format_exc()
        return printed.getvalue() or "Nothing was printed."


def shown(task_id):
    with open(f"{ROOT}/data/tasks/{task_id}/specs.json") as file:
        return json.load(file)


def at_work(task_id):
    if world is None or world.args.task_id != task_id:
        if NEW:
            raise HTTPException(status_code=400, detail="not the active task")
        raise RuntimeError("not the active task")
    return world


@app.get("/")
async def index():
    return {"message": "welcome"}


@app.post("/initialize")
async def initialize(args: Args):
    global world
    world = World(args)
    return {"output": shown(args.task_id)}


@app.post("/execute")
async def execute(task_id: str = Body(...), code: str = Body(...)):
    return {"output": at_work(task_id).execute(code)}


@app.post("/task_completed")
async def task_completed(task_id: str = Body(..., embed=True)):
    return {"output": at_work(task_id).done}


@app.post("/evaluate")
async def evaluate(
    task_id: str = Body(...), suppress_errors: bool = Body(NEW), experiment_name: str | None = Body(None)
):
    from appworld.evaluator import evaluate_task

    at_work(task_id)
    name = (experiment_name if NEW else None) or world.args.experiment_name
    return {"output": evaluate_task(task_id, name).to_dict()}


@app.post("/close")
async def close(task_id: str = Body(..., embed=True)):
    global world
    at_work(task_id)
    world = None
    return {"output": None}
"""

_EVALUATOR = """
import json, os


class Tracker:
    def __init__(self, success, difficulty):
        self.success, self.difficulty = success, difficulty

    def to_dict(self):
        one = [{"requirement": "it is completed", "label": None}]
        good, bad = (one, []) if self.success else ([], one)
        facts = {"success": self.success, "difficulty": self.difficulty, "num_tests": 1}
        return {**facts, "passes": good, "failures": bad}


def evaluate_task(task_id, experiment_name):
    root = os.environ["APPWORLD_ROOT"]
    with open(f"{root}/data/tasks/{task_id}/ground_truth/metadata.json") as file:
        metadata = json.load(file)
    done = os.path.exists(f"{root}/experiments/outputs/{experiment_name}/tasks/{task_id}/done")
    return Tracker(done, metadata["difficulty"])
"""


def make_double(folder: Path, version: str = "0.1.3") -> tuple[Path, Path]:
    """Write the double of a version; return its Python and its root."""
    package = folder / "installed" / "appworld"
    (package / "serve").mkdir(parents=True)
    (package / "__init__.py").write_text(f"__version__ = {version!r}\n")
    (package / "serve" / "__init__.py").touch()
    (package / "serve" / "environment.py").write_text(_SERVER)
    (package / "evaluator.py").write_text(_EVALUATOR)
    about = package.parent / f"appworld-{version}.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: appworld\nVersion: {version}\n")
    python = folder / "python"
    python.write_text(f'#!/bin/sh\nPYTHONPATH="{package.parent}" exec "{sys.executable}" -B "$@"\n')
    python.chmod(0o755)
    root = folder / "root"
    for task_id in ("aaa_1", "aaa_2", "bbb_1"):
        _write_task(root, task_id)
    datasets = root / "data" / "datasets"
    datasets.mkdir()
    (datasets / "train.txt").write_text("aaa_1\naaa_2\n")
    (datasets / "dev.txt").write_text("bbb_1\n")
    return python, root


def _write_task(root: Path, task_id: str) -> None:
    folder = root / "data" / "tasks" / task_id
    (folder / "ground_truth").mkdir(parents=True)
    (folder / "ground_truth" / "metadata.json").write_text(json.dumps({"difficulty": 2}))
    person = {"first_name": "Ada", "last_name": "Berg", "email": "ada@post.test", "phone_number": "1234"}
    task = {
        "task_id": task_id,
        "instruction": "Finish.",
        "supervisor": person,
        "datetime": "2030-01-02T03:04:05",
    }
    (folder / "specs.json").write_text(json.dumps(task))


def published(empty: Path) -> tuple[Path, Path] | None:
    """Return the real Python where ``APPWORLD_PYTHON`` names it, with the root that is named or an empty one."""
    python = os.environ.get("APPWORLD_PYTHON")
    return (Path(python), Path(os.environ.get("APPWORLD_ROOT") or empty)) if python else None
