"""The Ray cluster that a command joins, or starts for itself on this machine."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from typing import Any

from icd.errors import ClusterError, ConfigurationError, MissingExtraError

_LOCAL = "local"


@contextmanager
def joined(address: str | None, workers: int) -> Iterator[None]:
    """Be part of a cluster; one that was started here ends with it, one that this process is in already stays.

    Args:
        address: HOST:PORT of a cluster's head, ``auto`` for the one of this machine, ``local`` for one of its own here;
            None: what RAY_ADDRESS names, else ``local``.
        workers: at least so many find room in a cluster that is started here.

    Raises:
        ClusterError: none answers.
        ConfigurationError: the address is none, or Ray is not installed.
    """
    ray = the_ray()
    if ray.is_initialized():
        yield
        return
    where = address or os.environ.get("RAY_ADDRESS") or _LOCAL
    if where.startswith("ray://"):
        raise ConfigurationError(
            f"{where} is the address of Ray's client server: run the command on a machine of the cluster, with "
            "--ray-address HOST:PORT of its head (the port of `ray start`, 6379 unless told otherwise), or auto"
        )
    # Nothing is reported to anybody unless the user says so.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    arguments: dict[str, Any] = {"address": where, "log_to_driver": False, "logging_level": "ERROR"}
    if where == _LOCAL:
        arguments |= {"include_dashboard": False, "num_cpus": max(workers, os.cpu_count() or 1)}
    try:
        ray.init(**arguments)
    except (ConnectionError, RuntimeError, ValueError, OSError, ray.exceptions.RayError) as error:
        raise ClusterError(
            f"no Ray cluster answers at {where} ({error}): start one with `ray start --head`, join it on each machine "
            "with `ray start --address=HOST:PORT`, and see it with `ray status`"
        ) from error
    try:
        # Ray tells of lost nodes on the standard output, which is for results.
        with redirect_stdout(sys.stderr):
            yield
    finally:
        ray.shutdown()


def the_ray() -> Any:
    """Return the module. Raises `MissingExtraError` where it is not installed."""
    try:
        import ray
    except ImportError as error:
        raise MissingExtraError("the engine ray", "ray") from error
    return ray
