"""Load, reset and step times of the household engine and its memory over thousands of games.

    python benchmarks/engine.py [--quick] [--json] [--games PATH] [--peer-python PATH]

Games are the published ones where there are any (`--games`, or the environment variables that `icd env`
reads), else generated households. Each game is loaded once, from the text of its game file; steps are
commands chosen at random from the admissible ones, and each step includes the admissible commands after it.
With the published engine in this interpreter, or in the one that `--peer-python` names, it plays the same
commands of the same games.
"""

from __future__ import annotations

import argparse
import gc
import importlib.util
import json
import os
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

_ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(_ROOT / "envs"), str(_ROOT / "benchmarks")]

from common import Figures, Peers, emit, interval, resident_memory_mb  # noqa: E402

from icd_envs.errors import GameFileError  # noqa: E402
from icd_envs.game_library import GameLibrary, PublishedGame  # noqa: E402
from icd_envs.household.engine import Engine, Player  # noqa: E402
from icd_envs.household.game import Game, GameFile  # noqa: E402
from icd_envs.published_engine import PublishedEngine  # noqa: E402
from icd_envs.sampling import varied  # noqa: E402

_AS_PEER = "--as-peer"


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much is measured."""

    games: int
    steps: int
    memory_games: int
    peer_games: int
    peer_steps: int


FULL = Sizes(games=200, steps=200, memory_games=3000, peer_games=12, peer_steps=40)
QUICK = Sizes(games=40, steps=100, memory_games=300, peer_games=2, peer_steps=10)


@dataclass(frozen=True, slots=True)
class Timing:
    """One game: load and reset in milliseconds, and steps in a second."""

    load_reset_ms: float
    steps_per_s: float


def game_texts(paths: Sequence[str], wanted: int) -> tuple[str, Iterator[str]]:
    """Return where games come from and the texts of their files, varied and without an end."""
    try:
        library = GameLibrary.at(paths) if paths else GameLibrary.from_environment()
        split = "train" if "train" in library.splits() else library.splits()[0]
        ids = varied(library.ids(split), lambda name: PublishedGame(name, "").category, seed=0)
        return "published", (_text(library.file(name)) for name in _endless(ids))
    except GameFileError:
        if paths:
            raise
    from icd_envs.household.generator import household

    return "generated", (_text(household("train", number).game_file()) for number in range(wanted))


def _endless(ids: Sequence[str]) -> Iterator[str]:
    while True:
        yield from ids


def _text(file: GameFile) -> str:
    return json.dumps(asdict(file))


def choose_commands(text: str, steps: int, seed: int) -> list[str]:
    """Choose admissible commands at random, as our engine offers them."""
    engine, rng = Engine(Game.load(GameFile.from_json(text))), random.Random(seed)
    turn = engine.reset()
    commands: list[str] = []
    for _ in range(steps):
        commands.append(rng.choice(turn.admissible))
        turn = engine.step(commands[-1])
    return commands


def our_player(text: str) -> Player:
    """Load a game on our engine."""
    return Engine(Game.load(GameFile.from_json(text)))


def published_player(text: str) -> Player:
    """Load a game on the published engine."""
    return PublishedEngine(GameFile.from_json(text))


def timing(text: str, commands: Sequence[str], published: bool = False) -> Timing:
    """Play one game and time it."""
    make = published_player if published else our_player
    gc.collect()
    start = time.perf_counter()
    player = make(text)
    player.reset()
    loaded = time.perf_counter()
    for command in commands:
        player.step(command)
    played = time.perf_counter() - loaded
    return Timing(1000 * (loaded - start), len(commands) / played)


def memory_over_games(texts: Iterator[str], games: int) -> dict[str, float | int | None]:
    """Load and play games one after the other; growth is counted from the first tenth on."""
    early: float | None = None
    for number in range(games):
        text = next(texts)
        engine = Engine(Game.load(GameFile.from_json(text)))
        turn = engine.reset()
        for command in turn.admissible[:5]:
            engine.step(command)
        if number == games // 10:
            gc.collect()
            early = resident_memory_mb()
    del engine, turn, text
    gc.collect()
    end = resident_memory_mb()
    growth = end - early if end is not None and early is not None else None
    return {"memory_games": games, "memory_mb": end, "memory_growth_mb": growth}


def peer_timings(python: str, games: Sequence[tuple[str, list[str]]]) -> list[Timing]:
    """Play games on the published engine in a process of its own; one game before warms it up."""
    work = json.dumps([games[0], *games])
    run = subprocess.run(
        [python, __file__, _AS_PEER], input=work, capture_output=True, text=True, check=False, env=os.environ
    )
    if run.returncode != 0:
        raise SystemExit(f"the published engine did not run under {python}:\n{run.stderr[-2000:]}")
    return [Timing(**one) for one in json.loads(run.stdout.splitlines()[-1])][1:]


def run_as_peer() -> None:
    """Time the games on standard input on the published engine."""
    games = json.loads(sys.stdin.read())
    print(json.dumps([asdict(timing(text, commands, published=True)) for text, commands in games]))


def compare(python: str, sample: Sequence[str], sizes: Sizes) -> dict[str, float | int | str | None]:
    """Return the published engine's figures and ours as multiples of them, on the same games and commands."""
    games = [(text, choose_commands(text, sizes.peer_steps, n)) for n, text in enumerate(sample)]
    ours = [timing(text, commands) for text, commands in games]
    theirs = peer_timings(python, games)
    loads = interval([b.load_reset_ms / a.load_reset_ms for a, b in zip(ours, theirs, strict=True)])
    steps = interval([a.steps_per_s / b.steps_per_s for a, b in zip(ours, theirs, strict=True)])
    return {
        "games": len(games),
        "load_reset_ms": statistics.median(one.load_reset_ms for one in theirs),
        "steps_per_s": statistics.median(one.steps_per_s for one in theirs),
        "our_load_reset_ms": statistics.median(one.load_reset_ms for one in ours),
        "our_steps_per_s": statistics.median(one.steps_per_s for one in ours),
        "load_times_faster": loads.median,
        "load_times_faster_low": loads.low,
        "load_times_faster_high": loads.high,
        "steps_times_faster": steps.median,
        "steps_times_faster_low": steps.low,
        "steps_times_faster_high": steps.high,
    }


