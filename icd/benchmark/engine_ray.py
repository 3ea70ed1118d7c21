"""Episodes of a run on a Ray cluster.

Each worker is an actor, a process somewhere in the cluster that rebuilds its workplace from plain data
(`icd.benchmark.workshop`). The driver hands episodes out (`icd.benchmark.dispatch`); steps come back as they happen.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass
from typing import Any, NamedTuple

from icd.benchmark.about import version_of
from icd.benchmark.dispatch import WorkerLostError, dispatch
from icd.benchmark.experiment import Experiment, Request
from icd.benchmark.runner import Job, Stage, Tally
from icd.benchmark.wire import Briefing, ErrorSaid
from icd.config import Settings
from icd.errors import (
    ClusterError,
    ConfigurationError,
    EnvsError,
    IcdError,
    IcdMemoryError,
)
from icd.ray_cluster import joined, the_ray
from icd_memory.rows import JsonObject
from icd_memory.store import Store

_ROOM_S = 60.0
"""For a first worker to find room in the cluster."""
_POLL_S = 1.0
_STOP_S = 10.0
"""For a worker to record what it has paid, before it is killed."""


class Node(NamedTuple):
    """A machine of the cluster."""

    id: str
    address: str
    cpus: float


@dataclass(frozen=True, slots=True)
class RayEngine:
    """An `icd.benchmark.runner.Executor`: plays a run's jobs on a cluster."""

    experiment: Experiment
    request: Request
    settings: Settings
    address: str | None = None
    """HOST:PORT of a cluster's head, ``auto`` for the one of this machine; None: a cluster of its own on this machine."""

    async def __call__(self, jobs: Sequence[Job], stage: Stage, workers: int) -> Tally:
        """Play the jobs that are not done yet; `workers` 0: as many as the cluster has room for.

        Raises:
            ClusterError: no cluster answers, or no worker is left.
            ConfigurationError: the cluster cannot play this run: store, index, versions.
            IcdError: nothing can go on (a wrong setting, a budget that is used up, the store).
        """
        with joined(self.address, workers):
            nodes = alive()
            check_places(self.settings, stage.store, nodes, _own_node())
            workers = workers or default_workers(self.settings, nodes)
            briefing = Briefing.of(
                self.experiment.run_id,
                self.request,
                self.settings,
                self.experiment.config["conditions"],
                os.getcwd(),
            )
            pool = RayPool(briefing.model_dump(mode="json"), cpus_each(workers, nodes))
            return await dispatch(jobs, stage, pool, workers, self.settings.run.budget)


def alive() -> list[Node]:
    """Return the machines of the cluster that can work."""
    nodes = [
        Node(node["NodeID"], node["NodeManagerAddress"], float(node["Resources"].get("CPU", 0)))
        for node in the_ray().nodes()
        if node["Alive"]
    ]
    return [node for node in nodes if node.cpus > 0]


def _own_node() -> str:
    return str(the_ray().get_runtime_context().get_node_id())


def check_places(settings: Settings, store: Store, nodes: Sequence[Node], own: str) -> None:
    """Check that each worker can reach the store and the index.

    Raises:
        ConfigurationError: one of them is a file, and not all workers are processes that may share it.
    """
    if not nodes:
        raise ClusterError("the cluster has no machine with a CPU to give: see `ray status`")
    elsewhere = [node.address for node in nodes if node.id != own]
    if not store.on_server and (elsewhere or settings.memory.store == ":memory:"):
        raise ConfigurationError(
            f"the store {store.place} can be opened on this machine only, and the workers are on "
            f"{', '.join(elsewhere) or 'others'}: put it on a PostgreSQL server that all machines reach "
            "(--store postgresql://USER@HOST/NAME), or run on this machine alone (--ray-address local)"
        )
    if settings.memory.index == "chroma":
        raise ConfigurationError(
            "memory.index = chroma is for one process, and workers are several: start `chroma run` and set "
            "chroma:http://HOST:PORT, or exact, which each worker keeps for itself"
        )


def default_workers(settings: Settings, nodes: Sequence[Node]) -> int:
    """Return how many episodes are played at once: one for each CPU; where a model runs in the worker itself, which takes
    all cores, one for each machine."""
    seats = (settings.student, settings.teacher)
    if any(seat.kind in ("local", "transformers") for seat in seats):
        return len(nodes)
    return max(int(sum(node.cpus for node in nodes)), 1)


def cpus_each(workers: int, nodes: Sequence[Node]) -> float:
    """Return what a worker takes of Ray's CPUs, such that all of them find room: whole ones while there are enough."""
    total = sum(node.cpus for node in nodes)
    if sum(int(node.cpus) for node in nodes) >= workers:
        return 1.0
    # Each machine loses at most one worker by rounding.
    return int(total / (workers + len(nodes)) * 10_000) / 10_000


