"""A trajectory as plain JSON data and back, exactly: what the store keeps and what exports are made of."""

from __future__ import annotations

from datetime import datetime

from icd_memory.rows import JsonObject
from icd_memory.trajectory import Outcome, Provenance, Step, Trajectory


def trajectory_to_json(trajectory: Trajectory) -> JsonObject:
    """Return the trajectory as JSON data."""
    outcome = trajectory.outcome
    provenance = trajectory.provenance
    return {
        "id": trajectory.id,
        "tenant": trajectory.tenant,
        "environment": trajectory.environment,
        "task_id": trajectory.task_id,
        "instance": trajectory.instance,
        "split": trajectory.split,
        "goal": trajectory.goal,
        "category": trajectory.category,
        "plan": trajectory.plan,
        "outcome": outcome
        and {"success": outcome.success, "score": outcome.score, "verified_by": outcome.verified_by},
        "provenance": {
            "source": provenance.source,
            "producer": provenance.producer,
            "created_at": provenance.created_at.isoformat(),
            "restriction": provenance.restriction,
        },
        "notes": trajectory.notes,
        "steps": [
            {
                "observation": step.observation,
                "action": step.action,
                "reasoning": step.reasoning,
                "view": step.view,
                "actor": step.actor,
                "reward": step.reward,
            }
            for step in trajectory.steps
        ],
    }


def trajectory_from_json(data: JsonObject) -> Trajectory:
    """Return the trajectory that `trajectory_to_json` was given. Other fields are a TypeError or KeyError."""
    fields = dict(data)
    provenance = dict(fields.pop("provenance"))
    provenance["created_at"] = datetime.fromisoformat(provenance["created_at"])
    outcome = fields.pop("outcome")
    return Trajectory(
        **{name: value for name, value in fields.items() if name != "steps"},
        steps=tuple(map(_step, fields["steps"])),
        outcome=Outcome(**outcome) if outcome else None,
        provenance=Provenance(**provenance),
    )


def _step(data: JsonObject) -> Step:
    return Step(
        data["observation"], data["action"], data["reasoning"], data["view"], data["actor"], data["reward"]
    )
