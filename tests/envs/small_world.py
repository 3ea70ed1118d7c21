"""A little world of our own, so that the engine is tested without any published game.

It uses what published games use and what they do not: subtypes, `forall`, `imply`, conditional effects, facts
that an action made false.
"""

from __future__ import annotations

import json

from icd_envs.household.game import Game, GameFile

DOMAIN = """
; A comment with (parentheses) and "quotes"
(define (domain cottage)
 (:requirements :adl :typing)
 (:types actor room thing - object box lamp - thing)
 (:constants CELLAR - room)
 (:predicates (at ?a - actor ?r - room) (door ?x - room ?y - room) (in ?t - thing ?r - room)
              (inside ?t - thing ?b - box) (holding ?a - actor ?t - thing) (lit ?l - lamp) (broken ?l - lamp)
              (seen ?x) (heavy ?t - thing))
 (:functions (total-cost) - number)
 (:action look :parameters (?a - actor ?r - room) :precondition (at ?a ?r) :effect (seen ?r))
 (:action walk :parameters (?a - actor ?x - room ?y - room)
  :precondition (and (at ?a ?x) (or (door ?x ?y) (door ?y ?x) (= ?x ?y)))
  :effect (and (not (at ?a ?x)) (at ?a ?y) (increase (total-cost) 1)))
 (:action lift :parameters (?a - actor ?t - thing ?r - room)
  :precondition (and (at ?a ?r) (in ?t ?r) (not (heavy ?t)) (not (exists (?o - thing) (holding ?a ?o))))
  :effect (and (holding ?a ?t) (not (in ?t ?r))))
 (:action drop :parameters (?a - actor ?t - thing ?r - room)
  :precondition (and (holding ?a ?t) (at ?a ?r))
  :effect (and (not (holding ?a ?t)) (in ?t ?r)))
 (:action switch :parameters (?a - actor ?l - lamp ?r - room)
  :precondition (and (at ?a ?r) (in ?l ?r) (imply (broken ?l) (heavy ?l)))
  :effect (and (when (lit ?l) (not (lit ?l))) (when (not (lit ?l)) (lit ?l))))
 (:action blackout :parameters (?a - actor)
  :precondition (and (at ?a CELLAR) (forall (?l - lamp) (lit ?l)))
  :effect (forall (?l - lamp) (when (not (broken ?l)) (not (lit ?l)))))
)
"""

PROBLEM = """
(define (problem evening) (:domain cottage)
 (:objects me - actor hall kitchen attic - room
   Lamp_bar__plus_01_dot_00 Lamp_bar__minus_02_dot_00 - lamp
   Box_bar_1 - box Stone_bar_1 - thing Lamp_bar_unused - lamp)
 (:init (at me hall) (door hall kitchen) (door hall CELLAR)
   (in Lamp_bar__plus_01_dot_00 hall) (in Lamp_bar__minus_02_dot_00 kitchen)
   (in Box_bar_1 hall) (in Stone_bar_1 hall) (heavy Stone_bar_1) (lit Lamp_bar_unused)
   (inside Stone_bar_1 Box_bar_1) (= (total-cost) 0))
 (:goal (and (forall (?l - lamp) (lit ?l)) (exists (?b - box) (in ?b kitchen))))
)
"""

RULES = {
    "intro": [{"rhs": "A cottage.\n\n#scene#\n#task#"}],
    "task": [{"rhs": "Your evening: light every lamp, and bring a box to the kitchen."}],
    "scene": [
        {
            "condition": "at(a:actor, r:room) & in(t:thing, r:room)",
            "rhs": "You see [{t.indefinite + ' ' + t.name | at(a:actor, r:room) & in(t:thing, r:room)}].",
        },
        {"rhs": "You see [{t.name | at(a:actor, r:room) & in(t:thing, r:room)}]."},
    ],
    "walked": [{"rhs": "Now in {y.name or y.id}. #scene#"}],
    "dropped": [{"condition": "not_holding(a:actor, t:thing)", "rhs": "Free of {t}."}],
    "switched": [
        {"condition": "lit(l:lamp)", "rhs": "{l.definite} {l} glows."},
        {"rhs": "{l.definite} {l} goes dark."},
    ],
    "list_empty": [{"rhs": "no thing"}],
    "list_separator": [{"rhs": ", "}],
    "list_last_separator": [{"rhs": ", and also "}],
}

GRAMMAR = (
    '# A comment\ngrammar :: """' + json.dumps(RULES) + '""";\n'
    'action look { template :: "look"; feedback :: "#scene#"; }\n'
    'action Walk { template :: "walk to {y.id}"; feedback :: "#walked#"; }\n'
    'action lift { template :: "lift {t}"; feedback :: "You lift {t.name}."; }\n'
    'action drop { template :: "drop {t}"; feedback :: "#dropped#"; }\n'
    'action switch { template :: "switch {l}"; feedback :: "#switched#"; }\n'
    'action blackout { template :: "black out"; feedback :: "Dark."; }\n'
    'action never { template :: "never"; feedback :: "Not in the domain."; }\n'
)

WALKTHROUGH = ("switch lamp 2", "lift box 1", "walk to kitchen", "drop box 1", "switch lamp 3")


def small_file() -> GameFile:
    """The game file of the little world."""
    return GameFile(DOMAIN, GRAMMAR, PROBLEM, WALKTHROUGH)


def small_game() -> Game:
    """The little world, loaded."""
    return Game.load(small_file())
