"""The published engine as an option: what happens without it, and that it plays as ours does."""

from __future__ import annotations

import importlib.util
import random
import sys

import pytest
from small_world import small_file

from icd_envs.errors import EngineError
from icd_envs.game_library import GameLibrary
from icd_envs.household.engine import Engine
from icd_envs.household.game import Game
from icd_envs.published_engine import PublishedEngine

installed = importlib.util.find_spec("alfworld") is not None


@pytest.mark.skipif(installed, reason="the published engine is installed here")
def test_without_the_extra_it_says_what_to_install() -> None:
    arguments, output = sys.argv, sys.stdout
    with pytest.raises(EngineError, match=r"icd-runtime\[alfworld\]"):
        PublishedEngine(small_file())
    assert sys.argv is arguments
    assert sys.stdout is output


@pytest.mark.alfworld
@pytest.mark.skipif(not installed, reason="the published engine (extra alfworld) is not installed")
def test_it_plays_as_ours_does(library: GameLibrary) -> None:
    rng = random.Random(0)
    for game_id in library.ids("valid_seen")[:2]:
        file = library.file(game_id)
        published, ours = PublishedEngine(file), Engine(Game.load(file))
        theirs, turn = published.reset(), ours.reset()
        for _ in range(10):
            assert theirs == turn
            command = rng.choice(turn.admissible)
            theirs, turn = published.step(command), ours.step(command)
