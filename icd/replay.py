"""Replaying recorded decisions under other rules, without a model: what would have been done at each step.

Pure functions of receipts. What a record cannot tell is said, never guessed: a sample that was not drawn, an answer that
the teacher was not asked for, a demonstrated action that was not looked for, and everything after the episode would
have gone another way. Records in the mode `full` leave only the last (DESIGN.md, "Decide and do are apart").
Where a verifier joined samples of code, its groups are those of all samples that were drawn.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from icd.agreement import text_key
from icd.cascade import (
    NO_GUARDS,
    Evidence,
    Guards,
    Policy,
    Verdict,
    before_sampling,
    decide,
    parse_policy,
    resolved,
    wants_sample,
)
from icd.decision import ActedBy, Candidate, Reason
from icd.evidence import copied_key, leader
from icd.intent_agreement import AgreementKind, joined_intents
from icd_memory.rows import DecisionRow, JsonObject

__all__ = ["Replayed", "Rules", "Unknown", "replay_decision", "replay_episode"]

Unknown = Literal["samples", "teacher", "copy", "diverged", "receipt"]
"""Why it is not known what would have been done: too few samples were drawn; the teacher was not asked; what copying
would do was not looked for; the episode would have gone another way before; the receipt is of a version that kept too
little."""
_PLAN = -1
"""The step number of a plan's receipt."""


@dataclass(frozen=True, slots=True)
class Rules:
    """All that decides who acts on given samples."""

    policy: Policy
    guards: Guards = NO_GUARDS
    agreement: AgreementKind = "exact"
    copy_above: float | None = None

    @classmethod
    def of(cls, body: JsonObject) -> Rules:
        """Return the rules that a recorded decision was taken by."""
        return cls(
            parse_policy(body["policy"]), Guards(**body["guards"]),
            body["agreement_kind"], body["copy_above"],
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Replayed:
    """What would have been done at a step."""

    step: int
    actor: ActedBy | None
    """None: not known."""
    reason: Reason | None
    action: str | None
    """None: not known. Of the teacher it can be unknown although it is known that the teacher acts."""
    reasoning: str = ""
    unknown: Unknown | None = None
    """Why the action is not known."""


def replay_episode(rows: Iterable[DecisionRow], rules: Rules) -> list[Replayed]:
    """Return the steps of an episode under other rules, in order.

    From the first step on that is not known, or at which something else would have been done or thought, all further
    steps are unknown: other things would have been seen, and shown to the models.

    Raises:
        ConfigurationError: the policy is an unresolved ``calibrated``.
    """
    replayed: list[Replayed] = []
    together = True
    for row in sorted((row for row in rows if row.step != _PLAN), key=lambda row: row.step):
        if together:
            found = replay_decision(row, rules)
            together = (found.action, found.reasoning) == (row.body["action"], row.body["reasoning"])
        else:
            found = Replayed(row.step, None, None, None, unknown="diverged")
        replayed.append(found)
    return replayed


def replay_decision(row: DecisionRow, rules: Rules) -> Replayed:
    """Return what would have been done at a recorded step, had it been reached, under other rules.

    Raises:
        ConfigurationError: the policy is an unresolved ``calibrated``.
    """
    body, policy = row.body, resolved(rules.policy)
    if "facts" not in body:
        return _not_known(row, "receipt")
    record = _Record.of(body, rules.agreement)
    samples = record.samples[: policy.n]
    copy_is_open = rules.copy_above is not None and not record.looked_for_copy
    if copy_is_open and policy.name not in ("teacher", "copy"):
        return _not_known(row, "copy")
    evidence = Evidence(
        [sample.key for sample in samples],
        frozenset(record.admissible),
        record.tried,
        body["support"],
        record.coin,
        record.teacher_affordable,
        copied_key(record.copied, body["support"], rules.copy_above),
    )
    verdict = before_sampling(policy, rules.guards, evidence)
    if verdict is None:
        if wants_sample(policy, evidence.keys):
            return _not_known(row, "samples")
        verdict = decide(policy, rules.guards, evidence)
    return _done(row, verdict, samples, record.copied)


def _done(
    row: DecisionRow, verdict: Verdict, samples: Sequence[Candidate], copied: Candidate | None
) -> Replayed:
    body, actor, reason = row.body, verdict.actor, verdict.reason
    if actor == "teacher" and body["reason"] == "teacher_failed":
        actor, reason = "student", "teacher_failed"
    chosen: Candidate | None
    match actor:
        case "student":
            chosen = leader(samples, verdict.key)
        case "teacher":
            chosen = _own(body) if body["acted_by"] == "teacher" else _candidate(body["shadow"])
        case "copy":
            same = body["acted_by"] == "copy" and body["reason"] == reason
            chosen = _own(body) if same else copied if reason == "copied" else None
    if chosen is None:
        return Replayed(row.step, actor, reason, None, unknown=actor if actor != "student" else "samples")
    return Replayed(row.step, actor, reason, chosen.action, chosen.reasoning)


def _not_known(row: DecisionRow, why: Unknown) -> Replayed:
    return Replayed(row.step, None, None, None, unknown=why)


class _Record(NamedTuple):
    """What a receipt tells about the moment of its decision."""

    samples: list[Candidate]
    admissible: set[str]
    """Canonical forms of the sampled actions that are possible."""
    tried: frozenset[str]
    coin: float
    teacher_affordable: bool
    copied: Candidate | None
    looked_for_copy: bool

    @classmethod
    def of(cls, body: JsonObject, agreement: AgreementKind) -> _Record:
        drawn = [found for sample in body["samples"] if (found := _candidate(sample)) is not None]
        if body["agreement_kind"] == "intent" and not body["code"]:
            drawn = [_with_own_key(sample) for sample in drawn]
        facts = body["facts"]
        return cls(
            joined_intents(drawn) if agreement == "intent" and not body["code"] else drawn,
            {sample.key for sample in drawn if sample.admissible and sample.key is not None},
            frozenset(facts["tried"]),
            facts["coin"],
            facts["teacher_affordable"],
            _candidate(facts["copied"]),
            body["record"] == "full" or body["copy_above"] is not None,
        )


def _with_own_key(sample: Candidate) -> Candidate:
    return Candidate(
        sample.action,
        text_key(sample.action),
        sample.reasoning,
        sample.text,
        sample.admissible,
        sample.problem,
    )


def _candidate(data: JsonObject | None) -> Candidate | None:
    return None if data is None else Candidate(**data)


def _own(body: JsonObject) -> Candidate:
    return Candidate(body["action"], None, body["reasoning"])
