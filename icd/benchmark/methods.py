"""The methods that are compared: a name, and who decides with how many demonstrations.

Within one run a method's name says all about it: what else a decision depends on is the same for every
method (`icd.benchmark.conditions`). Two methods that decide alike have one name. Each student arm has the same choice
of actions and the same view.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import get_args

from icd.benchmark.method_notation import (
    READERS,
    Retrieval,
    StepPlacement,
    Value,
    read_method,
    unknown_method,
    write_value,
)
from icd.cascade import Guards, Policy, parse_policy
from icd.decision import Recording, StrategyCount
from icd.errors import ConfigurationError
from icd.intent_agreement import AgreementKind
from icd.runtime_settings import RuntimeSettings
from icd_memory.retrieval import RETRIEVAL_KEYS, RetrievalKey

STANDARD = (
    "student", "few-shot", "per-episode", "in-context", "cascade-only", "random-at-cost", "cascade", "copy", "teacher",
)  # fmt: skip
"""The names of the standard methods, as a table shows them."""
MAIN = ("student", "in-context", "cascade", "copy", "teacher")
"""Those that tell the story."""
MIXED = "random-at-cost"
"""The standard method whose share is solved from the episodes of others."""
MIXED_FROM = ("in-context", "cascade", "teacher")
"""Those others."""

_COPY_K = 10
"""Excerpts that the copier looks at, at least: it takes the first of them whose action has a like here."""
_WHOLE = 1_000_000
"""Steps of a demonstration that is shown whole."""


@dataclass(frozen=True, slots=True)
class Details:
    """What a method may change besides its policy, its guards and its number of excerpts."""

    temperature: float = 0.1
    retrieval: Retrieval = "step"
    window: int = 5
    """Steps shown before and after the one that fits."""
    placement: StepPlacement = "after_history"
    """Of excerpts that are found for each step; others stand before the history."""
    adapt_names: bool = True
    history: int | None = None
    """Latest steps that are shown; None: all."""
    memory_size: int | None = None
    """Demonstrations that can be found; None: all. Smaller memories lie within larger ones."""
    keys: frozenset[RetrievalKey] = frozenset(RETRIEVAL_KEYS)
    embedder: str = ""
    agreement: AgreementKind = "exact"
    copy_above: float | None = None
    """Support from which the nearest demonstrated action is taken without asking the student; None: never."""
    record: Recording = "decisions"
    strategies: StrategyCount = 0
    """Shown at most; global: the same list for every task."""

    @classmethod
    def of(cls, runtime: RuntimeSettings, embedder: str = "") -> Details:
        """Return what a run fixes for its methods."""
        shown = runtime.student_prompt
        sticky = shown.placement == "sticky"
        return cls(
            temperature=runtime.temperature,
            retrieval="episode" if sticky else "step",
            window=shown.excerpt_after,
            placement=shown.placement if shown.placement in get_args(StepPlacement) else "after_history",  # type: ignore[arg-type]
            adapt_names=shown.adapt_names,
            history=shown.history_steps,
            embedder=embedder,
            agreement=runtime.agreement,
            copy_above=runtime.copy_above,
            record=runtime.record,
        )

    def applied(self, base: RuntimeSettings) -> RuntimeSettings:
        """Return `base` with these details."""
        width = _WHOLE if self.retrieval == "fixed" else self.window
        prompt = replace(
            base.student_prompt,
            placement=self.placement if self.retrieval == "step" else "sticky",
            adapt_names=self.adapt_names,
            history_steps=self.history,
            excerpt_before=width,
            excerpt_after=width,
        )
        return replace(
            base,
            temperature=self.temperature,
            student_prompt=prompt,
            agreement=self.agreement,
            copy_above=self.copy_above,
            record=self.record,
            strategies=replace(base.strategies, k=self.strategies),
        )


@dataclass(frozen=True, slots=True)
class Method:
    """One way of deciding steps."""

    name: str
    policy: Policy
    k: int
    """Excerpts at a step; 0: no demonstrations."""
    guards: Guards
    description: str
    details: Details = Details()

    def settings(self, base: RuntimeSettings) -> RuntimeSettings:
        """Return `base` with this method's policy, guards, number of excerpts and details."""
        return replace(self.details.applied(base), policy=self.policy, guards=self.guards, k=self.k)


