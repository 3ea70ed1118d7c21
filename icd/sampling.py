"""Drawing the student's samples of one step: in one request where the prompt is billed once (sequential: in as few
requests as need no sample more than one by one), else one by one until who acts is settled."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from inspect import isawaitable

from icd.backends.base import ChatRequest, Completion
from icd.calls import Bill, PricedModel
from icd.cascade import Policy, next_round, wants_sample
from icd.decision import Candidate
from icd.errors import BackendError

Reader = Callable[[Sequence[Completion]], Sequence[Candidate] | Awaitable[Sequence[Candidate]]]
"""Reads all samples drawn so far: what they have in common may depend on all of them, and on a model that is asked."""

FAILED = Completion("", "failed")
"""In the place of a sample that the student could not give: unreadable, so a disagreement."""


async def draw(
    policy: Policy,
    student: PricedModel,
    request: ChatRequest,
    read: Reader,
    bill: Bill,
    *,
    all_of_them: bool = False,
) -> tuple[list[Completion], list[Candidate]]:
    """Return the samples, raw and read. `request.n` are asked for where the prompt is billed once, else one by one.

    A sequential policy asks for fewer at once, unless more are wanted than it ever draws. With `all_of_them` none is
    saved.

    Raises:
        BackendError: the student failed, and the policy has nobody else.
        BudgetError: a sample cannot be paid.
    """
    if request.n > 1 and not student.backend.capabilities.shared_prompt:
        request = replace(request, n=1)
    in_rounds = policy.name == "sequential" and 1 < request.n <= policy.n and not all_of_them
    first_seed = request.seed
    drawn: list[Completion] = []
    candidates: list[Candidate] = []

    def wanted() -> bool:
        if all_of_them:
            return len(drawn) < policy.n
        return wants_sample(policy, [candidate.key for candidate in candidates])

    while wanted():
        if in_rounds:
            request = replace(request, n=next_round(policy, [candidate.key for candidate in candidates]))
        if first_seed is not None and drawn:
            request = replace(request, seed=first_seed + len(drawn))
        try:
            drawn += (await bill.ask(student, request, "student")).completions
        except BackendError:
            if policy.name in ("student", "random"):
                raise
            drawn += [FAILED] * request.n
        found = read(drawn)
        candidates = list(await found if isawaitable(found) else found)
    return drawn, candidates
