"""Reads the house: its parts, the modules in them, how long they are, and what imports what.

A *part* is one package of the distribution, or the Lab extension. An import that runs only for type checkers, or only
inside a function, does not count: it cannot make a cycle when modules load.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PARTS = {
    "himalia": "client",
    "himalia_gpus": "gpus",
    "himalia_jobs": "jobs",
    "himalia_spawner": "spawner",
    "himalia_server_extension": "server_extension",
}
LAB = ROOT / "labextension" / "src"

SOURCE_FOLDERS = (*PARTS.values(), "labextension", "hub_config", "images", "tools", "benchmarks", "examples")
TEST_FOLDERS = ("tests/unit", "tests/integration", "tests/browser", "tests/faults", "tests/gpu", "labextension/tests")
SUFFIXES = frozenset({".py", ".ts", ".tsx", ".css", ".c", ".h", ".sh"})
NOT_OURS = frozenset({"node_modules", "dist", "lib", "build", "__pycache__"})
TS_IMPORT = re.compile(r"^(?:import|export)\s(?!type\b)[^;]*?from\s+'(\.[^']*)'", re.MULTILINE)

Imports = dict[str, set[str]]


def source_files(folder: str) -> list[Path]:
    """Return the files of a folder that people write and read, tests of the Lab extension apart."""
    tests = ROOT / "labextension" / "tests"
    return [
        file
        for file in sorted((ROOT / folder).rglob("*"))
        if file.suffix in SUFFIXES
        and not NOT_OURS & set(file.relative_to(ROOT).parts)
        and (tests not in file.parents or ROOT / folder == tests)
    ]


def line_count(file: Path) -> int:
    """Return how many lines a file has."""
    return len(file.read_text().splitlines())


def modules_of(part: str) -> dict[str, Path]:
    """Return the modules of a Python part, by their dotted names."""
    top = ROOT / PARTS[part]
    names = {}
    for file in sorted((top / part).rglob("*.py")):
        words = file.relative_to(top).with_suffix("").parts
        names[".".join(words[:-1] if words[-1] == "__init__" else words)] = file
    return names


def imported(file: Path, name: str, *, everywhere: bool = True) -> Iterator[str]:
    """Yield the dotted names of what a module imports; with `everywhere`, also inside functions and for type checkers."""
    tree = ast.parse(file.read_text())
    package = name if file.name == "__init__.py" else name.rpartition(".")[0]
    for node in ast.walk(tree) if everywhere else _run_when_loaded(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            origin = ".".join([*above, *([node.module] if node.module else [])])
            yield from (f"{origin}.{alias.name}" for alias in node.names)


def python_imports(part: str) -> Imports:
    """Return which modules of a part each of its modules imports when it is loaded."""
    modules = modules_of(part)
    graph: Imports = {}
    for name, file in modules.items():
        found = set(imported(file, name, everywhere=False))
        # `from .store import jobs, Database`: a module of the package, and a name in the package itself.
        graph[name] = {target if target in modules else target.rpartition(".")[0] for target in found}
        graph[name] = (graph[name] & modules.keys()) - {name}
    return graph


def lab_imports() -> Imports:
    """Return which modules of the Lab extension each of its modules imports."""
    graph: Imports = {}
    for file in sorted([*LAB.rglob("*.ts"), *LAB.rglob("*.tsx")]):
        found = (_lab_module(file.parent / target) for target in TS_IMPORT.findall(file.read_text()))
        graph[_lab_name(file)] = {_lab_name(target) for target in found if target is not None}
    return graph


def import_cycles(graph: Mapping[str, set[str]]) -> list[list[str]]:
    """Return cycles until none is left; of each that is found, one import is then taken away."""
    left = {name: set(targets) for name, targets in graph.items()}
    cycles: list[list[str]] = []
    while True:
        try:
            TopologicalSorter(left).prepare()
        except CycleError as error:
            cycle: list[str] = error.args[1]
            cycles.append(cycle)
            left[cycle[1]].discard(cycle[0])
        else:
            return cycles


def _run_when_loaded(node: ast.AST) -> Iterator[ast.AST]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            for other in child.orelse:
                yield from (other, *_run_when_loaded(other))
            continue
        yield child
        yield from _run_when_loaded(child)


def _lab_module(path: Path) -> Path | None:
    for candidate in (path.with_name(f"{path.name}.ts"), path.with_name(f"{path.name}.tsx"), path / "index.ts"):
        if candidate.is_file():
            return candidate.resolve()
    return None


def _lab_name(file: Path) -> str:
    return file.relative_to(LAB).with_suffix("").as_posix()