@dataclass(frozen=True, slots=True)
class MethodDefaults:
    """What a run fixes for its methods."""

    k: int = 6
    cascade: Policy = field(default_factory=lambda: Policy("unanimity", n=3))
    guards: Guards = field(default_factory=lambda: Guards(validity=True, progress=True))
    """Of the cascade and of policies that are given by themselves."""
    details: Details = Details()
    demonstrations: int | None = None
    """Those in the memory; None: unknown."""
    mixed: float = 0.0
    """Probability of the teacher in `MIXED`, as far as it is known."""


def standard_method(name: str, defaults: MethodDefaults) -> Method:
    """Return a standard method.

    Raises:
        ConfigurationError: there is none of this name.
    """
    k, none, details = defaults.k, Guards(), defaults.details
    match name:
        case "student":
            what = "the student alone, without demonstrations"
            return Method(name, Policy("student"), 0, none, what, details)
        case "few-shot":
            what = f"the student with the same {k} whole demonstrations for every task of a category"
            return Method(name, Policy("student"), k, none, what, replace(details, retrieval="fixed"))
        case "per-episode":
            what = f"the student with {k} demonstrations found at the first step and kept"
            return Method(name, Policy("student"), k, none, what, replace(details, retrieval="episode"))
        case "in-context":
            what = f"the student with {k} demonstrations at each step"
            return Method(name, Policy("student"), k, none, what, details)
        case "cascade-only":
            what = f"the student alone; {defaults.cascade} calls the teacher for single steps"
            return Method(name, defaults.cascade, 0, defaults.guards, what, details)
        case "random-at-cost":
            what = "as in-context; by chance the teacher takes steps, at the cascade's cost"
            return Method(name, Policy("random", p=defaults.mixed), k, none, what, details)
        case "cascade":
            what = f"as in-context; {defaults.cascade} calls the teacher for single steps"
            return Method(name, defaults.cascade, k, defaults.guards, what, details)
        case "copy":
            what = "no model: the nearest demonstrated step, names filled in"
            return Method(name, Policy("copy"), max(k, _COPY_K), none, what, details)
        case "teacher":
            return Method(name, Policy("teacher"), 0, none, "the teacher takes every step", details)
    raise unknown_method(name, STANDARD)


def find_method(text: str, defaults: MethodDefaults) -> Method:
    """Return a method by its standard name or by a policy, with changed settings in brackets.

    A policy has the run's demonstrations and guards. Whatever way it is written, a method has one name.

    Raises:
        ConfigurationError: it is not understood.
    """
    head, changes = read_method(text)
    method = _of_head(head, defaults)
    if method.name == MIXED:
        if changes:
            raise ConfigurationError(f"{MIXED} has no settings of its own: write random(p)[...] for others")
        return replace(method, details=defaults.details)
    return _named(_changed(method, changes), defaults)


def recorded_method(name: str, defaults: MethodDefaults) -> Method:
    """Return the method that episodes were recorded under, by that name.

    Raises:
        ConfigurationError: it is not understood.
    """
    return replace(find_method(name, defaults), name=name)


def policy_method(text: str, defaults: MethodDefaults) -> Method:
    """Return the method of a policy: ``student`` with the run's demonstrations is `in-context`.

    Raises:
        ConfigurationError: the policy is not understood.
    """
    head, changes = read_method(text)
    if head.lower() == "student" and defaults.k:
        return _named(_changed(standard_method("in-context", defaults), changes), defaults)
    return find_method(text, defaults)


def applies(setting: str, text: str, defaults: MethodDefaults) -> bool:
    """Say whether varying a setting of this method makes sense: a student decides, and the setting is one of its."""
    method = _of_head(read_method(text).head, defaults)
    sampled = method.policy.n > 1
    return method.policy.asks_student and method.name != MIXED and (sampled or setting not in ("n", "guards"))


def needs_student(methods: Sequence[Method]) -> bool:
    """Say whether any of them asks the student."""
    return any(method.policy.asks_student for method in methods)


def needs_teacher(methods: Sequence[Method]) -> bool:
    """Say whether any of them may ask the teacher, if only for the record."""
    return any(method.policy.asks_teacher or method.details.record == "full" for method in methods)


