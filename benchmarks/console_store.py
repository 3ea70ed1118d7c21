"""The store of the console's benchmark: 100,000 episodes, made of the rows of real ones with ids and times of their own.

A small store (`console_seed`) is played once, and its rows are written again and again: other tasks, other receipts,
other days. What refers to what stays right, contents fit their hashes, and the receipts' chain is extended as it would
have been, so that `icd store verify` finds the store whole. Made once for each version of that code; opening it brings
its tables up to date, as it does with any store.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from datetime import datetime, timedelta
from itertools import cycle, repeat
from pathlib import Path
from typing import Any, TypeAlias

from console_seed import Seed, grow

import icd_memory
from icd.episode_facts import FactKeeper
from icd_memory.codec import trajectory_from_json
from icd_memory.links import DIGESTED, digest_of, first_link, next_link
from icd_memory.store import Store

Row: TypeAlias = dict[str, Any]
Names: TypeAlias = Mapping[str, str]
"""What stands for the names of the seed in a copy of it."""

SEED = Seed(collected=32, compared=12, conversations=24, max_steps=24)
_DAYS = 180
"""Over which the episodes are spread."""
_RUN_SIZES = (1, 1, 2, 4, 12)
"""Copies of the seed in one run, in turn."""
_LIVE_EVERY = 4
"""Live conversations are in each so many copies."""
_STRATEGIES_IN = 30
"""Copies that have strategies of their own; the uses in the others are of these."""
_NAME = re.compile(
    r"(?P<task>household/[a-z]+/\d{6})|(?P<run>household-[a-z]+-[0-9a-f]{10})|(?P<live>(?:default|shop)-\d{4})"
    r"|(?P<hex>[0-9a-f]{32})|(?P<strategy>\bs[0-9a-f]{15})|(?P<moment>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[.\d]*\+00:00)"
)
_OWNER = {
    "decisions": "episode_id",
    "ledger": "episode_id",
    "feedback": "episode_id",
    "trajectories": "id",
    "episode_facts": "episode_id",
    "demonstration_facts": "trajectory_id",
    "demonstration_uses": "episode_id",
}
"""The column that tells whether a row is of live traffic."""
_KEYS = ("tenant", "run_id", "method", "category", "day")
_SUMS = {
    "episodes": "count(*)",
    "judged": "count(success)",
    "won": "coalesce(sum(success), 0)",
    "cost_squared": "sum(cost * cost)",
    "steps_squared": "sum(steps * steps)",
    "steps_cost": "sum(steps * cost)",
    "calls_squared": "sum(teacher_calls * teacher_calls)",
    "teacher_cost_squared": "sum(teacher_cost * teacher_cost)",
    "calls_teacher_cost": "sum(teacher_calls * teacher_cost)",
}
"""Of `episode_totals`, what is no plain sum of a column of `episode_facts`."""
_TABLES = (
    "runs", "episodes", "decisions", "ledger", "feedback", "trajectories", "strategy_uses", "strategies",
    "strategy_versions", "strategy_changes", "strategy_tests", "episode_facts", "demonstration_facts",
    "demonstration_uses",
)  # fmt: skip


def store_with(episodes: int, cache: Path, seed: Seed = SEED) -> Path:
    """Return the file of a store whose runs have at least so many episodes; made if it is not in `cache`."""
    folder = cache / f"console-{episodes}-{_code_version(seed)}"
    if not folder.exists():
        made = folder.with_suffix(".new")
        shutil.rmtree(made, ignore_errors=True)
        made.mkdir(parents=True)
        grow(made / "icd.db", seed)
        with Store.open(made / "icd.db") as store:
            FactKeeper(store).catch_up()
        with closing(sqlite3.connect(made / "icd.db")) as database:
            database.row_factory = sqlite3.Row
            _multiply(database, episodes)
        for old in cache.glob(f"console-{episodes}-*"):
            if old != made:
                shutil.rmtree(old)
        made.rename(folder)
    return folder / "icd.db"


def _code_version(seed: Seed) -> str:
    """Return a fingerprint of what a store's content hangs on."""
    folder, here = Path(icd_memory.__file__).parent, Path(__file__)
    sources = [folder / name for name in ("codec.py", "links.py", "trajectory.py")]
    sources += [here, here.with_name("console_seed.py")]
    parts = [str(seed).encode(), *(source.read_bytes() for source in sources)]
    return hashlib.sha256(b"\0".join(parts)).hexdigest()[:12]


