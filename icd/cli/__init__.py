"""The command line. Starts fast: what a command needs is imported when it runs."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command that the process was given, and leave with its exit code."""
    from icd.cli.app import run

    sys.exit(run(sys.argv[1:]))
