"""The engine on a little world of our own."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_world import DOMAIN, GRAMMAR, PROBLEM, WALKTHROUGH, small_file, small_game

from icd_envs.errors import EngineError, GameFileError
from icd_envs.household.engine import NOTHING_HAPPENS, Engine, Turn
from icd_envs.household.game import Game, GameFile

GAME = small_game()


def play(commands: list[str], game: Game = GAME) -> list[Turn]:
    engine = Engine(game)
    return [engine.reset(), *(engine.step(command) for command in commands)]


def random_walk(game: Game, seed: int, length: int = 60) -> list[Turn]:
    engine, rng = Engine(game), random.Random(seed)
    turns = [engine.reset()]
    for _ in range(length):
        turns.append(engine.step(rng.choice(turns[-1].admissible)))
    return turns


def test_the_start_shows_the_room_and_what_can_be_done() -> None:
    (turn,) = play([])
    assert turn.observation == (
        "A cottage.\n\nYou see a stone 1, a box 1, and also a lamp 2.\n"
        "Your evening: light every lamp, and bring a box to the kitchen."
    )
    assert turn.admissible == (
        "lift box 1",
        "lift lamp 2",
        "look",
        "switch lamp 2",
        "walk to cellar",
        "walk to kitchen",
    )
    assert not turn.won


def test_the_walkthrough_wins_at_its_last_command() -> None:
    won = [turn.won for turn in play(list(WALKTHROUGH))]
    assert won == [False] * len(WALKTHROUGH) + [True]


def test_a_conditional_effect_looks_at_the_state_before() -> None:
    turns = play(["switch lamp 2", "switch lamp 2"])
    assert [turn.observation for turn in turns[1:]] == ["the lamp 2 glows.", "the lamp 2 goes dark."]


def test_an_action_for_all_objects_and_a_goal_that_is_lost_again() -> None:
    turns = play([*WALKTHROUGH, "walk to hall", "walk to cellar", "black out"])
    assert [turn.won for turn in turns[-3:]] == [True, True, False]
    assert turns[-1].admissible == ("look", "walk to hall")


def test_going_where_one_is_changes_nothing_and_is_not_offered() -> None:
    (turn,) = play([])
    assert "walk to hall" not in turn.admissible
    assert play(["walk to hall"])[-1].observation == NOTHING_HAPPENS


def test_wording_may_ask_what_an_action_made_false() -> None:
    assert play(["lift box 1", "drop box 1"])[-1].observation == "Free of box 1."


def test_listings_use_the_separators_of_the_grammar() -> None:
    assert play(["walk to cellar"])[-1].observation == "Now in cellar . You see no thing."
    assert play(["lift box 1", "look"])[-1].observation == "You see a stone 1, and also a lamp 2."


@pytest.mark.parametrize("command", ["Look", "look around", "", "lift stone 1", "switch lamp 3", "never"])
def test_a_command_that_is_not_admissible_changes_nothing(command: str) -> None:
    before, after = play([command])
    assert after == Turn(NOTHING_HAPPENS, before.admissible, before.won)


def test_blanks_around_a_command_do_not_count() -> None:
    assert play(["  look\n"])[-1].observation.startswith("You see")


def test_a_reset_starts_over() -> None:
    engine = Engine(GAME)
    first = engine.reset()
    engine.step("lift box 1")
    assert engine.reset() == first
    assert engine.turn == first


def test_a_step_before_a_reset_is_an_error() -> None:
    with pytest.raises(EngineError, match="reset"):
        Engine(GAME).step("look")


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 30), max_size=40))
def test_what_is_offered_can_be_done_and_nothing_else(choices: list[int]) -> None:
    engine = Engine(GAME)
    turn = engine.reset()
    everything = {
        "look",
        "black out",
        *(f"walk to {room}" for room in ("hall", "kitchen", "cellar", "attic")),
    }
    everything |= {f"{verb} {thing}" for verb in ("lift", "drop", "switch") for thing in ("lamp 2", "box 1")}
    for choice in choices:
        for command in sorted(everything - set(turn.admissible)):
            assert engine.step(command) == Turn(NOTHING_HAPPENS, turn.admissible, turn.won)
        turn = engine.step(turn.admissible[choice % len(turn.admissible)])
        assert turn.observation != NOTHING_HAPPENS


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000))
def test_what_is_kept_between_steps_equals_a_fresh_look(seed: int) -> None:
    engine, rng = Engine(GAME), random.Random(seed)
    turn = engine.reset()
    commands: list[str] = []
    for _ in range(20):
        commands.append(rng.choice(turn.admissible))
        turn = engine.step(commands[-1])
    facts = GAME.episode()
    for command in commands:
        found = {
            move.command.say(facts, list(row)): (move, row)
            for move in GAME.moves
            for row in move.action.possible(facts)
        }
        move, row = found[command]
        move.action.apply(facts, row)
    offered = {
        move.command.say(facts, list(row)) for move in GAME.moves for row in move.action.possible(facts)
    }
    assert tuple(sorted(offered)) == turn.admissible
    assert GAME.goal(facts) is turn.won


def test_threads_that_share_a_game_play_as_one_after_the_other() -> None:
    alone = [random_walk(small_game(), seed) for seed in range(32)]
    with ThreadPoolExecutor(8) as threads:
        together = list(threads.map(lambda seed: random_walk(GAME, seed), range(32)))
    assert together == alone


def test_a_walk_does_not_depend_on_the_hash_seed() -> None:
    code = (
        "import json; from test_engine import GAME, random_walk;"
        "print(json.dumps([t.observation for t in random_walk(GAME, 7)]))"
    )
    here = Path(__file__).parent
    walks = set()
    for seed in ("1", "2"):
        environment = {
            **os.environ,
            "PYTHONHASHSEED": seed,
            "PYTHONPATH": os.pathsep.join([str(here), *sys.path]),
        }
        run = subprocess.run(
            [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
        )
        walks.add(run.stdout)
    assert walks == {json.dumps([turn.observation for turn in random_walk(GAME, 7)]) + "\n"}


def test_a_game_file_is_read_from_json(tmp_path: Path) -> None:
    data = {
        "pddl_domain": DOMAIN,
        "grammar": GRAMMAR,
        "pddl_problem": PROBLEM,
        "walkthrough": list(WALKTHROUGH),
    }
    path = tmp_path / "game.tw-pddl"
    path.write_text(json.dumps(data))
    assert GameFile.read(path) == small_file()
    assert Game.read(path).walkthrough == WALKTHROUGH


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"pddl_domain": 1, "grammar": "", "pddl_problem": ""}', "nul"]
)
def test_a_file_that_is_no_game_says_so(tmp_path: Path, text: str) -> None:
    path = tmp_path / "game.tw-pddl"
    path.write_text(text)
    with pytest.raises(GameFileError, match=r"game\.tw-pddl: .*pddl_domain"):
        Game.read(path)


def test_a_missing_file_says_which(tmp_path: Path) -> None:
    with pytest.raises(GameFileError, match=r"nowhere\.tw-pddl"):
        Game.read(tmp_path / "nowhere.tw-pddl")


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("action look {", "action stare {", "nothing about the action 'look'"),
        ("{t.name}", "{u.name}", "not a variable"),
        ("{t.name}", "{t.colour}", "colour"),
        ("#dropped#", "#lost#", "no rule for 'lost'"),
        ("not_holding(a:actor, t:thing)", "not_holding(a:actor", "cannot be read"),
    ],
)
def test_a_grammar_that_does_not_fit_is_refused_when_it_is_loaded(old: str, new: str, problem: str) -> None:
    file = small_file()
    assert old in file.grammar
    with pytest.raises(GameFileError, match=problem):
        Game.load(replace(file, grammar=file.grammar.replace(old, new)))


@pytest.mark.parametrize(
    ("part", "old", "new"),
    [
        ("pddl_domain", "(holding ?a ?t) (not (in ?t ?r))", "(holding ?a) (not (in ?t ?r))"),
        ("pddl_problem", "(at me hall)", "(at me)"),
        ("grammar", "not_holding(a:actor, t:thing)", "not_holding(a:actor)"),
    ],
)
def test_a_predicate_takes_the_same_number_of_objects_everywhere(part: str, old: str, new: str) -> None:
    file = small_file()
    text: str = getattr(file, part)
    assert old in text
    with pytest.raises(GameFileError, match=r"takes 2 objects|with 1 objects"):
        Game.load(replace(file, **{part: text.replace(old, new)}))


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from(["pddl_domain", "grammar", "pddl_problem"]),
    st.integers(0, 10_000),
    st.integers(0, 20),
    st.sampled_from(["", "", "(", ")", "?x ", '"', "#", "{", "}"]),
    st.randoms(use_true_random=False),
)
def test_a_damaged_game_plays_or_says_what_is_wrong(
    part: str, start: int, length: int, instead: str, rng: random.Random
) -> None:
    file = small_file()
    text: str = getattr(file, part)
    start %= len(text)
    damaged = text[:start] + instead + text[start + length :]
    try:
        engine = Engine(Game.load(replace(file, **{part: damaged})))
        turn = engine.reset()
        for _ in range(8):
            turn = engine.step(rng.choice(turn.admissible or ("look",)))
    except GameFileError:
        pass
