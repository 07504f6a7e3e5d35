"""The house stays in order: imports go one way, modules fit a page, and every name says what it promises."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from house import (
    LAB,
    PARTS,
    ROOT,
    SOURCE_FOLDERS,
    TEST_FOLDERS,
    import_cycles,
    imported,
    lab_imports,
    line_count,
    modules_of,
    python_imports,
    source_files,
)

MAY_IMPORT: dict[str, set[str]] = {
    "himalia": set(),
    "himalia_gpus": {"himalia"},
    "himalia_jobs": {"himalia", "himalia_gpus"},
    "himalia_spawner": {"himalia", "himalia_gpus"},
    "himalia_server_extension": {"himalia"},
}
MOST_LINES = 400
#: Names that no user's directory is called in what we write; any other is somebody's own machine.
ACCOUNTS = ("jovyan", "paperspace", "you", "alice", "ada")
OWN_MACHINE = re.compile(rf"(?<![\w.}}/-])(?:/home/(?!(?:{'|'.join(ACCOUNTS)})\b)|/Users/)[A-Za-z][\w.-]*/")

ROOMS = {
    "client": "client/himalia",
    "gpus": "gpus/himalia_gpus",
    "jobs": "jobs/himalia_jobs",
    "spawner": "spawner/himalia_spawner",
    "server_extension": "server_extension/himalia_server_extension",
    "labextension": "labextension/src",
}
NOT_IN_TABLES = {"__init__.py", "__pycache__/"}

MODULES = [(name, file) for part in PARTS for name, file in modules_of(part).items()]


@pytest.mark.parametrize("part", PARTS)
def test_imports_go_one_way(part):
    for name, file in modules_of(part).items():
        parts = {target.partition(".")[0] for target in imported(file, name)} & PARTS.keys()

        assert parts <= MAY_IMPORT[part] | {part}, name


@pytest.mark.parametrize("part", PARTS)
def test_no_part_has_an_import_cycle(part):
    assert import_cycles(python_imports(part)) == []


def test_the_lab_extension_has_no_import_cycle():
    graph = lab_imports()

    assert len(graph) == len([*LAB.rglob("*.ts"), *LAB.rglob("*.tsx")])
    assert import_cycles(graph) == []


def test_every_folder_with_modules_goes_into_the_wheel():
    lacking = {str(file.parent.relative_to(ROOT)) for _, file in MODULES if not (file.parent / "__init__.py").exists()}

    assert lacking == set()


def test_every_file_that_a_module_needs_beside_it_goes_into_the_wheel():
    (patterns,) = [
        ast.literal_eval(node.value)
        for node in ast.parse((ROOT / "setup.py").read_text()).body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "DATA"
    ]
    beside = {
        file
        for part, folder in PARTS.items()
        for file in texts_in(ROOT / folder / part)
        if file.suffix != ".py" and "__pycache__" not in file.parts
    }
    packed = {
        file for package in {file.parent for _, file in MODULES} for one in patterns for file in package.glob(one)
    }

    assert {str(file.relative_to(ROOT)) for file in beside - packed} == set()


def test_a_cycle_is_found():
    assert import_cycles({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}})
    assert import_cycles({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == []


@pytest.mark.parametrize(
    ("library", "rooms"),
    [
        ("docker", ("himalia_jobs.engines", "himalia_spawner")),
        ("dockerspawner", ("himalia_spawner",)),
        ("sqlalchemy", ("himalia_jobs",)),
        ("alembic", ("himalia_jobs.store", "himalia_jobs.migrations")),
        ("jupyterhub", ("himalia_jobs", "himalia_spawner")),
        ("jupyter_server", ("himalia_server_extension",)),
        ("pynvml", ("himalia_gpus",)),
    ],
)
def test_a_heavy_library_is_imported_in_its_own_rooms_alone(library, rooms):
    users = [name for name, file in MODULES if library in {top(target) for target in imported(file, name)}]

    assert users
    assert [name for name in users if not any(f"{name}.".startswith(f"{room}.") for room in rooms)] == []


def test_the_environment_is_read_in_one_module_of_each_part():
    readers = {name for name, file in MODULES if reads_environment(file)}

    assert {name for name in readers if name not in {f"{part}.settings" for part in PARTS}} == set()


@pytest.mark.parametrize("folder", [*SOURCE_FOLDERS, *TEST_FOLDERS, "tests/support", "tests/fakes"])
def test_no_module_is_longer_than_its_page(folder):
    too_long = {str(file.relative_to(ROOT)): line_count(file) for file in source_files(folder)}

    assert {file: lines for file, lines in too_long.items() if lines > MOST_LINES} == {}


def test_every_public_class_and_function_has_a_docstring():
    silent = [f"{name}.{what}" for name, file in MODULES for what in undocumented(ast.parse(file.read_text()))]

    assert silent == []


def test_every_module_opens_with_a_sentence():
    assert [name for name, file in MODULES if file.read_text().strip() and not docstring(file)] == []


@pytest.mark.parametrize(("room", "folder"), ROOMS.items())
def test_a_rooms_table_names_each_of_its_modules_and_nothing_else(room, folder):
    named = in_table((ROOT / room / "README.md").read_text())
    there = {f"{entry.name}/" if entry.is_dir() else entry.name for entry in (ROOT / folder).iterdir()}

    assert {name for name in named if not (ROOT / room / name).exists()} - there == set()
    assert {name for name in there if name.endswith(("/", ".py", ".ts"))} - NOT_IN_TABLES - named == set()


def test_no_module_is_called_for_everything_and_nothing():
    assert [name for name, _ in MODULES if name.rpartition(".")[2] in {"utils", "helpers", "common", "misc"}] == []


def test_no_file_names_a_path_of_a_developers_machine():
    own = OWN_MACHINE if len(ROOT.parts) < 3 else re.compile(f"{OWN_MACHINE.pattern}|{re.escape(str(ROOT))}/")
    folders = (*SOURCE_FOLDERS, "tests", "docs", "requirements", "proxy", ".ci")

    texts = [
        *(file for folder in folders for file in texts_in(ROOT / folder)),
        *texts_in(ROOT, "*.*"),
        ROOT / "Makefile",
    ]

    assert [f"{file}: {found}" for file in texts for found in own.findall(file.read_text())] == []


def top(name: str) -> str:
    """Return the package that a dotted name begins with."""
    return name.partition(".")[0]


def docstring(file: Path) -> str | None:
    """Return what a module says of itself."""
    return ast.get_docstring(ast.parse(file.read_text()))


def reads_environment(file: Path) -> bool:
    """Tell whether a module reads environment variables; handing all of them on to a child is no reading."""
    tree = ast.parse(file.read_text())
    handed_on = {id(side) for node in ast.walk(tree) if isinstance(node, ast.BinOp) for side in (node.left, node.right)}
    return any(
        ast.unparse(node) in ("os.environ", "os.getenv") and id(node) not in handed_on
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
    )


def in_table(page: str) -> set[str]:
    """Return the files and folders that the first column of a page's tables names."""
    cells = [line.split("|")[1] for line in page.splitlines() if line.startswith("|")]
    return {name for cell in cells for name in re.findall(r"`([\w.]+(?:\.py|\.ts|/))`", cell)}


def undocumented(node: ast.Module | ast.ClassDef) -> Iterator[str]:
    """Yield the public names of a module or a class that say nothing of themselves."""
    for child in node.body:
        if not isinstance(child, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) or child.name.startswith("_"):
            continue
        if not ast.get_docstring(child):
            yield child.name
        if isinstance(child, ast.ClassDef):
            yield from (f"{child.name}.{name}" for name in undocumented(child))


def texts_in(folder: Path, pattern: str = "**/*") -> Iterator[Path]:
    """Yield the text files of a folder, what is built apart."""
    built = {"node_modules", "dist", "lib", "build", "__pycache__", "package-lock.json"}
    for file in sorted(folder.glob(pattern)):
        relative = file.relative_to(ROOT)
        if file.is_file() and not built & set(relative.parts) and b"\0" not in file.read_bytes()[:8000]:
            yield file