def _of_head(head: str, defaults: MethodDefaults) -> Method:
    name = head.lower()
    if name in STANDARD:
        return standard_method(name, defaults)
    if "(" not in name and name not in ("unanimity", "majority", "sequential", "calibrated", "random"):
        raise unknown_method(head, STANDARD)
    policy = parse_policy(head, str(defaults.cascade))
    if policy.name in ("student", "teacher", "copy"):
        return standard_method("in-context" if policy.name == "student" else policy.name, defaults)
    what = f"{policy} with {defaults.k} demonstrations"
    return Method(_short(policy), policy, defaults.k, defaults.guards, what, defaults.details)


def _short(policy: Policy) -> str:
    return str(policy).replace(" ", "")


def _changed(method: Method, changes: Mapping[str, Value]) -> Method:
    """Return the method with changed settings, under its old name."""
    inner = dict(changes)
    k, guards = inner.pop("k", method.k), inner.pop("guards", method.guards)
    policy, n = method.policy, inner.pop("n", None)
    if n is not None:
        if policy.n == 1 and policy.name not in ("unanimity", "majority", "sequential"):
            raise ConfigurationError(f"{method.name}[n={n}]: {policy} draws one sample; write unanimity({n})")
        policy = replace(policy, n=n)
    return replace(method, policy=policy, k=k, guards=guards, details=replace(method.details, **inner))


def _named(method: Method, defaults: MethodDefaults) -> Method:
    """Return the method under its one name, without what makes no difference to it."""
    plain = _plain(method, defaults)
    for name in dict.fromkeys((*MAIN, *STANDARD)):
        other = standard_method(name, defaults)
        if name != MIXED and _same(plain, _plain(other, defaults)):
            return replace(plain, name=name, description=other.description)
    head = _of_head(_head(plain, defaults), defaults)
    written = _differences(plain, _plain(replace(head, k=plain.k), defaults))
    if plain.k != head.k:
        written = {"k": plain.k, **written}
    if not written:
        return replace(plain, name=head.name, description=head.description)
    texts = {name: write_value(name, written[name]) for name in READERS if name in written}
    name = f"{head.name}[{';'.join(f'{key}={value}' for key, value in texts.items())}]"
    what = ", ".join(f"{key} = {value}" for key, value in texts.items())
    return replace(plain, name=name, description=f"{head.name} with {what}")


def _head(method: Method, defaults: MethodDefaults) -> str:
    """Return the name or policy that a method's name begins with."""
    policy = method.policy
    if policy == defaults.cascade:
        return "cascade" if method.k else "cascade-only"
    if policy.name != "student":
        return _short(policy)
    if not method.k:
        return "student"
    of_retrieval = {"fixed": "few-shot", "episode": "per-episode", "step": "in-context"}
    same = method.details.retrieval == defaults.details.retrieval
    return "in-context" if same else of_retrieval[method.details.retrieval]


def _same(one: Method, other: Method) -> bool:
    return (one.policy, one.k, one.guards, one.details) == (
        other.policy,
        other.k,
        other.guards,
        other.details,
    )


def _differences(one: Method, other: Method) -> dict[str, Value]:
    found: dict[str, Value] = {} if one.guards == other.guards else {"guards": one.guards}
    for place in fields(Details):
        value = getattr(one.details, place.name)
        if value != getattr(other.details, place.name):
            found[place.name] = value
    return found


def _plain(method: Method, defaults: MethodDefaults) -> Method:
    """Return the method with the run's own values for everything that makes no difference to it."""
    usual, details, guards = defaults.details, method.details, method.guards
    size = details.memory_size
    if size is not None and defaults.demonstrations is not None and size >= defaults.demonstrations:
        details = replace(details, memory_size=None)
    alike: list[str] = []
    if not method.k:
        alike = [
            "retrieval",
            "window",
            "placement",
            "adapt_names",
            "memory_size",
            "keys",
            "embedder",
            "copy_above",
        ]
        guards = guards._replace(support=None)
    elif details.retrieval == "fixed":
        alike = ["window", "placement", "keys", "embedder"]
    elif details.retrieval == "episode":
        alike = ["placement"]
    if not method.policy.asks_student:
        alike += ["temperature", "window", "placement", "adapt_names", "history", "agreement", "copy_above"]
        alike.append("strategies")
    if method.policy.n == 1:
        alike.append("agreement")
    if method.policy.name in ("student", "teacher", "copy"):
        guards = Guards()
    elif method.policy.name == "random":
        guards = defaults.guards if method.k else defaults.guards._replace(support=None)
    details = replace(details, **{name: getattr(usual, name) for name in alike})
    return replace(method, guards=guards, details=details)
