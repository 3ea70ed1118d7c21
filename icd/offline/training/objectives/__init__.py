"""The objectives, one module each: what it needs of the traces and of the teacher, and its trainer.

A module has ``prepare(given) -> Trainer``: it makes its examples, refuses where the traces or the teacher lack what it
needs, and returns TRL's trainer or a subclass with another loss.
"""

from __future__ import annotations

import os
from importlib import import_module
from types import ModuleType

from icd.offline.training.config import Objective


def objective_module(name: Objective) -> ModuleType:
    """Return an objective's module; it loads TRL."""
    # That a part of it may change is the concern of our version range, not of who runs a training.
    os.environ.setdefault("TRL_EXPERIMENTAL_SILENCE", "1")
    return import_module(f"{__name__}.{name}")
