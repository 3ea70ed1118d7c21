"""What is known of a step beside the student's answers, and whose action is taken: pure functions."""

from __future__ import annotations

from collections.abc import Sequence

from icd.agreement import text_key
from icd.analogy import adapt, copied_action
from icd.cascade import Evidence
from icd.code_agreement import action_key
from icd.decision import Candidate, DecisionContext, Facts
from icd_memory.admission import is_idle
from icd_memory.retrieval import Excerpt, Query, state_text


def query_of(context: DecisionContext) -> Query:
    """Return what demonstrations are looked for by."""
    return Query(
        goal=context.goal,
        category=context.category,
        plan=context.plan,
        state=state_text(context.observation, context.view, context.goal),
        environment=context.environment,
        tenant=context.tenant,
        instance=context.instance,
    )


def keys_of(actions: Sequence[str] | None) -> frozenset[str] | None:
    """Return the canonical forms of the admissible actions; None: any text is one."""
    return None if actions is None else frozenset(key for a in actions if (key := text_key(a)) is not None)


def tried_here(context: DecisionContext) -> frozenset[str]:
    """Return the canonical actions that lead nowhere from here: done before in this very state, or just failed.

    Two moments are the same state if the agent knew and saw the same; where the environment keeps no view, if the
    observation is the same. What a block of code finds is no observation of the world it acts in, and one that was run
    before gives little new: of blocks, all that were run in the episode count.
    """
    if context.code:
        return frozenset(key for step in context.history if (key := action_key(step.action)) is not None)
    here = context.view or context.observation
    past = [step for step in context.history if (step.view or step.observation) == here]
    if context.history and is_idle(context.observation):
        past.append(context.history[-1])
    return frozenset(key for step in past if (key := text_key(step.action)) is not None)


def leader(samples: Sequence[Candidate], key: str | None) -> Candidate:
    """Return the first sample with this key; the first of all, if none has it."""
    return next((c for c in samples if c.key == key), samples[0])


def demonstrated(
    context: DecisionContext, excerpts: Sequence[Excerpt], tried: frozenset[str]
) -> Candidate | None:
    """Return the first demonstrated action that is possible and new here, with the present names; None: there is none."""
    for excerpt in excerpts:
        step = adapt(excerpt, context.goal, context.plan).steps[excerpt.focus]
        if context.code:
            action, key = step.action, action_key(step.action)
        else:
            action = copied_action(excerpt, context, tried) or ""
            key = text_key(action)
        if key is not None and key not in tried:
            return Candidate(action, key, step.reasoning)
    return None


def copied(context: DecisionContext, excerpts: Sequence[Excerpt], tried: frozenset[str]) -> Candidate:
    """Return the nearest demonstrated action with the present names; without one, the first action not yet tried."""
    found = demonstrated(context, excerpts, tried)
    if found is not None or context.code:
        return found or Candidate("", None)
    fresh = [a for a in context.admissible or () if text_key(a) not in tried]
    action = fresh[0] if fresh else next(iter(context.admissible or ("",)))
    return Candidate(action, text_key(action))


def copied_key(found: Candidate | None, support: float | None, least: float | None) -> str | None:
    """Return the canonical form of the demonstrated action where it is near enough to be copied, else None."""
    if found is None or support is None or least is None or support < least:
        return None
    return found.key


def facts_of(evidence: Evidence, samples: Sequence[Candidate], found: Candidate | None) -> Facts:
    """Return what a receipt keeps of the evidence: of what was tried, only what was sampled again."""
    sampled = {key for sample in samples for key in (sample.key, text_key(sample.action)) if key is not None}
    tried = tuple(sorted(evidence.tried & sampled))
    return Facts(tried, evidence.coin, evidence.teacher_affordable, found)
