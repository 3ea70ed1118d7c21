"""`icd run --engine ray` on two Ray nodes, with PostgreSQL and Chroma as servers, while workers and nodes are killed."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cluster import RAY, RayNode, chroma, postgres, postgres_folder, ray_head, ray_node, wait_until
from test_run_over_the_wire import follow

from icd.testing import LoopbackServer
from icd_memory.store import Store

pytestmark = pytest.mark.long
pytest.importorskip("ray", reason="needs the extras ray, postgres and chroma: pip install 'icd-runtime[ray]'")
pytest.importorskip("chromadb", reason="needs the extra chroma")
if postgres_folder() is None:
    pytest.skip("needs PostgreSQL", allow_module_level=True)

ICD = (sys.executable, "-c", "from icd.cli import main; main()")
FIRST, SECOND = "127.0.0.2", "127.0.0.3"
METHODS = "student,in-context,cascade,copy,teacher"
EPISODES = 4


@dataclass
class World:
    """What a run needs, in processes of its own."""

    folder: Path
    store: str
    index: str
    models: LoopbackServer
    head: str
    """The address of the cluster."""
    first: RayNode

    def command(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [*ICD, *arguments],
            cwd=self.folder,
            env={**os.environ, **RAY, "ICD_MEMORY__INDEX": self.index},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def run(self, *arguments: str) -> subprocess.Popen[str]:
        return self.command(
            *("bench", "household", "-n", str(EPISODES), "--methods", METHODS, "--max-steps", "6", "--json"),
            *("--student", self.models.base_url, "--student-model", "gpt-4.1-mini"),
            *("--embedder", "hashing", "--store", self.store, *arguments),
        )

    def on_ray(self, *arguments: str) -> subprocess.Popen[str]:
        return self.run("--engine", "ray", "--ray-address", self.head, *arguments)


pace = [0.05]
"""Seconds that a model takes."""


def slowly(body: dict[str, Any]) -> list[str]:
    time.sleep(pace[0])
    return follow(body)


def ended(process: subprocess.Popen[str], code: int = 0) -> tuple[str, str]:
    out, said = process.communicate(timeout=300)
    assert process.returncode == code, said
    assert "Traceback" not in said
    return out, said


def figures(process: subprocess.Popen[str]) -> dict[str, Any]:
    """Return the summary that a run printed, but for the number of the attempt."""
    summary: dict[str, Any] = json.loads(ended(process)[0])
    summary["run_id"] = summary["run_id"].partition(".")[0]
    return summary


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("cluster")
    with ExitStack() as stack:
        store = stack.enter_context(postgres())
        index = f"chroma:{stack.enter_context(chroma(folder / 'chroma'))}"
        models = stack.enter_context(LoopbackServer(slowly))
        first, head = stack.enter_context(ray_head(FIRST, 2))
        made = World(folder, store, index, models, head, first)
        ended(made.command("collect", "household", "-n", "6", "--embedder", "hashing", "--store", store))
        yield made


@pytest.fixture(scope="module")
def local(world: World) -> dict[str, Any]:
    """What the same run shows without Ray."""
    return figures(world.run())


@pytest.fixture
def second(world: World) -> Iterator[RayNode]:
    with ray_node(SECOND, f"--address={world.head}", "--num-cpus=2") as node:
        yield node


def bill(world: World, attempt: int = -1) -> Counter[tuple[Any, ...]]:
    """Return what was paid in a run, without the ids that differ between runs."""
    with Store.open(world.store) as store:
        run = store.runs()[attempt].id
        return Counter(
            ((row.episode_id or "").removeprefix(run), row.role, row.model, row.input_tokens, row.cost)
            for row in store.ledger(run)
        )


def test_two_nodes_say_what_one_process_says(world: World, local: dict[str, Any], second: RayNode) -> None:
    paid = bill(world)
    played_at: set[str] = set()
    process = world.on_ray("--fresh")

    def look() -> None:
        while process.poll() is None:
            played_at.update(node.address for node in (world.first, second) if node.workers())
            time.sleep(0.1)

    watch = threading.Thread(target=look)
    watch.start()
    assert figures(process) == local
    watch.join()
    assert bill(world) == paid
    assert played_at == {FIRST, SECOND}


def test_workers_and_a_node_are_killed_and_nothing_is_paid_twice(
    world: World, local: dict[str, Any], second: RayNode
) -> None:
    paid = bill(world)
    asked = sum(1 for _ in world.models.requests)
    process = world.on_ray("--fresh")

    def new() -> int:
        return len(world.models.requests) - asked

    chance = random.Random(0)
    for killed in range(1, 4):
        wait_until(lambda: new() >= 12 * killed and bool(world.first.workers()), "playing")  # noqa: B023
        os.kill(chance.choice(world.first.workers()), signal.SIGKILL)
    wait_until(lambda: new() >= 45 and bool(second.workers()), "playing")
    in_flight = 3 + len(second.workers())
    second.kill()
    assert figures(process) == local
    assert bill(world) == paid
    calls = sum(paid[row] for row in paid if row[2] == "gpt-4.1-mini")
    assert calls <= new() <= calls + in_flight


def test_ctrl_c_stops_and_the_same_command_goes_on(
    world: World, local: dict[str, Any], second: RayNode
) -> None:
    paid = bill(world)
    asked = len(world.models.requests)
    process = world.on_ray("--fresh")
    wait_until(lambda: len(world.models.requests) - asked >= 20, "playing")
    pace[0] = 2.0  # It goes on until it is interrupted, however quick the machine.
    try:
        other = world.on_ray()
        assert "another process is playing" in ended(other, 2)[1]
        process.send_signal(signal.SIGINT)
    finally:
        pace[0] = 0.05
    assert "the same command goes on from here" in ended(process, 130)[1]
    wait_until(lambda: not world.first.workers() and not second.workers(), "the workers' end")
    assert figures(world.on_ray()) == local
    assert bill(world) == paid


def test_a_driver_that_is_killed_takes_its_workers_along(world: World, local: dict[str, Any]) -> None:
    paid = bill(world)
    asked = len(world.models.requests)
    process = world.on_ray("--fresh")
    wait_until(lambda: len(world.models.requests) - asked >= 20, "playing")
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    assert figures(world.on_ray()) == local
    assert bill(world) == paid


def test_a_store_in_a_file_is_refused_beside_a_second_node(world: World, second: RayNode) -> None:
    file = str(world.folder / "icd.db")
    ended(world.command("collect", "household", "-n", "6", "--embedder", "hashing", "--store", file))
    said = ended(world.on_ray("--store", file), 2)[1]
    assert f"the workers are on {SECOND}: put it on a PostgreSQL server" in said


def test_a_node_with_another_version_is_refused(world: World, tmp_path: Path) -> None:
    about = tmp_path / "icd_runtime-99.0.dist-info" / "METADATA"
    about.parent.mkdir()
    about.write_text("Metadata-Version: 2.1\nName: icd-runtime\nVersion: 99.0\n")
    with ray_node(SECOND, f"--address={world.head}", "--num-cpus=1", python_path=tmp_path):
        said = ended(world.on_ray("--fresh"), 2)[1]
        assert f"{SECOND} has 99.0" in said


def test_when_no_node_is_left_it_says_so(world: World) -> None:
    asked = len(world.models.requests)
    with (
        ray_head("127.0.0.4", 0) as (_, head),
        ray_node("127.0.0.5", f"--address={head}", "--num-cpus=2") as only,
    ):
        process = world.run("--engine", "ray", "--ray-address", head, "--fresh")
        wait_until(lambda: len(world.models.requests) - asked >= 10, "playing")
        only.kill()
        assert "no worker is left" in ended(process, 3)[1]
