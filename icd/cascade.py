"""Who takes a step: policies and guards, as pure functions of the samples and of facts gathered before.

Nothing here calls a model. `wants_sample` says whether one more sample can still change the outcome (so unanimity stops
at the first disagreement); `decide` says who acts and why. A stored decision can therefore be replayed under another
policy as far as its samples reach. Source: arXiv 2512.02543 (unanimity), 2310.03094 (majority share), 2305.11860
(sequential: adaptive consistency).
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from icd.agreement import Vote, vote
from icd.chance import uniform
from icd.decision import ActedBy, Reason
from icd.errors import ConfigurationError

PolicyName = Literal[
    "student", "teacher", "random", "copy", "unanimity", "majority", "sequential", "calibrated"
]

POLICY_HELP = (
    "student, teacher, copy, random(p), unanimity(n), majority(n, threshold), sequential(n, confidence), "
    "calibrated(epsilon, delta), or cascade (the default one)"
)
MAJORITY = 0.6
"""Share of equal samples that majority trusts where none is given, and that sequential does."""


@dataclass(frozen=True, slots=True)
class Policy:
    """Who acts, as written everywhere: ``unanimity(3)``, ``majority(5, 0.6)``, ``random(0.3)``, ``student``.

    ``calibrated(0.1, 0.1)`` is only a name, for the policy that `icd calibrate` found: nothing is decided by it until
    it is `resolved`.
    """

    name: PolicyName
    n: int = 1
    """Student samples at most."""
    threshold: float = 1.0
    """Least share of equal samples that is trusted (majority)."""
    p: float = 0.0
    """Probability of the teacher (random)."""
    confidence: float = 1.0
    """Probability that the leading action stays ahead, at which no more samples are drawn (sequential)."""
    epsilon: float = 0.0
    """How far below the teacher's success the episodes' may lie (calibrated)."""
    delta: float = 0.0
    """Probability that they nevertheless lie lower (calibrated)."""

    def __str__(self) -> str:
        match self.name:
            case "unanimity":
                return f"unanimity({self.n})"
            case "majority":
                return f"majority({self.n}, {_number(self.threshold)})"
            case "random":
                return f"random({_number(self.p)})"
            case "sequential":
                return f"sequential({self.n}, {_number(self.confidence)})"
            case "calibrated":
                return f"calibrated({_number(self.epsilon)}, {_number(self.delta)})"
        return self.name

    @property
    def asks_student(self) -> bool:
        """Whether the student is sampled at all."""
        return self.name not in ("teacher", "copy")

    @property
    def asks_teacher(self) -> bool:
        """Whether the teacher may be asked."""
        return self.name not in ("student", "copy")

    @property
    def votes_needed(self) -> int:
        """Equal samples that settle for the student."""
        return self.votes_of(self.n)

    def votes_of(self, drawn: int) -> int:
        """Return how many equal ones of so many samples are enough to trust them."""
        share = MAJORITY if self.name == "sequential" else self.threshold
        return max(1, math.ceil(round(share * drawn, 9)))


def _number(value: float) -> str:
    """Return the shortest text that reads back as the same number."""
    short = f"{value:g}"
    return short if float(short) == value else repr(value)


class Guards(NamedTuple):
    """Switches on top of a policy; the paper's method has none."""

    validity: bool = False
    """An inadmissible or unreadable action is not trusted."""
    progress: bool = False
    """An action already tried in this very state, or one that just failed, is not trusted again."""
    support: float | None = None
    """Least similarity of the best excerpt; below it the student is not trusted."""


NO_GUARDS = Guards()
"""The paper's method."""


class Evidence(NamedTuple):
    """What is known when the decision is taken."""

    keys: Sequence[str | None]
    """Canonical forms of the student's samples, in the order drawn; None: unreadable."""
    admissible: frozenset[str] | None = None
    """Canonical forms of the admissible actions; None: anything is."""
    tried: frozenset[str] = frozenset()
    """Canonical forms of the actions that led nowhere from this state."""
    support: float | None = None
    coin: float = 1.0
    """Uniform in [0, 1), for `random`."""
    teacher_affordable: bool = True
    copied: str | None = None
    """Canonical form of the demonstrated action that is taken without asking the student; None: it is asked."""