def _multiply(database: sqlite3.Connection, episodes: int) -> None:
    """Write the rows that are there again, until the runs have so many episodes."""
    database.executescript("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA cache_size = -500000")
    copier = _Copier(database)
    copies = -(-episodes // copier.episodes)
    chain = _Chain(database)
    for number, run in zip(range(1, copies), _runs(), strict=False):
        names = copier.names(number, run, timedelta(days=_DAYS * (number - copies) / copies))
        for table in _TABLES:
            rows = copier.rows(table, number, names)
            _insert(database, table, rows)
            if table == "decisions":
                _insert(database, "receipt_chain", chain.entries(rows))
    _sum_up(database)
    database.commit()
    database.execute("PRAGMA journal_mode = WAL")


def _sum_up(database: sqlite3.Connection) -> None:
    """Bring the figures in line, as `icd.episode_facts` would have done in more time."""
    place = "(SELECT seq FROM trajectories WHERE id = trajectory_id)"
    database.execute(f"UPDATE demonstration_facts SET seq = {place} WHERE seq < 0")
    columns = [row["name"] for row in database.execute("PRAGMA table_info(episode_totals)")]
    sums = ", ".join(_SUMS.get(name, f"coalesce(sum({name}), 0)") for name in columns[len(_KEYS) :])
    keys = ", ".join(_KEYS)
    database.execute("DELETE FROM episode_totals")
    database.execute(f"INSERT INTO episode_totals SELECT {keys}, {sums} FROM episode_facts GROUP BY {keys}")
    marks = [
        database.execute(f"SELECT max(seq) FROM {table}").fetchone()[0]
        for table in ("decisions", "ledger", "episodes", "feedback", "trajectories")
    ]
    database.execute("UPDATE meta SET value = ? WHERE name = 'facts'", (json.dumps(marks),))


def _runs() -> Iterator[int]:
    """Yield for each copy the number of its run."""
    for run, size in enumerate(cycle(_RUN_SIZES), start=2):
        yield from repeat(run, size)


def _insert(database: sqlite3.Connection, table: str, rows: list[Row]) -> None:
    if rows:
        names, marks = ", ".join(rows[0]), ", ".join("?" * len(rows[0]))
        sql = f"INSERT OR IGNORE INTO {table} ({names}) VALUES ({marks})"
        database.executemany(sql, [tuple(row.values()) for row in rows])


class _Text:
    """A text in which names stand."""

    def __init__(self, parts: list[str]) -> None:
        self.parts = parts

    def of(self, names: Names) -> str:
        return "".join([names.get(part, part) for part in self.parts])


class _Copier:
    """Makes copies of the rows that a store holds."""

    def __init__(self, database: sqlite3.Connection) -> None:
        receipts = {row["id"] for row in database.execute("SELECT id FROM decisions")}
        threads = {row["thread"] for row in database.execute("SELECT thread FROM decisions")}
        self._hex = {**dict.fromkeys(threads, "thread"), **dict.fromkeys(receipts, "receipt")}
        self._kinds: dict[str, str] = {}
        self._rows: dict[str, list[Row]] = {}
        for table in _TABLES:
            found = database.execute(f"SELECT * FROM {table} ORDER BY rowid").fetchall()
            self._rows[table] = [
                {name: self._text(value) for name, value in dict(row).items() if name != "seq"}
                for row in found
            ]
        for row in self._rows["demonstration_facts"]:
            row["seq"] = -1  # That of its trajectory, which is not written yet.
        self._live = {
            table: [_is_live(row[_OWNER[table]]) if table in _OWNER else False for row in rows]
            for table, rows in self._rows.items()
        }
        self.episodes = len(self._rows["episodes"])

    def names(self, number: int, run: int, later: timedelta) -> Names:
        """Return what the names are in this copy."""
        return {name: _renamed(name, kind, number, run, later) for name, kind in self._kinds.items()}

    def rows(self, table: str, number: int, names: Names) -> list[Row]:
        """Return the rows of this copy."""
        if table.startswith("strateg") and table != "strategy_uses" and number >= _STRATEGIES_IN:
            return []
        live = number % _LIVE_EVERY == 0
        made = [
            {name: value.of(names) if isinstance(value, _Text) else value for name, value in row.items()}
            for row, is_live in zip(self._rows[table], self._live[table], strict=True)
            if live or not is_live
        ]
        if table == "episode_facts":
            for row in made:
                row["day"] = row["began"][:10]
        if table == "trajectories":
            for row in made:
                row["content_hash"] = trajectory_from_json(json.loads(row["body"])).content_hash()
        return made

    def _text(self, value: Any) -> Any:
        """Return a text in which names stand as one, others and numbers as they are."""
        if not isinstance(value, str):
            return value
        parts, end = [], 0
        for found in _NAME.finditer(value):
            name, kind = found[0], found.lastgroup or ""
            kind = self._hex.get(name, "") if kind == "hex" else kind
            if kind:
                self._kinds[name] = kind
                parts += [value[end : found.start()], name]
                end = found.end()
        return _Text([*parts, value[end:]]) if parts else value


def _is_live(id: Any) -> bool:
    return isinstance(id, _Text) and any(re.fullmatch(r"(default|shop)-\d{4}", part) for part in id.parts)


def _renamed(name: str, kind: str, number: int, run: int, later: timedelta) -> str:
    """Return what stands for a name of the seed in its copy of this number, in this run, at so much later a time."""
    match kind:
        case "task":
            return f"{name[:-6]}{int(name[-6:]) + number * 10**6}"
        case "run":
            return f"{name}.{run}"
        case "live":
            return f"{name}-{number}"
        case "thread":
            return f"{name[:24]}{number:08x}"
        case "receipt":
            # Milliseconds since 1970 in 48 bits, then others: such ids grow.
            at = int(name[:12], 16) + int(later.total_seconds() * 1000)
            return f"{at:012x}{number:08x}{name[20:]}"
        case "strategy":
            return f"{name[:-2]}{number % _STRATEGIES_IN:02d}" if number % _STRATEGIES_IN else name
        case _:
            return (datetime.fromisoformat(name) + later).isoformat()


class _Chain:
    """The tenants' chains of receipts."""

    def __init__(self, database: sqlite3.Connection) -> None:
        ends = "SELECT tenant, max(position) AS position, link FROM receipt_chain GROUP BY tenant"
        self._ends = {row["tenant"]: (row["position"], row["link"]) for row in database.execute(ends)}

    def entries(self, decisions: Iterable[Row]) -> list[Row]:
        """Return the entries of further decisions."""
        return [self._entry(row) for row in decisions]

    def _entry(self, row: Row) -> Row:
        tenant, digest = row["tenant"], digest_of(row[name] for name in DIGESTED)
        position, link = self._ends.get(tenant, (0, first_link(tenant)))
        position += 1
        link = next_link(link, position, "receipt", row["id"], digest)
        self._ends[tenant] = position, link
        named = {"tenant": tenant, "position": position, "receipt_id": row["id"], "kind": "receipt"}
        return {**named, "digest": digest, "link": link, "at": row["created_at"]}
