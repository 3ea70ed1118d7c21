"""How fast the console answers on 100,000 episodes, and how fast trajectories come in.

    python benchmarks/console.py [--quick] [--json]

- `median_ms_100k_episodes`: median time of a page, server side (the whole application without a socket), over all pages
and filters below on a store of 100,000 episodes with about 1.6 million steps (`console_store`); target: at most 200.
`p95_ms_100k_episodes` is the 95th percentile, `worst_ms_100k_episodes` the median of the slowest page, and `ms ...` those
of each; `median_cpu_ms_...`: processor time, which a busy machine changes less. Every page is asked for once before
(`first_ms_100k_episodes`: the slowest; a run's report is drawn then, and kept), and then in turn, round by round.
Searching by meaning is no part of it: that is the memory's search.
- `import_...`: see benchmarks/exchange_import.py.

`--quick`: 2,000 episodes, so the figures say little (they are named after the store's size all the same). The store is
made once, in some minutes, and kept in ~/.cache/icd-benchmarks.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
import time
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote, urlencode

_ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(_ROOT), str(_ROOT / "memory"), str(_ROOT / "envs"), str(_ROOT / "benchmarks")]

import httpx  # noqa: E402
from backend_report import percentile  # noqa: E402
from common import emit  # noqa: E402
from console_store import store_with  # noqa: E402
from exchange_import import figures as import_figures  # noqa: E402
from peer_environment import CACHE  # noqa: E402

from icd.config import MemorySettings, Settings  # noqa: E402
from icd.console.opening import site_alone  # noqa: E402
from icd.console.rendering import BASE  # noqa: E402
from icd.console.server import alone  # noqa: E402
from icd.console.site import Site  # noqa: E402
from icd_memory.figures import EpisodeFilter  # noqa: E402
from icd_memory.store import Store  # noqa: E402

EPISODES = 100_000
_ROUNDS = 15
_COOKIE = "icd_console"


def pages(store: Store) -> dict[str, str]:
    """Return the paths that are asked for, by what they show."""
    figures = store.figures
    scopes = [scope for scope in figures.scopes("default") if scope.method == "cascade"]
    run = max(scopes, key=lambda scope: scope.episodes).run_id
    newest = figures.episodes("default", EpisodeFilter())
    middle = newest.rows[0].seq // 2
    episode = figures.episodes("default", EpisodeFilter(method="cascade"), older=middle).rows[0]
    live = figures.episodes("default", EpisodeFilter(run_id="live"), older=middle).rows[0]
    shown = store.curation.most_shown("default", 1)[0]
    strategy = store.strategies.find("default")[0]
    asked: dict[str, tuple[str, dict[str, object]]] = {
        "overview": ("/", {}),
        "overview of a run": ("/", {"run": run, "method": "cascade"}),
        "episodes": ("/episodes", {}),
        "episodes of a method": ("/episodes", {"run": run, "method": "cascade"}),
        "episodes of a kind": ("/episodes", {"category": episode.category}),
        "episodes lost": ("/episodes", {"end": "lost"}),
        "episodes unknown": ("/episodes", {"end": "unknown"}),
        "episodes escalated": ("/episodes", {"teacher": "yes"}),
        "episodes of a week": (
            "/episodes",
            {"since": f"{episode.began:%Y-%m-%d}", "until": f"{episode.began:%Y-%m-%d}"},
        ),
        "episodes with a word": ("/episodes", {"text": episode.goal.split()[-1]}),
        "episodes with no such word": ("/episodes", {"text": "no such word"}),
        "episodes far back": ("/episodes", {"older": middle}),
        "episode": (f"/episodes/{quote(episode.episode_id)}", {}),
        "episode of live traffic": (f"/episodes/{quote(live.episode_id)}", {}),
        "memory": ("/memory", {}),
        "memory in quarantine": ("/memory", {"status": "quarantine"}),
        "memory with a word": ("/memory", {"text": shown.goal.split()[-1]}),
        "memory with no such word": ("/memory", {"text": "no such word"}),
        "memory shown most": ("/memory", {"order": "shown"}),
        "memory of a source": ("/memory", {"source": shown.source}),
        "demonstration": (f"/memory/{quote(shown.id)}", {}),
        "strategies": ("/strategies", {}),
        "strategy": (f"/strategies/{quote(strategy.id)}", {}),
        "experiments": ("/experiments", {}),
        "experiment": ("/experiments", {"run": run}),
        "students": ("/students", {}),
    }
    return {
        name: f"{BASE}{path}" + (f"?{urlencode(query)}" if query else "")
        for name, (path, query) in asked.items()
    }


class Taken(NamedTuple):
    """Milliseconds that an answer took."""

    wall: float
    cpu: float


async def measured(site: Site, rounds: int) -> tuple[dict[str, Taken], dict[str, list[Taken]]]:
    """Return what the first and the further answers took, by page."""
    cookies = {_COOKIE: site.sessions.open("", "default", "benchmark")}
    transport = httpx.ASGITransport(alone(site))
    first: dict[str, Taken] = {}
    further: dict[str, list[Taken]] = {}
    async with httpx.AsyncClient(
        transport=transport, base_url="http://127.0.0.1", cookies=cookies, timeout=None
    ) as client:
        asked = pages(site.store)
        for number in range(rounds + 1):
            for name, path in asked.items():
                started, worked = time.perf_counter(), time.process_time()
                answer = await client.get(path)
                wall, cpu = time.perf_counter() - started, time.process_time() - worked
                taken = Taken(1e3 * wall, 1e3 * cpu)
                if answer.status_code != 200:
                    raise SystemExit(f"{path}: {answer.status_code} {answer.text[-500:]}")
                if number:
                    further.setdefault(name, []).append(taken)
                else:
                    first[name] = taken
    return first, further


def page_figures(quick: bool) -> dict[str, float | int]:
    """Return what pages take on the large store."""
    place = store_with(2_000 if quick else EPISODES, CACHE)
    with Store.open(place) as store:
        site = site_alone(
            store, Settings(memory=MemorySettings(store=str(place), embedder="hashing")), "default"
        )
        site.facts.catch_up()
        first, further = asyncio.run(measured(site, 3 if quick else _ROUNDS))
        stats = store.stats()
        site.close()
    every = [value for values in further.values() for value in values]
    walls, cpus = [taken.wall for taken in every], [taken.cpu for taken in every]
    medians = {
        f"ms {name}": round(statistics.median(taken.wall for taken in values), 1)
        for name, values in further.items()
    }
    return {
        "median_ms_100k_episodes": round(statistics.median(walls), 1),
        "p95_ms_100k_episodes": round(percentile(walls, 0.95), 1),
        "worst_ms_100k_episodes": max(medians.values()),
        "first_ms_100k_episodes": round(max(taken.wall for taken in first.values()), 1),
        "median_cpu_ms_100k_episodes": round(statistics.median(cpus), 1),
        "p95_cpu_ms_100k_episodes": round(percentile(cpus, 0.95), 1),
        "episodes": stats.episodes,
        "steps": stats.decisions,
        **medians,
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="a small store, few rounds")
    parser.add_argument("--json", action="store_true", help="one JSON line")
    asked = parser.parse_args()
    emit("console", {**page_figures(asked.quick), **import_figures(asked.quick)}, {}, asked.json)


if __name__ == "__main__":
    main()
