"""Commit a run's results: its summary, raw episodes, table and page under ``benchmarks/results/NAME``.

    python benchmarks/publish.py NAME STORE [RUN]

They are what `icd report` writes, but for the folders of this machine: of an absolute path the last part is left.
`benchmarks/readme_table.py --write` makes README's table from them.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from pathlib import Path

RESULTS = Path(__file__).resolve().parent / "results"
_ICD = [sys.executable, "-c", "from icd.cli import main; raise SystemExit(main())"]
_PATH = re.compile(r"""(?<![\w:/.<>&-])/(?:[\w.@+-]+/)+([\w.@+-]+)""")
"""An absolute path that is no part of an address, a closing tag or a fraction."""


def without_folders(text: str) -> str:
    """Return a text with absolute paths cut to their last part."""
    return _PATH.sub(r"\1", text)


def publish(name: str, store: str, runs: list[str]) -> list[Path]:
    """Write the four files of a run, the store's last one if none is named, and return their paths."""
    folder = RESULTS / name
    folder.mkdir(parents=True, exist_ok=True)
    made = [folder / file for file in ("summary.json", "report.html", "report.md", "episodes.jsonl")]
    summary, page, table, episodes = made
    command = [*_ICD, "report", *runs, "--store", store, "--json"]
    command += ["--html", str(page), "--markdown", str(table), "--results", str(episodes)]
    summary.write_text(subprocess.run(command, check=True, capture_output=True, text=True).stdout, "utf-8")
    for path in made:
        path.write_text(without_folders(path.read_text("utf-8")), "utf-8")
    return made


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("name", help="folder under benchmarks/results")
    parser.add_argument("store", help="file or URL of the store")
    parser.add_argument("run", nargs="*", help="by default the store's last one")
    arguments = parser.parse_args()
    for path in publish(arguments.name, arguments.store, arguments.run):
        print(f"{path.relative_to(RESULTS.parent.parent)}: {path.stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    main()
