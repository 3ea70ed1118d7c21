"""The servers of a run on several machines, as processes of this one: Ray nodes on loopback addresses, databases.

Every process started here carries a mark in its environment, by which all its descendants are found and killed.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

MARK = "PROCESS_OF_THE_TEST"
BIN = Path(sys.executable).parent
RAY = {
    "RAY_AUTH_MODE": "disabled",
    "RAY_USAGE_STATS_ENABLED": "0",
    # A busy machine is no failure.
    "RAY_raylet_start_wait_time_s": "120",
    "RAY_worker_register_timeout_seconds": "120",
}
PATIENCE = 150.0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until(done: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not done():
        assert time.monotonic() < deadline, f"{what} took longer than {PATIENCE:g} s"
        time.sleep(0.05)


def answers(host: str, port: int) -> bool:
    try:
        with socket.create_connection((host, port), timeout=1):
            return True
    except OSError:
        return False


def marked(mark: str) -> list[int]:
    """Return the processes that were started with this mark, and their descendants."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            try:
                if f"{MARK}={mark}".encode() in (folder / "environ").read_bytes().split(b"\0"):
                    found.append(int(folder.name))
            except OSError:
                continue
    return found


def kill(mark: str) -> None:
    """Kill all of them at once."""
    for pid in marked(mark):
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue


@dataclass(frozen=True)
class RayNode:
    """A node, and what it is told from others by."""

    address: str
    mark: str

    def workers(self) -> list[int]:
        """Return the processes in which its actors run."""
        names = {pid: Path(f"/proc/{pid}/cmdline") for pid in marked(self.mark)}
        return [pid for pid, name in names.items() if name.exists() and b"ray::Actor" in name.read_bytes()]

    def kill(self) -> None:
        kill(self.mark)


@contextmanager
def ray_node(address: str, *arguments: str, python_path: Path | None = None) -> Iterator[RayNode]:
    """Run a node of a cluster while entered."""
    node = RayNode(address, uuid4().hex)
    environment = {**os.environ, **RAY, MARK: node.mark}
    if python_path is not None:
        environment["PYTHONPATH"] = os.pathsep.join([str(python_path), environment.get("PYTHONPATH", "")])
    # A node waits 15 s for the ports that its agents choose, which is too little on a busy machine.
    agents = (
        "dashboard-agent-grpc-port",
        "dashboard-agent-listen-port",
        "runtime-env-agent-port",
        "metrics-export-port",
    )
    ports = [f"--{name}={free_port()}" for name in agents]
    options = [f"--node-ip-address={address}", "--disable-usage-stats", *ports, *arguments]
    command = [str(BIN / "ray"), "start", *options]
    try:
        subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL, timeout=PATIENCE)
        yield node
    finally:
        node.kill()


@contextmanager
def ray_head(address: str, cpus: int) -> Iterator[tuple[RayNode, str]]:
    """Run a cluster's first node; yields it and the cluster's address."""
    port = free_port()
    # Sockets have short names, so their folder must have one.
    folder = tempfile.mkdtemp(prefix="icd-ray-", dir="/tmp")
    try:
        with ray_node(
            address, "--head", f"--port={port}", f"--num-cpus={cpus}", "--include-dashboard=false",
            f"--temp-dir={folder}",
        ) as node:  # fmt: skip
            yield node, f"{address}:{port}"
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def postgres_folder() -> Path | None:
    """Return where PostgreSQL's programs are; None where it is not installed."""
    found = [path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/initdb")]
    return max(found, default=None)


@contextmanager
def postgres() -> Iterator[str]:
    """Run a PostgreSQL server while entered; yields the URL of its database."""
    programs = postgres_folder()
    assert programs is not None
    folder, port = Path(tempfile.mkdtemp(prefix="icd-postgres-", dir="/tmp")), free_port()
    # It refuses to run as root.
    user = "postgres" if os.getuid() == 0 else None
    if user is not None:
        os.chown(folder, pwd.getpwnam(user).pw_uid, -1)

    def run(program: str, *arguments: str) -> None:
        command = [str(programs / program), "-D", str(folder / "data"), *arguments]
        subprocess.run(command, user=user, cwd="/", check=True, stdout=subprocess.DEVNULL, timeout=PATIENCE)

    run("initdb", "--auth=trust", "--username=postgres")
    options = f"-k {folder} -c listen_addresses=127.0.0.1 -p {port}"
    try:
        run("pg_ctl", "-w", "-l", str(folder / "log"), "-o", options, "start")
        yield f"postgresql://postgres@127.0.0.1:{port}/postgres"
    finally:
        run("pg_ctl", "-m", "immediate", "stop")
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def chroma(folder: Path) -> Iterator[str]:
    """Run a Chroma server while entered; yields its URL."""
    mark, port = uuid4().hex, free_port()
    command = [str(BIN / "chroma"), "run", "--path", str(folder), "--host", "127.0.0.1", "--port", str(port)]
    quiet = subprocess.DEVNULL
    process = subprocess.Popen(command, env={**os.environ, MARK: mark}, stdout=quiet, stderr=quiet)
    try:
        wait_until(lambda: answers("127.0.0.1", port), "Chroma's start")
        yield f"http://127.0.0.1:{port}"
    finally:
        kill(mark)
        process.wait()
