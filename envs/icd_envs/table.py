"""The table of environments: a name, and how to make its suite.

What an environment needs is imported when it is used.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from icd_envs.base import Suite
from icd_envs.errors import TaskNotFoundError


def _household(**options: Any) -> Suite:
    from icd_envs.household.suite import HouseholdSuite

    return HouseholdSuite(**options)


def _alfworld(**options: Any) -> Suite:
    from icd_envs.alfworld import AlfworldSuite

    return AlfworldSuite(**options)


def _workspace(**options: Any) -> Suite:
    from icd_envs.workspace.suite import WorkspaceSuite

    return WorkspaceSuite(**options)


def _appworld(**options: Any) -> Suite:
    from icd_envs.appworld_suite import AppWorldSuite

    return AppWorldSuite(**options)


def _service_desk(**options: Any) -> Suite:
    from icd_envs.service_desk.suite import ServiceDeskSuite

    return ServiceDeskSuite(**options)


SUITES: Mapping[str, Callable[..., Suite]] = {
    "household": _household,
    "alfworld": _alfworld,
    "workspace": _workspace,
    "appworld": _appworld,
    "service-desk": _service_desk,
}
"""Every environment by its name."""


RESTRICTIONS: Mapping[str, str] = {
    "appworld": "made from AppWorld's tasks, which its authors ask not to be published in plain text",
}
"""Why nothing that is made from an environment's tasks may be published; the others have no such rule."""


def suite(name: str, **options: Any) -> Suite:
    """Make the suite of an environment; `options` are those of its class. Raises `TaskNotFoundError`."""
    if name not in SUITES:
        raise TaskNotFoundError(f"no environment {name!r}: there are {', '.join(sorted(SUITES))}")
    return SUITES[name](**options)
