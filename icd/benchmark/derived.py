"""Methods that need not be played: for each task they choose between episodes that others played in the same run.

- ``oracle``: the cheaper of student and teacher that succeeded; where none did, the student. What no method can beat.
- ``episodes(0.8)``: the whole-episode cascade. The student plays; if its samples agreed less than that on average, or it
  was cut off at the step cap, the teacher plays the task anew. Both are paid, and what the student did is undone, which
  is possible only in worlds that can be reset.
- ``router(0.3)``: a router of prompts sends about that share of the tasks to the teacher (`icd.benchmark.router`).

The student is ``in-context``, or ``student`` in runs without demonstrations. What would have been paid is counted.
"""

from __future__ import annotations

import math
import re
from dataclasses import replace
from typing import Literal, NamedTuple

from icd.benchmark.conditions import method_defaults
from icd.benchmark.methods import Method, MethodDefaults, recorded_method
from icd.benchmark.played import Result, Tokens
from icd.benchmark.played_run import PlayedRun
from icd.benchmark.steps import played_steps
from icd.cascade import Guards, Policy
from icd.errors import ConfigurationError

__all__ = ["DERIVED_HELP", "Derived", "derive", "derived_method", "parse_derived"]

DERIVED_HELP = "oracle, episodes(AGREEMENT) or router(SHARE), such as episodes(0.8) or router(0.3)"


class Derived(NamedTuple):
    """A derived method, as it is written."""

    kind: Literal["oracle", "episodes", "router"]
    value: float = 0.0
    """Least mean agreement (episodes), or the teacher's share of tasks (router)."""

    def __str__(self) -> str:
        return self.kind if self.kind == "oracle" else f"{self.kind}({self.value:g})"


def parse_derived(text: str) -> Derived:
    """Read a derived method.

    Raises:
        ConfigurationError: it is not understood.
    """
    match = re.fullmatch(r"(oracle)|(episodes|router)\(([0-9.]+)\)", text.strip().lower())
    try:
        value = float(match[3]) if match and match[3] else 0.0
    except ValueError:
        value = math.nan
    if match is None or not 0 <= value <= 1:
        raise ConfigurationError(f"derived method {text!r} is not understood: write {DERIVED_HELP}")
    if match[1]:
        return Derived("oracle")
    return Derived("episodes" if match[2] == "episodes" else "router", value)


def derived_method(name: str, defaults: MethodDefaults) -> Method:
    """Return a derived method under its one name, as a table describes it.

    Raises:
        ConfigurationError: it is not understood.
    """
    found = parse_derived(name)
    what = {
        "oracle": "derived: for each task the cheaper of student and teacher that succeeds",
        "episodes": f"derived: the teacher plays anew what was not finished, or agreed on below {found.value:g}",
        "router": f"derived: a router of prompts, fitted on train tasks, sends {found.value:.0%} of them to the teacher",
    }[found.kind]
    return Method(str(found), Policy("student"), defaults.k, Guards(), what)


def derive(name: str, run: PlayedRun) -> list[Result]:
    """Return the episodes of a derived method, on the tasks that all it chooses from have finished.

    Raises:
        ConfigurationError: it is not understood, or the run has not played what it needs.
        MissingExtraError: the router needs the extra ``report``.
        IcdMemoryError: the router's embedder cannot be used.
    """
    found = parse_derived(name)
    match found.kind:
        case "oracle":
            chosen = _oracle(run)
        case "episodes":
            chosen = _episodes(run, found.value)
        case "router":
            chosen = _routed(run, found.value)
    return [replace(result, method=str(found)) for result in chosen]


def _student_of(run: PlayedRun) -> str:
    """Return the method that is the student's part: with demonstrations, if the run has it."""
    return "in-context" if run.results.get("in-context") else "student"


def _paired(run: PlayedRun, first: str, second: str, what: str) -> list[tuple[Result, Result]]:
    """Return the episodes of two methods on the same tasks and seeds, in their order.

    Raises:
        ConfigurationError: there are none.
    """
    one, other = run.by_task(first), run.by_task(second)
    pairs = [(one[key], other[key]) for key in sorted(one.keys() & other.keys())]
    if not pairs:
        raise ConfigurationError(
            f"{what} chooses between {first} and {second}, and {run.run_id} has no task that both have played"
        )
    return pairs


def _oracle(run: PlayedRun) -> list[Result]:
    chosen = []
    for student, teacher in _paired(run, _student_of(run), "teacher", "oracle"):
        winners = [result for result in (student, teacher) if result.won]
        chosen.append(min(winners, key=lambda result: result.cost, default=student))
    return chosen


def _episodes(run: PlayedRun, least: float) -> list[Result]:
    method = _sampled_student(run)
    agreement = _mean_agreement(run, method)
    chosen = []
    for student, teacher in _paired(run, method, "teacher", "episodes"):
        finished = student.won or student.steps < run.conditions["max_steps"]
        trusted = agreement[student.task_id, student.seed] >= least
        chosen.append(student if finished and trusted else _played_anew(student, teacher))
    return chosen


def _sampled_student(run: PlayedRun) -> str:
    """Return the method with the most episodes that samples more than once and never asked the teacher.

    Raises:
        ConfigurationError: there is none.
    """
    defaults = method_defaults(run.conditions)
    candidates = [
        (len(results), name)
        for name, results in run.results.items()
        if recorded_method(name, defaults).policy.n > 1
        and not any(result.teacher_steps for result in results)
    ]
    if not candidates:
        raise ConfigurationError(
            f"episodes needs to know how well the student's samples agreed, and {run.run_id} has no method that samples "
            "several times and never asks the teacher: also play majority(3,0.3)[guards=none]"
        )
    return max(candidates, key=lambda found: (found[0], found[1]))[1]


def _mean_agreement(run: PlayedRun, method: str) -> dict[tuple[str, int], float]:
    """Return the mean share of equal samples, over an episode's steps; 1 for an episode without any."""
    shares: dict[tuple[str, int], list[float]] = {key: [] for key in run.by_task(method)}
    for step in played_steps(run.store, run.run_id, method):
        shares[step.task_id, step.seed].append(step.agreement or 0.0)
    return {key: math.fsum(found) / len(found) if found else 1.0 for key, found in shares.items()}


def _played_anew(student: Result, teacher: Result) -> Result:
    return replace(
        teacher,
        steps=student.steps + teacher.steps,
        cost=student.cost + teacher.cost,
        uncached_cost=student.uncached_cost + teacher.uncached_cost,
        tokens=Tokens(
            student.tokens.fresh + teacher.tokens.fresh,
            student.tokens.cached + teacher.tokens.cached,
            student.tokens.output + teacher.tokens.output,
        ),
        estimated=student.estimated or teacher.estimated,
    )


def _routed(run: PlayedRun, share: float) -> list[Result]:
    from icd.benchmark.router import fit_router

    router = fit_router(run, _student_of(run))
    pairs = _paired(run, _student_of(run), "teacher", "router")
    to_teacher = router.to_teacher([run.prompts[student.task_id] for student, _ in pairs], share)
    return [teacher if sent else student for (student, teacher), sent in zip(pairs, to_teacher, strict=True)]