class RayWorker:
    """An actor, seen from the driver."""

    def __init__(self, actor: Any) -> None:
        self._actor = actor
        self.here = True
        """False once it was let go."""

    async def play(self, order: JsonObject) -> AsyncGenerator[JsonObject, None]:
        """Play an episode; see `icd.benchmark.dispatch.Worker`."""
        with _losses():
            async for reply in self._actor.play.options(num_returns="streaming").remote(order):
                yield await reply

    async def leave(self) -> None:
        """Stop what it plays, and kill it."""
        if not self.here:
            return
        self.here = False
        ray = the_ray()
        with suppress(ray.exceptions.RayError, TimeoutError):
            await asyncio.wait_for(asyncio.wrap_future(self._actor.stop.remote().future()), _STOP_S)
        ray.kill(self._actor)


class RayPool:
    """Workers of a cluster that Ray is connected to."""

    def __init__(self, briefing: JsonObject, cpus: float) -> None:
        self._briefing, self._cpus = briefing, cpus
        self._known: set[str] = set()
        self._workers: list[RayWorker] = []

    async def hire(self) -> RayWorker:
        """Start an actor where there is room; see `icd.benchmark.dispatch.Pool`."""
        ray = the_ray()
        await self._check_versions()
        options = {"num_cpus": self._cpus, "max_restarts": 0, "scheduling_strategy": "SPREAD"}
        actor = ray.remote(Actor).options(**options).remote()
        worker = RayWorker(actor)
        try:
            with _losses():
                await self._room(asyncio.wrap_future(actor.ready.remote().future()))
                self._workers.append(worker)
                refused = await actor.open.remote(self._briefing)
            if refused is not None:
                raise ErrorSaid.model_validate(refused).error()
        except BaseException:
            await worker.leave()
            raise
        return worker

    async def close(self) -> None:
        """End all workers."""
        await asyncio.gather(*(worker.leave() for worker in self._workers))

    async def _room(self, ready: asyncio.Future[None]) -> None:
        """Wait until a worker has started."""
        waited = 0.0
        while not (await asyncio.wait({ready}, timeout=_POLL_S))[0]:
            waited += _POLL_S
            if not alive():
                raise ClusterError(
                    "no worker is left: every machine of the cluster is gone. What was played is kept; join machines "
                    "again (`ray start --address=...`), and the same command goes on"
                )
            if waited > _ROOM_S and not any(worker.here for worker in self._workers):
                raise ClusterError(
                    f"the cluster had no room for a worker within {_ROOM_S:g} s: see `ray status` for what it is doing"
                )
        await ready

    async def _check_versions(self) -> None:
        """Check the machines that have joined since the last time."""
        new = [node for node in alive() if node.id not in self._known]
        found = {node.address: await _version_at(node) for node in new}
        check_versions(version_of("icd-runtime"), found)
        self._known |= {node.id for node in new}


def check_versions(own: str, found: dict[str, str]) -> None:
    """Check that each machine, by address, has the driver's icd-runtime.

    Raises:
        ConfigurationError: one has another, or none; names both.
    """
    others = {address: version for address, version in found.items() if version != own}
    if others:
        said = ", ".join(
            f"{address} has {version or 'no icd-runtime'}" for address, version in sorted(others.items())
        )
        raise ConfigurationError(
            f"this driver is icd-runtime {own}, and {said}: their episodes could not be compared. Install the same "
            f"version on each machine (pip install 'icd-runtime[ray,postgres]=={own}') and restart Ray there"
        )


async def _version_at(node: Node) -> str:
    """Return the version of icd-runtime on a machine; empty where there is none."""
    ray = the_ray()
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    def look() -> str:
        # Travels by value, as every function within a function: it runs also where icd is missing or another.
        from importlib.metadata import PackageNotFoundError, version

        try:
            return version("icd-runtime")
        except PackageNotFoundError:
            return ""

    there = NodeAffinitySchedulingStrategy(node.id, soft=False)
    with _losses():
        return str(await ray.remote(look).options(num_cpus=0, scheduling_strategy=there).remote())


class Actor:
    """A worker's process."""

    async def ready(self) -> None:
        """Answer, once the process runs."""

    async def open(self, briefing: JsonObject) -> JsonObject | None:
        """Rebuild the workplace; return what keeps it from that, as an `ErrorSaid`."""
        from icd.benchmark.workshop import Workshop

        try:
            self._workshop = Workshop(Briefing.model_validate(briefing))
        except (IcdError, EnvsError, IcdMemoryError) as error:
            return ErrorSaid.of(error).model_dump(mode="json")
        return None

    async def play(self, order: JsonObject) -> AsyncGenerator[JsonObject, None]:
        """Play an episode."""
        async with aclosing(self._workshop.play(order)) as replies:
            async for reply in replies:
                yield reply

    async def stop(self) -> None:
        """End what is being played, and close the workplace."""
        if hasattr(self, "_workshop"):
            await self._workshop.close()


class _losses:
    """Turn what Ray raises when a process or a machine is gone into `WorkerLostError`; a bug stays what it is."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        found = the_ray().exceptions
        if isinstance(error, found.RayError) and not isinstance(error, found.RayTaskError):
            raise WorkerLostError(" ".join(str(error).split())[:300]) from error
