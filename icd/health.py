"""Whether everything that the settings ask for is in place: what `icd doctor` shows."""

from __future__ import annotations

import asyncio
import os
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

from icd.assembly import make_embedder, make_index
from icd.backends import make_backend
from icd.backends.base import Backend, ChatRequest, Message
from icd.cascade import parse_policy
from icd.config import BackendSettings, MemorySettings, Settings, find_config, load_settings
from icd.errors import EnvsError, IcdError, IcdMemoryError, MissingExtraError
from icd.prices import PriceTable
from icd_memory.store import Store

State = Literal["ok", "note", "missing"]
_LITTLE_SPACE = 1 << 30


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    what: str
    state: State
    """`missing` keeps a run from starting; a `note` does not."""
    message: str


def examine(config: Path | None = None, *, ask: bool = False) -> list[Finding]:
    """Look at everything that the settings need; with `ask`, each model gets a short request."""
    try:
        settings = load_settings(config)
    except IcdError as error:
        return [Finding("settings", "missing", str(error))]
    found = [Finding("settings", "ok", str(find_config(config) or "defaults (`icd init` writes a file)"))]
    memory = settings.memory
    found += [
        _look("policy", partial(_policy, settings)),
        _look("store", partial(_store, memory)),
        _look("embedder", partial(_embedder, memory)),
        _look("index", partial(_index, memory)),
    ]
    seats = {
        "student": settings.student,
        "teacher": settings.teacher,
        "planner": settings.planner,
        "verifier": settings.verifier,
    }
    prices = PriceTable.from_settings(settings.prices)
    for name, seat in seats.items():
        if seat is not None:
            found.append(_look(name, partial(_model, seat, ask)))
            found.append(_look(f"{name}'s price", partial(_price, seat, prices)))
    return [*found, _games(), _appworld(), _report(), _space(memory)]


def _look(what: str, check: Callable[[], str]) -> Finding:
    try:
        return Finding(what, "ok", check())
    except (IcdError, IcdMemoryError, OSError) as error:
        return Finding(what, "missing", str(error))


def _policy(settings: Settings) -> str:
    return str(parse_policy(settings.policy))


def _store(memory: MemorySettings) -> str:
    if "://" not in memory.store and not Path(memory.store).expanduser().exists():
        return f"{memory.store} (made at the first use)"
    with Store.open(memory.store) as store:
        count = store.stats().trajectories["demonstration"]
        return f"{store.place}, {count} demonstrations"


def _embedder(memory: MemorySettings) -> str:
    embedder = make_embedder(memory)
    if Path(memory.store).expanduser().is_file():
        with Store.open(memory.store) as store:
            noted = store.note("embedder")
        if noted is not None and noted != embedder.id:
            raise IcdMemoryError(
                f"the store was made with {noted}, not {embedder.id}: set memory.embedder to that one, "
                "or run `icd memory reembed`"
            )
    embedder.embed(["a first sentence"])
    return embedder.id


def _index(memory: MemorySettings) -> str:
    make_index(memory)
    return memory.index


def _model(seat: BackendSettings, ask: bool) -> str:
    backend = make_backend(seat)
    if seat.kind == "local":
        _need("xllamacpp", "a local model", "local")
    if seat.kind == "transformers":
        _need("torch", "a checkpoint", "transformers")
    name = f"{seat.kind}: {backend.model}"
    if not ask or seat.kind == "expert":
        return name
    return f"{name} answered in {asyncio.run(_asked(backend)):.1f} s"


async def _asked(backend: Backend) -> float:
    request = ChatRequest((Message("user", "Say yes."),), temperature=0.0, max_tokens=16)
    started = time.monotonic()
    try:
        await backend.complete(request)
    finally:
        await backend.close()
    return time.monotonic() - started


def _price(seat: BackendSettings, prices: PriceTable) -> str:
    price = prices.of_backend(seat)
    source = ", ".join(part for part in (price.source, str(price.as_of or ""), price.note) if part)
    return f"${price.input:g} in, ${price.output:g} out per million tokens ({source})"


def _games() -> Finding:
    from icd_envs.game_library import GameLibrary

    try:
        GameLibrary.from_environment()
    except EnvsError as error:
        return Finding("ALFWorld games", "note", f"{error} (only `icd run alfworld` needs them)")
    return Finding("ALFWorld games", "ok", "found")


def _appworld() -> Finding:
    from icd_envs.appworld import PYTHON_VARIABLE, ROOT_VARIABLE, AppWorld
    from icd_envs.appworld_suite import AppWorldSuite

    if not (os.environ.get(PYTHON_VARIABLE) or os.environ.get(ROOT_VARIABLE)):
        named = f"set {PYTHON_VARIABLE} and {ROOT_VARIABLE}"
        return Finding("AppWorld", "note", f"not named: {named} (only `icd run appworld` needs it)")
    try:
        world = AppWorld()
        count = len(AppWorldSuite().tasks("train"))
    except EnvsError as error:
        return Finding("AppWorld", "missing", str(error))
    return Finding("AppWorld", "ok", f"{world.installation.version}, {count} train tasks; {world.note}")


def _report() -> Finding:
    try:
        _need("matplotlib", "the HTML report", "report")
        _need("jinja2", "the HTML report", "report")
    except MissingExtraError as error:
        return Finding("report", "note", str(error))
    return Finding("report", "ok", "tables and HTML")


def _space(memory: MemorySettings) -> Finding:
    folder = Path(memory.store).expanduser().parent if "://" not in memory.store else Path()
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    state: State = "ok" if free > _LITTLE_SPACE else "note"
    return Finding("disk", state, f"{free / (1 << 30):.1f} GiB free")


def _need(module: str, feature: str, extra: str) -> None:
    from importlib.util import find_spec

    if find_spec(module) is None:
        raise MissingExtraError(feature, extra)