def measure(arguments: argparse.Namespace) -> tuple[Figures, Peers]:
    """Measure everything."""
    sizes = QUICK if arguments.quick else FULL
    source, texts = game_texts(arguments.games, 1 + sizes.games + sizes.memory_games)
    first = next(texts)
    start = time.perf_counter()
    our_player(first).reset()
    cold_ms = 1000 * (time.perf_counter() - start)
    sample = [next(texts) for _ in range(sizes.games)]
    timings = [timing(text, choose_commands(text, sizes.steps, n)) for n, text in enumerate(sample)]
    loads, steps = interval([t.load_reset_ms for t in timings]), interval([t.steps_per_s for t in timings])
    figures: dict[str, float | int | str | None] = {
        "source": source,
        "games": len(timings),
        "load_reset_ms": loads.median,
        "load_reset_ms_low": loads.low,
        "load_reset_ms_high": loads.high,
        "first_load_reset_ms": cold_ms,
        "steps_per_s": steps.median,
        "steps_per_s_low": steps.low,
        "steps_per_s_high": steps.high,
    }
    figures |= memory_over_games(texts, sizes.memory_games)
    python = arguments.peer_python
    if python is None and not arguments.quick and importlib.util.find_spec("alfworld") is not None:
        python = sys.executable
    peers = {} if python is None else {"published": compare(python, sample[: sizes.peer_games], sizes)}
    return figures, peers


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="smaller sizes, under 50 s")
    parser.add_argument("--json", action="store_true", help="print one JSON line")
    parser.add_argument("--games", action="append", default=[], help="a pack or tree of published games")
    parser.add_argument("--peer-python", help="an interpreter that has the published engine")
    parser.add_argument(_AS_PEER, action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.as_peer:
        run_as_peer()
        return
    figures, peers = measure(arguments)
    emit("engine", figures, peers, arguments.json)


if __name__ == "__main__":
    main()
