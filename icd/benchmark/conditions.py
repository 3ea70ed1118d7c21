"""The conditions of a run: everything that an outcome or a cost may depend on, besides task, seed and method.

A run's id is a hash of its conditions. So the same command finds its run again and goes on with it, more
episodes or more methods join it, and anything that would make episodes incomparable starts another one.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from icd.benchmark.methods import Details, MethodDefaults
from icd.cascade import Guards, Policy, parse_policy
from icd.episode import NO_LIMITS, Limits
from icd.prompting import PromptSettings
from icd.runtime_settings import RuntimeSettings
from icd.strategy_use import StrategySettings
from icd_memory.rows import JsonObject, RunRow
from icd_memory.store import Store


@dataclass(frozen=True, slots=True)
class Seat:
    """A model in its place, as far as outcomes and costs depend on it."""

    kind: str
    model: str
    settings: Mapping[str, Any]
    """What else was set for it: endpoint, window, style, ..."""
    price: Mapping[str, Any]
    """Its price, with source, date and note."""


@dataclass(frozen=True, slots=True)
class Conditions:
    """What all episodes of a run share."""

    environment: str
    options: Mapping[str, Any]
    """Of the environment's suite."""
    split: str
    max_steps: int
    seed: int
    """Sets the order of tasks; the first seed of the episodes."""
    student: Seat | None
    teacher: Seat | None
    runtime: RuntimeSettings
    """Without policy, guards and k, which are the method's."""
    defaults: MethodDefaults
    verifier: Seat | None = None
    embedder: str = ""
    demonstrations: int = 0
    memory: str = ""
    """Fingerprint of the demonstrations that can be retrieved; empty where none can."""
    strategies: str = ""
    """Fingerprint of the approved strategies; empty where there are none."""
    sources: tuple[str, ...] = ()
    """The collections that the demonstrations come from."""
    version: str = ""
    """Of icd-runtime."""
    limits: Limits = NO_LIMITS
    """Of each episode."""

    def to_json(self) -> JsonObject:
        """Return plain JSON data."""
        data = asdict(self)
        data["runtime"] = _runtime_facts(self.runtime)
        data |= _limit_facts(data.pop("limits"))
        if not self.strategies:
            del data["strategies"]
        for name in ("policy", "guards", "k"):
            del data["runtime"][name]
        data["defaults"] = {
            "k": self.defaults.k,
            "cascade": str(self.defaults.cascade),
            "guards": _guard_facts(self.defaults.guards),
        }
        plain: JsonObject = json.loads(json.dumps(data, default=str))
        return plain

    def run_id(self) -> str:
        """Return the id that these conditions give a run."""
        return f"{self.environment}-{self.split}-{digest(self.to_json())}"


@dataclass(frozen=True, slots=True)
class CollectionConditions:
    """What all demonstrations of a collection share."""

    environment: str
    options: Mapping[str, Any]
    split: str
    max_steps: int
    teacher: Seat
    runtime: RuntimeSettings
    version: str = field(default="")
    limits: Limits = NO_LIMITS

    def to_json(self) -> JsonObject:
        """Return plain JSON data."""
        data = {"kind": "collection", **asdict(self), "runtime": _runtime_facts(self.runtime)}
        data |= _limit_facts(data.pop("limits"))
        plain: JsonObject = json.loads(json.dumps(data, default=str))
        return plain

    def run_id(self) -> str:
        """Return the id that these conditions give a collection."""
        return f"collect-{self.environment}-{self.split}-{digest(self.to_json())}"


def _runtime_facts(runtime: RuntimeSettings) -> JsonObject:
    """Return how steps are decided; settings that came later are left out where they change nothing, so that older
    runs and collections keep their ids."""
    usual = RuntimeSettings()
    facts = _known_facts(asdict(runtime), asdict(usual), _RUNTIME)
    for place in ("student_prompt", "teacher_prompt"):
        facts[place] = _known_facts(facts[place], asdict(PromptSettings()), _PROMPT)
    # How many are shown is the method's.
    shown = asdict(replace(runtime.strategies, k=0))
    if facts.pop("strategies", None) and (
        changed := _known_facts(shown, asdict(usual.strategies), frozenset())
    ):
        facts["strategies"] = changed
    policy, no_policy = asdict(runtime.policy), asdict(Policy("student"))
    facts["policy"] = _known_facts(policy, no_policy, _POLICY)
    facts["guards"] = list(_guard_facts(runtime.guards).values())
    return facts


