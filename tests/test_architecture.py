"""The import direction, by the syntax trees; and what is too long, printed and bounded."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = {"icd": ROOT / "icd", "icd_memory": ROOT / "memory/icd_memory", "icd_envs": ROOT / "envs/icd_envs"}
FORBIDDEN = {"icd": set(), "icd_memory": {"icd", "icd_envs"}, "icd_envs": {"icd", "icd_memory"}}
HEAVY = {
    "torch",
    "transformers",
    "chromadb",
    "openai",
    "aiohttp",
    "fastapi",
    "uvicorn",
    "langchain_core",
    "jsonschema",
    "onnxruntime",
    "tokenizers",
    "xllamacpp",
    "matplotlib",
    "jinja2",
    "psycopg",
    "ray",
    "sentence_transformers",
    "textworld",
    "genai_prices",
    "opentelemetry",
    "trl",
    "peft",
    "datasets",
}
LONG_MODULE, LONG_FUNCTION = 400, 50
MOST_MODULE, MOST_FUNCTION = 480, 70
"""Beyond these a test fails; between, it tells."""


def modules() -> Iterator[tuple[str, Path, ast.Module]]:
    """Every module by its dotted name."""
    for package, folder in PACKAGES.items():
        for path in sorted(folder.rglob("*.py")):
            parts = path.relative_to(folder).with_suffix("").parts
            name = ".".join((package, *(part for part in parts if part != "__init__")))
            yield name, path, ast.parse(path.read_text("utf-8"))


MODULES = list(modules())


def imported(tree: ast.AST, *, when_loaded: bool = False) -> set[str]:
    """Return the modules that a syntax tree imports; only those imported on loading, if so asked."""
    found: set[str] = set()
    nodes = _on_loading(tree) if when_loaded else ast.walk(tree)
    for node in nodes:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute here"
            found |= {str(node.module)} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def _on_loading(tree: ast.AST) -> Iterator[ast.AST]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        yield node
        yield from _on_loading(node)


@pytest.mark.parametrize("package", PACKAGES)
def test_packages_import_only_downwards(package: str) -> None:
    for name, path, tree in MODULES:
        if name.split(".")[0] == package:
            wrong = {module for module in imported(tree) if module.split(".")[0] in FORBIDDEN[package]}
            assert not wrong, f"{path} imports {wrong}"


def test_nothing_knows_the_command_line() -> None:
    for name, path, tree in MODULES:
        if not name.startswith("icd.cli"):
            assert not {m for m in imported(tree) if m.startswith(("icd.cli", "typer"))}, path


def test_no_cycles_on_loading() -> None:
    names = {name for name, _, _ in MODULES}
    graph = {name: (imported(tree, when_loaded=True) & names) - {name} for name, _, tree in MODULES}
    done: set[str] = set()

    def visit(name: str, path: tuple[str, ...]) -> None:
        assert name not in path, " -> ".join((*path[path.index(name) :], name))
        if name not in done:
            for other in sorted(graph[name]):
                visit(other, (*path, name))
            done.add(name)

    for name in sorted(graph):
        visit(name, ())


PARTS = {
    "icd.serving": "the server",
    "icd.console": "the server",
    "icd.integrations.langchain": "LangChain",
    "icd.backends.langchain": "LangChain",
    "icd.backends.openai": "endpoints",
    "icd.offline.training": "training",
}
"""What is about one subject with several modules, by how their names begin."""


def part_of(name: str) -> str:
    """Return the part that a module belongs to: itself, where it stands alone."""
    return next((part for beginning, part in PARTS.items() if name.startswith(beginning)), name)


def test_heavy_parts_are_imported_where_they_are_used() -> None:
    loads = {name: imported(tree, when_loaded=True) for name, _, tree in MODULES}
    heavy = {name for name, found in loads.items() if {m.split(".")[0] for m in found} & HEAVY}
    for name, found in loads.items():
        # A module may be about one of them, if it is itself imported where it is used; or a part as a whole.
        elsewhere = {other for other in found & heavy if part_of(other) != part_of(name)}
        assert not elsewhere, f"{name} imports {elsewhere} on loading"


def test_lengths() -> None:
    told = []
    for _, path, tree in MODULES:
        where = path.relative_to(ROOT)
        lines = len(path.read_text("utf-8").splitlines())
        if lines > LONG_MODULE:
            told.append((lines > MOST_MODULE, f"{where}: {lines} lines"))
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                length = (node.end_lineno or node.lineno) - node.lineno + 1
                if length > LONG_FUNCTION:
                    text = f"{where}:{node.lineno} {node.name}: {length} lines"
                    told.append((length > MOST_FUNCTION, text))
    for _, text in told:
        print(text)
    assert not [text for too_long, text in told if too_long]


SERVED = {"icd.chat", "icd.serving", "icd.console"}
UNBOUND = {"decision", "decisions", "ledger", "trajectory", "trajectories_by_id", "admission"}
"""What `Store` reads by id alone, whoever's it is."""


def test_who_serves_tenants_reads_through_their_own_rows() -> None:
    """`Store.of` cannot forget whose rows it gives."""
    reads = [
        f"{name}:{node.lineno} {ast.unparse(node)}"
        for name, _, tree in MODULES
        if ".".join(name.split(".")[:2]) in SERVED
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and node.attr in UNBOUND
        and ast.unparse(node.value).endswith("store")
    ]
    assert not reads
