"""README's table of results, made from what is committed: ``python benchmarks/readme_table.py --write``.

Reads each ``benchmarks/results/NAME/summary.json``, which ``icd report RUN --json`` gives, and writes the block between
the two markers of README.md; without ``--write`` it prints the block. Derived methods, and those with changed settings
other than strategies, are left to the reports. After a trained student's table comes that of `benchmarks/dial.py`.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from icd.benchmark.markdown import escaped

ROOT = Path(__file__).resolve().parent.parent
README = ROOT / "README.md"
RESULTS = ROOT / "benchmarks/results"
BEGIN, END = "<!-- results: benchmarks/readme_table.py -->", "<!-- end of results -->"
COLUMNS = (
    "method",
    "episodes",
    "success",
    "by the teacher",
    "$ an episode",
    "of the teacher's cost",
    "break-even",
)
SCORE = "score"
"""After success, where an environment's scores say more than that."""


def block(results: Path, root: Path = ROOT) -> str:
    """Return the block, markers included."""
    lines = [BEGIN]
    for path in sorted(results.glob("*/summary.json")):
        for run in json.loads(path.read_text("utf-8")):
            lines += ["", *_run(run, path.parent.relative_to(root).as_posix())]
        if (dial := path.parent / "dial.md").is_file():
            lines += [
                "",
                "The same tasks before and after fine-tuning:",
                "",
                dial.read_text("utf-8").rstrip(),
            ]
    return "\n".join([*lines, "", END])


def with_block(readme: str, made: str) -> str:
    """Return README's text with another block.

    Raises:
        ValueError: it has not both markers, once each.
    """
    if readme.count(BEGIN) != 1 or readme.count(END) != 1:
        raise ValueError(f"README.md needs the lines {BEGIN!r} and {END!r}, once each")
    before, _, rest = readme.partition(BEGIN)
    return before + made + rest.partition(END)[2]


def _run(run: Mapping[str, Any], folder: str) -> Iterator[str]:
    conditions = run["conditions"]
    student, teacher = (
        conditions[name]["model"] if conditions[name] else "none" for name in ("student", "teacher")
    )
    yield (
        f"**{escaped(conditions['environment'])}, {escaped(conditions['split'])}**: student {escaped(student)}, "
        f"teacher {escaped(teacher)}, {run['collection']['demonstrations']} demonstrations, at most "
        f"{conditions['max_steps']} steps ([all results]({folder}))"
    )
    yield ""
    scored = any(method.get("score") for method in run["methods"])
    columns = [*COLUMNS[:3], *([SCORE] if scored else []), *COLUMNS[3:]]
    yield f"| {' | '.join(columns)} |"
    yield f"|---|{'---:|' * (len(columns) - 1)}"
    for method in run["methods"]:
        if method["episodes"] and not method["derived"] and _is_shown(method["method"]["name"]):
            yield f"| {' | '.join(_cells(method, scored=scored))} |"


def _is_shown(name: str) -> bool:
    changed = name.partition("[")[2]
    return not changed or (changed.startswith("strategies=") and ";" not in changed)


def _cells(method: Mapping[str, Any], *, scored: bool) -> list[str]:
    against = method["against"]
    found = against["break_even"]
    return [
        escaped(method["method"]["name"]),
        str(method["episodes"]),
        _figure(method["success"], ".2f"),
        *([_figure(method["score"], ".2f")] if scored else []),
        f"{method['escalation']:.0%}",
        _figure(method["cost"], ".4f"),
        _figure(against["relative_cost"], ".2f"),
        ""
        if found is None
        else f"{_count(found['episodes'])} [{_count(found['low'])}, {_count(found['high'])}]",
    ]


def _figure(interval: Mapping[str, float | None] | None, form: str) -> str:
    if interval is None or interval["value"] is None:
        return ""
    value, low, high = (
        "?" if part is None else f"{part:{form}}"
        for part in (interval["value"], interval["low"], interval["high"])
    )
    return f"{value} [{low}, {high}]"


def _count(number: float | None) -> str:
    """Write a number of episodes; JSON has no infinity, so none stands for it."""
    return "never" if number is None else f"{number:.0f}"


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="README's table of results.")
    parser.add_argument("--write", action="store_true", help="write it into README.md")
    made = block(RESULTS)
    if parser.parse_args(arguments).write:
        README.write_text(with_block(README.read_text("utf-8"), made), "utf-8")
    else:
        sys.stdout.write(made + "\n")


if __name__ == "__main__":
    main()
