"""Conditions as alternatives: each a conjunction of literals with all its variables in front.

An alternative is a search problem without nesting, which `joins` plans and runs. ``exists`` becomes variables
of the alternative, ``or`` more alternatives, and ``forall`` the absence of a counterexample.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import count

from icd_envs.household.pddl import And, Condition, Exists, Forall, Literal, Or, Typed


@dataclass(frozen=True, slots=True)
class Absence:
    """None of these alternatives has a solution."""

    alternatives: tuple[Conjunction, ...]

    def predicates(self) -> frozenset[str]:
        """The predicates that are read."""
        return frozenset(name for alternative in self.alternatives for name in alternative.predicates())

    def terms(self) -> frozenset[str]:
        """Everything that the alternatives mention and do not bring themselves."""
        return frozenset(term for alternative in self.alternatives for term in alternative.free_terms())


@dataclass(frozen=True, slots=True)
class Conjunction:
    """Literals and absences that hold together for some objects in place of `variables`."""

    variables: tuple[Typed, ...] = ()
    literals: tuple[Literal, ...] = ()
    absences: tuple[Absence, ...] = ()

    def predicates(self) -> frozenset[str]:
        """The predicates that are read."""
        own = frozenset(literal.predicate for literal in self.literals)
        return own.union(*(absence.predicates() for absence in self.absences))

    def free_terms(self) -> frozenset[str]:
        """Everything mentioned that is not one of `variables`."""
        own = {term for literal in self.literals for term in literal.terms}
        own.update(*(absence.terms() for absence in self.absences))
        return frozenset(own - {variable.name for variable in self.variables})


def alternatives(condition: Condition, variables: tuple[Typed, ...] = ()) -> tuple[Conjunction, ...]:
    """Return the alternatives of a condition, each with `variables` in front of its own."""
    fresh = count(1)
    found = _expand(condition, {}, fresh)
    return tuple(Conjunction(variables + one.variables, one.literals, one.absences) for one in found)


def _expand(condition: Condition, renamed: dict[str, str], fresh: count[int]) -> tuple[Conjunction, ...]:
    match condition:
        case Literal(predicate, terms, positive):
            own_terms = tuple(renamed.get(term, term) for term in terms)
            return (Conjunction(literals=(Literal(predicate, own_terms, positive),)),)
        case Or(parts):
            return tuple(one for part in parts for one in _expand(part, renamed, fresh))
        case And(parts):
            joined: tuple[Conjunction, ...] = (Conjunction(),)
            for part in parts:
                found = _expand(part, renamed, fresh)
                joined = tuple(_merge(left, right) for left in joined for right in found)
            return joined
        case Exists(variables, body):
            own, inner = _rename(variables, renamed, fresh)
            return tuple(
                Conjunction(own + one.variables, one.literals, one.absences)
                for one in _expand(body, inner, fresh)
            )
        case Forall(variables, body):
            own, inner = _rename(variables, renamed, fresh)
            counterexamples = tuple(
                Conjunction(own + one.variables, one.literals, one.absences)
                for one in _expand(negate(body), inner, fresh)
            )
            return (Conjunction(absences=(Absence(counterexamples),)),)


def negate(condition: Condition) -> Condition:
    """Return the negation, in negation normal form again."""
    match condition:
        case Literal(predicate, terms, positive):
            return Literal(predicate, terms, not positive)
        case And(parts):
            return Or(tuple(map(negate, parts)))
        case Or(parts):
            return And(tuple(map(negate, parts)))
        case Exists(variables, body):
            return Forall(variables, negate(body))
        case Forall(variables, body):
            return Exists(variables, negate(body))


def _merge(left: Conjunction, right: Conjunction) -> Conjunction:
    return Conjunction(
        left.variables + right.variables,
        left.literals + tuple(one for one in right.literals if one not in left.literals),
        left.absences + right.absences,
    )


def _rename(
    variables: tuple[Typed, ...], renamed: dict[str, str], fresh: count[int]
) -> tuple[tuple[Typed, ...], dict[str, str]]:
    own = tuple(Typed(f"{variable.name}#{next(fresh)}", variable.types) for variable in variables)
    return own, renamed | {old.name: new.name for old, new in zip(variables, own, strict=True)}