class Verdict(NamedTuple):
    """Who acts, and why; `key` is the action of the student, if it acts, or the one that is copied."""

    actor: ActedBy
    reason: Reason
    key: str | None


_POLICY = re.compile(r"\s*([a-z_]+)\s*(?:\(\s*([^()]*)\s*\))?\s*")


def parse_policy(text: str, default: str = "unanimity(3)") -> Policy:
    """Read a policy as people write it; ``cascade`` is an alias of `default`.

    Raises:
        ConfigurationError: unknown name, or arguments that make no sense.
    """
    match = _POLICY.fullmatch(text.lower())
    name = match.group(1) if match else text
    if name == "cascade":
        return parse_policy(default)
    try:
        args = [float(a) for a in (match.group(2) or "").split(",") if a.strip()] if match else []
        return _build(name, args)
    except (ValueError, IndexError) as error:
        raise ConfigurationError(
            f"policy {text[:100]!r} is not understood ({str(error)[:200]}); write {POLICY_HELP}"
        ) from error


def _build(name: str, args: list[float]) -> Policy:
    limits = {
        "student": 0, "teacher": 0, "copy": 0, "random": 1, "unanimity": 1,
        "majority": 2, "sequential": 2, "calibrated": 2,
    }  # fmt: skip
    if name not in limits:
        raise ValueError("no such policy")
    if len(args) > limits[name]:
        raise ValueError("too many arguments")
    match name:
        case "student" | "teacher" | "copy":
            return Policy(name)
        case "random":
            if not 0 <= args[0] <= 1:
                raise ValueError("p must lie in 0..1")
            return Policy("random", p=args[0])
        case "unanimity":
            return Policy("unanimity", n=_samples(args, 3))
        case "majority":
            return Policy("majority", n=_samples(args, 3), threshold=_second(args, "threshold", MAJORITY))
        case "sequential":
            return Policy("sequential", n=_samples(args, 5), confidence=_second(args, "confidence", 0.95))
    epsilon, delta = [*args, *[0.1, 0.1][len(args) :]]
    if not (0 < epsilon < 1 and 0 < delta < 1):
        raise ValueError("epsilon and delta must lie between 0 and 1")
    return Policy("calibrated", epsilon=epsilon, delta=delta)


def _samples(args: Sequence[float], default: int) -> int:
    n = float(args[0] if args else default)
    if not n.is_integer() or n < 1:
        raise ValueError("n must be a whole number of at least 1")
    return int(n)


def _second(args: Sequence[float], name: str, default: float) -> float:
    value = args[1] if len(args) > 1 else default
    if not 0 < value <= 1:
        raise ValueError(f"the {name} must lie in (0, 1]")
    return value


def resolved(policy: Policy, found: Policy | None = None) -> Policy:
    """Return the policy that decides: `found`, which a calibration chose, in the place of ``calibrated``.

    Raises:
        ConfigurationError: the policy is ``calibrated``, and nothing was found.
    """
    if policy.name != "calibrated":
        return policy
    if found is None or found.name == "calibrated":
        raise ConfigurationError(f"policy {policy} has no calibration yet: run `icd calibrate` first")
    return found


def wants_sample(policy: Policy, keys: Sequence[str | None]) -> bool:
    """Return whether another sample can still change who acts, or, for sequential, is likely enough to."""
    if len(keys) >= (policy.n if policy.asks_student else 0):
        return False
    leader = vote(keys)
    settled_for = (
        policy.name in ("majority", "sequential")
        and leader.votes >= policy.votes_needed
        and leader.votes > _runner_up(keys) + policy.n - len(keys)
    )
    settled_against = leader.votes + policy.n - len(keys) < policy.votes_needed
    return not (settled_for or settled_against or _confident(policy, keys, leader))


