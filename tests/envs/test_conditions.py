"""The search for solutions against a slow and obvious evaluation of the same condition."""

from __future__ import annotations

from itertools import product

from hypothesis import given, settings
from hypothesis import strategies as st

from icd_envs.household.facts import FactBase, Facts
from icd_envs.household.joins import Join, Slots, Universe, exists
from icd_envs.household.normal_form import alternatives
from icd_envs.household.pddl import And, Condition, Exists, Forall, Literal, Or, Typed

OBJECTS = (Typed("a", ("box",)), Typed("b", ("box",)), Typed("c", ("thing",)), Typed("d", ("room",)))
PARENTS = {"box": ("thing",), "thing": ("object",), "room": ("object",)}
MEMBERS = {"box": "ab", "thing": "abc", "room": "d", "object": "abcd", "ghost": ""}
VARIABLES = ("?x", "?y", "?z")

terms = st.sampled_from([*VARIABLES, "a", "d"])
literals = st.one_of(
    st.builds(lambda t, s: Literal("p", (t,), s), terms, st.booleans()),
    st.builds(lambda t, u, s: Literal("q", (t, u), s), terms, terms, st.booleans()),
    st.builds(lambda t, u, s: Literal("=", (t, u), s), terms, terms, st.booleans()),
)
quantified = st.lists(
    st.builds(
        lambda name, kind: Typed(name, (kind,)), st.sampled_from(VARIABLES), st.sampled_from([*MEMBERS])
    ),
    min_size=1,
    max_size=2,
    unique_by=lambda one: one.name,
).map(tuple)
conditions = st.recursive(
    literals,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda parts: And(tuple(parts))),
        st.lists(inner, max_size=3).map(lambda parts: Or(tuple(parts))),
        st.builds(Exists, quantified, inner),
        st.builds(Forall, quantified, inner),
    ),
    max_leaves=6,
)
worlds = st.sets(
    st.one_of(
        st.tuples(st.just("p"), st.tuples(st.sampled_from("abcd"))),
        st.tuples(st.just("q"), st.tuples(st.sampled_from("abcd"), st.sampled_from("abcd"))),
    ),
    max_size=10,
)


def holds(condition: Condition, world: set[tuple[str, tuple[str, ...]]], names: dict[str, str]) -> bool:
    match condition:
        case Literal("=", (left, right), positive):
            return (names.get(left, left) == names.get(right, right)) is positive
        case Literal(predicate, terms, positive):
            return ((predicate, tuple(names.get(term, term) for term in terms)) in world) is positive
        case And(parts):
            return all(holds(part, world, names) for part in parts)
        case Or(parts):
            return any(holds(part, world, names) for part in parts)
        case Exists(variables, body) | Forall(variables, body):
            bodies = (
                holds(body, world, names | {v.name: one for v, one in zip(variables, chosen, strict=True)})
                for chosen in product(*(MEMBERS[v.types[0]] for v in variables))
            )
            return any(bodies) if isinstance(condition, Exists) else all(bodies)


def closed(condition: Condition) -> Condition:
    return Exists(tuple(Typed(name, ("object",)) for name in VARIABLES), condition)


@settings(max_examples=300, deadline=None)
@given(conditions, worlds)
def test_a_closed_condition_is_judged_as_by_trying_everything(
    condition: Condition, world: set[tuple[str, tuple[str, ...]]]
) -> None:
    join = Join(FactBase(sorted(world), ()), Universe(OBJECTS, PARENTS))
    test = exists(join, alternatives(closed(condition)))
    assert test(join.base.episode()) is holds(closed(condition), world, {})


@settings(max_examples=200, deadline=None)
@given(conditions, worlds, worlds)
def test_solutions_are_those_found_by_trying_everything_also_after_changes(
    condition: Condition, before: set[tuple[str, tuple[str, ...]]], after: set[tuple[str, tuple[str, ...]]]
) -> None:
    join = Join(FactBase(sorted(before), ("p", "q")), Universe(OBJECTS, PARENTS))
    slots = Slots.of(VARIABLES)

    def emit(facts: Facts, env: list[str], out: list[tuple[str, ...]]) -> bool:
        out.append(tuple(env[: len(VARIABLES)]))
        return False

    parameters = tuple(Typed(name, ("thing",)) for name in VARIABLES)
    searches = [join.compile(one, slots, emit) for one in alternatives(condition, parameters)]
    facts = join.base.episode()
    for name, row in sorted(before - after):
        facts.remove(name, row)
    for name, row in sorted(after - before):
        facts.add(name, row)
    found: list[tuple[str, ...]] = []
    for search in searches:
        search(facts, slots.template.copy(), found)
    expected = {
        chosen
        for chosen in product("abc", repeat=3)
        if holds(condition, after, dict(zip(VARIABLES, chosen, strict=True)))
    }
    assert set(found) == expected