def _limit_facts(limits: JsonObject) -> JsonObject:
    set_ones = {name: value for name, value in limits.items() if value is not None}
    return {"limits": set_ones} if set_ones else {}


def _guard_facts(guards: Guards) -> JsonObject:
    return _known_facts(guards._asdict(), Guards()._asdict(), _GUARDS)


def _known_facts(facts: JsonObject, usual: JsonObject, first: frozenset[str]) -> JsonObject:
    return {name: value for name, value in facts.items() if name in first or value != usual[name]}


_RUNTIME = frozenset({
    "policy", "guards", "k", "plan_k", "student_prompt", "teacher_prompt", "temperature", "max_tokens", "max_code_tokens",
    "constrain", "avoid_repeats", "fall_back_to_student",
})  # fmt: skip
_PROMPT = frozenset({
    "placement", "history_steps", "excerpt_before", "excerpt_after", "adapt_names", "show_actions", "reasoning",
})  # fmt: skip
_POLICY = frozenset({"name", "n", "threshold", "p"})
_GUARDS = frozenset({"validity", "progress", "support"})
"""What the first version's ids were made from."""


def digest(data: JsonObject) -> str:
    """Return a short hash of JSON data."""
    text = json.dumps(data, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:10]


def method_defaults(conditions: JsonObject) -> MethodDefaults:
    """Return what stored conditions fixed for the methods."""
    stored, runtime = conditions["defaults"], dict(conditions["runtime"])
    for place in ("student_prompt", "teacher_prompt"):
        runtime[place] = PromptSettings(**runtime[place])
    runtime["strategies"] = StrategySettings(**runtime.get("strategies", {}))
    return MethodDefaults(
        stored["k"],
        parse_policy(stored["cascade"]),
        Guards(**stored["guards"]),
        Details.of(RuntimeSettings(**runtime), conditions.get("embedder", "")),
        conditions.get("demonstrations"),
    )


def fingerprint(store: Store, environment: str) -> tuple[int, str, tuple[str, ...]]:
    """Return number, hash and sources of the demonstrations of an environment."""
    listed = store.listing(environment=environment, status="demonstration")
    if not listed:
        return 0, "", ()
    text = "\n".join(sorted(f"{row.id} {row.content_hash}" for row in listed))
    sources = store.sources(environment=environment, status="demonstration")
    return len(listed), hashlib.sha256(text.encode()).hexdigest()[:16], tuple(sources)


def strategies_fingerprint(store: Store, environment: str) -> str:
    """Return a hash of the strategies of an environment that may be shown; empty if there are none."""
    approved = store.strategies.find("default", environment, "approved")
    text = "\n".join(sorted(f"{strategy.id} {strategy.version}" for strategy in approved))
    return hashlib.sha256(text.encode()).hexdigest()[:16] if approved else ""


def latest_attempt(store: Store, base: str) -> str:
    """Return the id of the newest run under these conditions: `base`, or ``base.2`` after a fresh start."""
    numbers = [_attempt(row, base) for row in store.runs()]
    return _numbered(base, max([1, *numbers]))


def fresh_attempt(store: Store, base: str) -> str:
    """Return an id for a new run under these conditions."""
    return _numbered(base, max([0, *(_attempt(row, base) for row in store.runs())]) + 1)


def _attempt(row: RunRow, base: str) -> int:
    if row.id == base:
        return 1
    prefix, _, number = row.id.rpartition(".")
    return int(number) if prefix == base and number.isdecimal() else 0


def _numbered(base: str, number: int) -> str:
    return base if number == 1 else f"{base}.{number}"
