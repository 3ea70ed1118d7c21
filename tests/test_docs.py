"""Documentation that runs: snippets, commands, and pages that are made from the code."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from typer.main import get_command

from icd.cli.app import app
from icd.cli.reference import reference

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", page.read_text("utf-8"), re.MULTILINE | re.DOTALL)


def commands(page: Path) -> list[str]:
    """Every `icd` command of a page: lines of shell blocks, and code spans."""
    lines = [line for block in blocks(page, "bash") for line in block.splitlines()]
    spans = re.findall(r"`(icd [^`\n]+)`", re.sub(r"```.*?```", "", page.read_text("utf-8"), flags=re.DOTALL))
    parts = [part.strip() for line in (*lines, *spans) for part in line.split("&&")]
    found = [part.removeprefix(".venv/bin/") for part in parts]
    return [command for command in found if re.match(r"icd [a-z]", command)]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_exist_with_their_options(page: Path) -> None:
    if page.name == "cli.md":
        return
    for command in commands(page):
        words = shlex.split(command.replace("PATH", "x").replace("TRANSCRIPTS", "x"))[1:]
        place = get_command(app)
        while words and words[0] in getattr(place, "commands", {}):
            place = place.commands[words.pop(0)]  # type: ignore[attr-defined]
        assert not getattr(place, "commands", {}) or not words, f"no such command: {command}"
        known = {name for parameter in place.params for name in parameter.opts} | {"--help"}
        for word in words:
            if re.match(r"--?[a-z]", word):
                assert word in known, f"no such option: {word} in {command}"


@pytest.mark.parametrize(
    "page", [page for page in PAGES if blocks(page, "python")], ids=lambda page: page.name
)
def test_snippets_run_and_print_what_they_say(page: Path, tmp_path: Path) -> None:
    for snippet in blocks(page, "python"):
        done = subprocess.run(
            [sys.executable, "-c", snippet],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        said = re.search(r"print\(.*\)\n# (.*)", snippet)
        if said:
            assert done.stdout.splitlines()[-1] == said.group(1)


def test_the_command_reference_is_up_to_date() -> None:
    written = (ROOT / "docs/cli.md").read_text("utf-8")
    assert written == reference(), "run: python -m icd.cli.reference > docs/cli.md"


def test_links_lead_somewhere() -> None:
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text("utf-8")):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_nothing_names_one_machine() -> None:
    folders = ("icd", "memory", "envs", "tests", "benchmarks", "examples", "docs", "constraints", ".ci")
    ours = [path for folder in folders for path in (ROOT / folder).rglob("*") if path.is_file()]
    for path in (*ours, *ROOT.glob("*.md"), *ROOT.glob("*.toml")):
        if path.suffix in (".py", ".md", ".toml", ".txt", ".jinja", "") and path != Path(__file__):
            assert not re.search(r"/work/|/root/|/tmp/", path.read_text("utf-8")), path


def test_the_readme_has_its_two_commands() -> None:
    text = (ROOT / "README.md").read_text("utf-8")
    for marker, last in (("run", "icd demo --yes"), ("test", "pytest")):
        found = re.search(rf"^<!-- {marker} -->\n```bash\n(.*)\n```$", text, re.MULTILINE)
        assert found is not None
        assert found.group(1).endswith(last)
