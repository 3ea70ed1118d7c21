from __future__ import annotations

import pytest
from small_world import DOMAIN, PROBLEM

from icd_envs.errors import GameFileError
from icd_envs.household.pddl import (
    And,
    Exists,
    Forall,
    Literal,
    Or,
    Typed,
    parse_condition,
    parse_domain,
    parse_problem,
    read_expression,
)


def condition(text: str, positive: bool = True) -> object:
    return parse_condition(read_expression(text), positive)


def test_names_are_lower_case_and_comments_do_not_count() -> None:
    assert read_expression("(Define ; (a comment\n (A b))") == ["define", ["a", "b"]]


@pytest.mark.parametrize("text", ["(a", "a)", "(a))", "(a) (b)", "", "word"])
def test_unbalanced_text_is_an_error(text: str) -> None:
    with pytest.raises(GameFileError, match="PDDL text"):
        read_expression(text)


def test_a_domain_is_read_in_full() -> None:
    domain = parse_domain(DOMAIN)
    assert domain.name == "cottage"
    assert domain.parents["lamp"] == ("thing",)
    assert domain.parents["room"] == ("object",)
    assert domain.predicates["inside"] == (Typed("?t", ("thing",)), Typed("?b", ("box",)))
    assert domain.constants == (Typed("cellar", ("room",)),)
    assert [action.name for action in domain.actions] == [
        "look",
        "walk",
        "lift",
        "drop",
        "switch",
        "blackout",
    ]
    assert domain.fluents == {"seen", "at", "holding", "in", "lit"}


def test_costs_are_read_over() -> None:
    walk = parse_domain(DOMAIN).actions[1]
    assert {effect.literal.predicate for effect in walk.effects} == {"at"}


def test_effects_keep_their_conditions_and_variables() -> None:
    blackout = parse_domain(DOMAIN).actions[-1]
    (effect,) = blackout.effects
    assert effect.variables == (Typed("?l", ("lamp",)),)
    assert effect.condition == Literal("broken", ("?l",), positive=False)
    assert effect.literal == Literal("lit", ("?l",), positive=False)


def test_a_problem_is_read_in_full() -> None:
    problem = parse_problem(PROBLEM)
    assert Typed("stone_bar_1", ("thing",)) in problem.objects
    assert ("at", ("me", "hall")) in problem.facts
    assert all(name != "=" for name, _ in problem.facts)
    assert isinstance(problem.goal, And)


def test_negation_moves_inwards() -> None:
    assert condition("(not (and (a) (not (b))))") == Or((Literal("a", (), False), Literal("b", ())))
    assert condition("(not (exists (?x - t) (p ?x)))") == Forall(
        (Typed("?x", ("t",)),), Literal("p", ("?x",), False)
    )
    assert condition("(not (imply (a) (b)))") == And((Literal("a", ()), Literal("b", (), False)))
    assert condition("(imply (a) (b))") == Or((Literal("a", (), False), Literal("b", ())))
    assert condition("(and)", positive=False) == Or(())
    assert condition("()") == And(())


def test_a_comma_belongs_to_the_word_before_it() -> None:
    found = condition("(exists (?l - location, ?r - receptacle) (p ?l ?r))")
    assert isinstance(found, Exists)
    assert found.variables == (Typed("?l", ("location,",)), Typed("?r", ("receptacle",)))


def test_either_gives_several_types() -> None:
    found = condition("(forall (?x ?y - (either box lamp)) (p ?x ?y))")
    assert isinstance(found, Forall)
    assert found.variables == (Typed("?x", ("box", "lamp")), Typed("?y", ("box", "lamp")))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("(domain x)", "define"),
        ("(define (domain x) (:derived (p) (q)))", ":derived"),
        ("(define (domain x) (:action a :effect (not (p) (q))))", "one expression"),
        ("(define (domain x) (:action (b)))", "name"),
    ],
)
def test_what_cannot_be_meant_is_refused(text: str, problem: str) -> None:
    with pytest.raises(GameFileError, match=problem):
        parse_domain(text)


def test_a_problem_without_a_goal_is_refused() -> None:
    with pytest.raises(GameFileError, match="no goal"):
        parse_problem("(define (problem x) (:init))")
