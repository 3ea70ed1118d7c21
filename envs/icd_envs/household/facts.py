"""The facts of a world and their indices: what is fixed is shared, what changes is copied for each episode.

A row is the objects of one fact. Rows are kept in the order in which they became true, so that a search
through them never depends on the interpreter's hash seed. Knows nothing about PDDL or wording.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from operator import itemgetter
from typing import TypeAlias

Row: TypeAlias = tuple[str, ...]
Rows: TypeAlias = dict[Row, None]
"""An ordered set."""
Key: TypeAlias = "str | tuple[str, ...]"
Table: TypeAlias = dict[Key, Rows]
"""Rows by the objects at some positions: one object, or a tuple of them where there are several positions."""

_Upkeep: TypeAlias = dict[str, list[tuple[int, Callable[[Row], Key]]]]


class FactBase:
    """The facts at the start. Indices are added while a game is compiled; after that it does not change."""

    def __init__(self, facts: Iterable[tuple[str, Row]], fluents: Iterable[str]) -> None:
        self._fluents = frozenset(fluents)
        self._rows: dict[str, Rows] = {name: {} for name in self._fluents}
        for predicate, row in facts:
            self._rows.setdefault(predicate, {})[row] = None
        self._tables: list[Table] = []
        self._owner: list[str] = []
        self._ids: dict[tuple[str, tuple[int, ...]], int] = {}
        self._upkeep: _Upkeep = {}
        self._fanouts: dict[tuple[str, tuple[int, ...]], float] = {}

    def declare(self, predicate: str, fluent: bool = False) -> None:
        """Make sure that a predicate can be asked for, even if no fact mentions it."""
        self._rows.setdefault(predicate, {})
        if fluent:
            self._fluents |= {predicate}

    def is_fluent(self, predicate: str) -> bool:
        """Whether facts of this predicate may change."""
        return predicate in self._fluents

    def rows(self, predicate: str) -> Rows:
        """Return the rows at the start."""
        return self._rows.get(predicate, {})

    def index(self, predicate: str, positions: tuple[int, ...]) -> int:
        """Return the number of the table of `predicate` by its objects at `positions` (at least one)."""
        known = self._ids.get((predicate, positions))
        if known is not None:
            return known
        self.declare(predicate)
        key = itemgetter(*positions)
        table: Table = {}
        for row in self._rows[predicate]:
            # A row too short for the index is an ill-formed fact: nothing can match it.
            if len(row) > positions[-1]:
                table.setdefault(key(row), {})[row] = None
        number = len(self._tables)
        self._ids[predicate, positions] = number
        self._tables.append(table)
        self._owner.append(predicate)
        self._upkeep.setdefault(predicate, []).append((number, key))
        return number

    def fanout(self, predicate: str, positions: tuple[int, ...]) -> float:
        """Estimate how many rows match when the objects at `positions` are known."""
        known = self._fanouts.get((predicate, positions))
        if known is None:
            rows = self.rows(predicate)
            known = max(1.0, len(rows))
            if positions and rows:
                known = len(rows) / len({tuple(row[i] for i in positions if i < len(row)) for row in rows})
            self._fanouts[predicate, positions] = known
        return known

    def episode(self) -> Facts:
        """Return a copy for one episode; facts that never change are shared with it."""
        rows = {name: dict(found) if name in self._fluents else found for name, found in self._rows.items()}
        tables = [
            {key: dict(found) for key, found in table.items()} if owner in self._fluents else table
            for table, owner in zip(self._tables, self._owner, strict=True)
        ]
        return Facts(rows, tables, self._upkeep)


class Facts:
    """The facts of one running episode."""

    __slots__ = ("_upkeep", "rows", "tables")

    def __init__(self, rows: dict[str, Rows], tables: list[Table], upkeep: _Upkeep) -> None:
        self.rows = rows
        self.tables = tables
        self._upkeep = upkeep

    def add(self, predicate: str, row: Row) -> bool:
        """Make a fact true; returns whether it was not before."""
        rows = self.rows[predicate]
        if row in rows:
            return False
        rows[row] = None
        for number, key in self._upkeep.get(predicate, ()):
            self.tables[number].setdefault(key(row), {})[row] = None
        return True

    def remove(self, predicate: str, row: Row) -> bool:
        """Make a fact false; returns whether it was true."""
        rows = self.rows[predicate]
        if row not in rows:
            return False
        del rows[row]
        for number, key in self._upkeep.get(predicate, ()):
            del self.tables[number][key(row)][row]
        return True
