"""What an operator does while servers run: `icd` commands on their store, one at a time."""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from served import ICD

from icd.exchange import write_file
from icd_memory.trajectory import Outcome, Provenance, Step, Trajectory

_PATIENCE = 300.0


class Command(NamedTuple):
    """An `icd` command and the exit codes that are right."""

    arguments: tuple[str, ...]
    codes: frozenset[int] = frozenset({0})

    @property
    def name(self) -> str:
        return " ".join(self.arguments[:2])


@dataclass
class Upkeep:
    """Runs the commands in turn, in the folder of the store."""

    folder: Path
    tenant: str
    done: Counter[str] = field(default_factory=Counter)
    failed: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._commands = self._in_turn()

    async def next(self) -> None:
        """Run the next command to its end."""
        await self._run(next(self._commands))

    async def run(self, *commands: tuple[str, ...]) -> None:
        """Run these commands."""
        for arguments in commands:
            await self._run(Command(arguments))

    async def _run(self, command: Command) -> None:
        process = await asyncio.create_subprocess_exec(
            *ICD, *command.arguments, cwd=self.folder,
            stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        try:
            _, said = await asyncio.wait_for(process.communicate(), _PATIENCE)
        except TimeoutError:
            process.kill()
            await process.wait()
            said = b"it hangs"
        self.done[command.name] += 1
        if process.returncode not in command.codes or b"Traceback" in said:
            self.failed.append(
                f"{command.name}: {process.returncode}: {said.decode(errors='replace')[-300:]}"
            )

    def _in_turn(self) -> Iterator[Command]:
        for number in itertools.count():
            shelf, source = f"shelf-{number}.jsonl", f"shelf-{number}"
            whose = ("--source", source, "--tenant", self.tenant)
            (self.folder / "copy.db").unlink(missing_ok=True)
            yield Command(("store", "backup", "copy.db"))
            yield Command(("store", "verify", "--store", "copy.db"))
            write_file(self.folder / shelf, _shelf(source, self.tenant))
            yield Command(("memory", "import", shelf))
            yield Command(("memory", "approve", *whose))
            yield Command(("memory", "list", "--status", "all", "--json"))
            yield Command(("memory", "recall", *whose))
            (self.folder / shelf).unlink()
            yield Command(("receipts", "verify"))
            yield Command(("strategies", "list", "--json"))
            yield Command(("memory", "export", "out.jsonl"))
            yield Command(("keys", "list"))
            yield Command(("memory", "stats", "--json"))


def _shelf(source: str, tenant: str) -> list[Trajectory]:
    """Return demonstrations of another memory."""
    return [
        Trajectory(
            id=f"{source}/{number}", environment="chat", task_id=f"{source}/{number}", instance="", split="live",
            goal=f"easy question {number} about the parcel", category="", plan="",
            steps=(Step(f"question {number} about the parcel", "I know this one: it is 42."),),
            outcome=Outcome(True, 1.0, "feedback"), tenant=tenant,
            provenance=Provenance(source, "elsewhere", datetime(2026, 1, 1, tzinfo=UTC)),
        )
        for number in range(10)
    ]  # fmt: skip
