"""The model ids that clients may name, and what each means: who takes the step."""

from __future__ import annotations

from dataclasses import dataclass

from icd.cascade import Policy, parse_policy, resolved
from icd.errors import ConfigurationError
from icd.serving.errors import ApiError, not_found

__all__ = ["ServedModels"]

_PREFIX = "icd/"
_CASCADE = "icd/cascade"
MOST_SAMPLES = 32
"""A client may ask for so many samples of a step at most."""


@dataclass(frozen=True, slots=True)
class ServedModels:
    """What stands behind the server; None: there is no such model."""

    student: str | None
    teacher: str | None
    default_policy: Policy

    def ids(self) -> tuple[str, ...]:
        """Return the ids that are listed; every other policy can be named as well."""
        found = [_CASCADE]
        if self.student is not None:
            found.append("icd/student")
        if self.teacher is not None:
            found.append("icd/teacher")
        if self.student is not None and self.default_policy.name not in ("student", "teacher"):
            found.append(f"{_PREFIX}{self.default_policy}")
        # An agent keeps the model name that it has.
        return (*found, *((self.teacher,) if self.teacher is not None else ()))

    def policy(self, model: str) -> Policy | None:
        """Return the policy that a model id names; None: what the tenant's mode says.

        Raises:
            ApiError: 404, naming what there is.
        """
        if model in (_CASCADE, self.teacher):
            return None
        if not model.startswith(_PREFIX):
            raise self._unknown(model, "")
        try:
            policy = resolved(parse_policy(model.removeprefix(_PREFIX), str(self.default_policy)))
        except ConfigurationError as error:
            raise self._unknown(model, f" ({error})") from error
        if policy.n > MOST_SAMPLES:
            raise self._unknown(model, f" (at most {MOST_SAMPLES} samples)")
        return policy

    def _unknown(self, model: str, why: str) -> ApiError:
        return not_found(
            f"there is no model {model[:200]!r}{why}; there are {', '.join(self.ids())}, and icd/POLICY for any policy",
            param="model",
            code="model_not_found",
        )
