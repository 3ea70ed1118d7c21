"""The mark of what must not be published."""

from __future__ import annotations

from dataclasses import replace

from icd_envs.table import RESTRICTIONS
from icd_memory.trajectory import Trajectory


def restriction_of(trajectory: Trajectory) -> str:
    """Return why a trajectory must not be published; empty: it may be."""
    return trajectory.provenance.restriction or RESTRICTIONS.get(trajectory.environment, "")


def marked(trajectory: Trajectory) -> Trajectory:
    """Return the trajectory with its mark, where it has one, in its own record."""
    restriction = restriction_of(trajectory)
    if restriction == trajectory.provenance.restriction:
        return trajectory
    return replace(trajectory, provenance=replace(trajectory.provenance, restriction=restriction))