def next_round(policy: Policy, keys: Sequence[str | None]) -> int:
    """Return how many samples to draw at once where they share the prompt: for sequential the fewest after which it
    can stop, so none is drawn that one by one would have saved; else all that are left."""
    left = policy.n - len(keys)
    if policy.name != "sequential":
        return left
    alike = vote(keys).key or ""
    for number in range(1, left):
        if any(not wants_sample(policy, [*keys, *[key] * number]) for key in (alike, None)):
            return number
    return left


def considered(policy: Policy, keys: Sequence[str | None]) -> Sequence[str | None]:
    """Return the samples that the policy goes by: of more than sequential would have drawn, the first."""
    if policy.name != "sequential":
        return keys
    drawn = next((n for n in range(len(keys)) if not wants_sample(policy, keys[:n])), len(keys))
    return keys[:drawn]


def stays_ahead(votes: int, others: int) -> float:
    """Return the posterior probability that an action drawn `votes` times is likelier than one drawn `others` times.

    P(X > 1/2) of X ~ Beta(votes + 1, others + 1), from a flat prior (arXiv 2305.11860). With whole numbers it
    is a tail of the binomial distribution.
    """
    trials = votes + others + 1
    return sum(math.comb(trials, j) for j in range(votes + 1)) * 0.5**trials


def _confident(policy: Policy, keys: Sequence[str | None], leader: Vote) -> bool:
    """Whether sequential takes the leader for the one that all n samples would have."""
    if policy.name != "sequential" or leader.votes < policy.votes_of(len(keys)):
        return False
    unreadable = sum(key is None for key in keys)
    return stays_ahead(leader.votes, max(_runner_up(keys), unreadable)) >= policy.confidence


def _runner_up(keys: Sequence[str | None]) -> int:
    """Size of the second largest group."""
    counts = Counter(key for key in keys if key is not None).most_common(2)
    return counts[1][1] if len(counts) > 1 else 0


def before_sampling(policy: Policy, guards: Guards, evidence: Evidence) -> Verdict | None:
    """Say who acts where no sample has to be known for it; None: the samples decide."""
    if policy.name == "teacher" or (policy.name == "random" and evidence.coin < policy.p):
        return Verdict("teacher", "policy", None)
    if policy.name == "copy":
        return Verdict("copy", "policy", None)
    if evidence.copied is not None and not _unsupported(guards, evidence):
        return Verdict("copy", "copied", evidence.copied)
    return None


def decide(policy: Policy, guards: Guards, evidence: Evidence) -> Verdict:
    """Say who acts. With n = 1, a readable sample and no guard the student always acts; a higher threshold never lowers
    the escalations."""
    if verdict := before_sampling(policy, guards, evidence):
        return verdict
    keys = considered(policy, evidence.keys)
    leader = vote(keys)
    doubt = _doubt(policy, guards, evidence, leader, len(keys))
    if doubt is None:
        return Verdict("student", "policy" if policy.name in ("student", "random") else "agreed", leader.key)
    if policy.name in ("student", "random"):
        return Verdict("student", doubt, leader.key)
    if not evidence.teacher_affordable:
        return Verdict("student", "budget", leader.key)
    return Verdict("teacher", doubt, leader.key)


def _doubt(policy: Policy, guards: Guards, evidence: Evidence, leader: Vote, drawn: int) -> Reason | None:
    """Return the first reason not to trust the student's samples, None if there is none."""
    if leader.key is None:
        return "invalid"
    if leader.votes < (policy.votes_of(drawn) if policy.name == "sequential" else policy.votes_needed):
        return "disagreed"
    if guards.validity and evidence.admissible is not None and leader.key not in evidence.admissible:
        return "invalid"
    if guards.progress and leader.key in evidence.tried:
        return "stuck"
    return "unsupported" if _unsupported(guards, evidence) else None


def _unsupported(guards: Guards, evidence: Evidence) -> bool:
    return guards.support is not None and (evidence.support is None or evidence.support < guards.support)


def toss(episode_id: str, step: int, seed: int) -> float:
    """Return a coin in [0, 1) for `random` that depends on the episode, step and seed only, so that a run replays."""
    return uniform(episode_id, step, seed)
