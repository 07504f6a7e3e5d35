"""Reads names, comments, types and defaults out of our own classes, and marks out of our tests, for the generated pages."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, get_args

from pydantic import BaseModel


@dataclass(frozen=True, kw_only=True)
class Line:
    """One name of a class or module: its annotation and the `#:` comment beside it, as they are written."""

    name: str
    annotation: str
    comment: str


def lines_of(thing: type | ModuleType) -> list[Line]:
    """Return the names of a class (its bases of ours too) or module, with the comments beside them."""
    if isinstance(thing, ModuleType):
        return _lines(inspect.getsource(thing), in_class=False)
    found: dict[str, Line] = {}
    for base in reversed(thing.__mro__):
        if base.__module__.startswith("himalia"):
            found |= {line.name: line for line in _lines(textwrap.dedent(inspect.getsource(base)), in_class=True)}
    return [line for line in found.values() if line.name != "model_config"]


def _lines(source: str, *, in_class: bool) -> Iterable[Line]:
    rows, tree = source.splitlines(), ast.parse(source)
    first = tree.body[0]
    body = first.body if in_class and isinstance(first, ast.ClassDef) else tree.body
    found = []
    for node in body:
        target = (
            node.target
            if isinstance(node, ast.AnnAssign)
            else node.targets[0]
            if isinstance(node, ast.Assign)
            else None
        )
        if isinstance(target, ast.Name):
            annotation = ast.unparse(node.annotation) if isinstance(node, ast.AnnAssign) else ""
            comment = rows[(node.end_lineno or 1) - 1].partition("#:")[2].strip()
            found.append(Line(name=target.id, annotation=annotation, comment=comment))
    return found


def values(kind: type) -> list[tuple[Any, str]]:
    return [(getattr(kind, line.name), line.comment) for line in lines_of(kind)]


def model_of(annotation: Any) -> tuple[type[BaseModel] | None, bool]:
    candidates = (annotation, *get_args(annotation))
    found = next((part for part in candidates if isinstance(part, type) and issubclass(part, BaseModel)), None)
    return found, found is not annotation


def kind_of(model: type[BaseModel], line: Line) -> str:
    bounds = {type(part).__name__.lower(): part for part in model.model_fields[line.name].metadata}
    said = KINDS.get(line.annotation.removesuffix(" | None"), line.annotation)
    if "ge" in bounds:
        said += f", {bounds['ge'].ge}" + (f" to {bounds['le'].le}" if "le" in bounds else " or more")
    if "gt" in bounds:
        said += f", more than {bounds['gt'].gt}"
    return said


KINDS = {
    "str": "text",
    "int": "number",
    "float": "number",
    "bool": "true or false",
    "Path": "path",
    "Bytes": "size",
    "Seconds": "duration",
    "BytesOrUnlimited": "size, or `unlimited`",
    "CountOrUnlimited": "number, or `unlimited`",
    "tuple[str, ...]": "list of texts",
    "dict[str, dict[str, Any]]": "tables",
    "Literal['ro', 'rw']": "`ro` or `rw`",
    "Literal['turns', 'usage']": "`turns` or `usage`",
    "GPUMode": "one of the words beside",
    "Literal['tell', 'end']": "`tell` or `end`",
    "AwareDatetime": "date and time with a zone",
    "dict[str, float]": "table of numbers",
}


def default_of(model: type[BaseModel], line: Line) -> str:
    field = model.model_fields[line.name]
    if field.is_required():
        return "must be given"
    value = field.get_default(call_default_factory=True)
    if value is None:
        return "none"
    if line.annotation in ("Bytes", "BytesOrUnlimited"):
        power, letter = next(
            (power, letter) for power, letter in ((4, "T"), (3, "G"), (2, "M"), (1, "K")) if value % 1024**power == 0
        )
        return f'`"{value // 1024**power}{letter}"`'
    if line.annotation == "Seconds":
        unit, letter = next(
            (unit, letter) for unit, letter in ((86400, "d"), (3600, "h"), (60, "m"), (1, "s")) if value % unit == 0
        )
        return f'`"{value // unit}{letter}"`'
    if isinstance(value, str | Path):
        return f'`"{value}"`'
    return (
        f"`{list(value)}`"
        if isinstance(value, tuple)
        else f"`{value}`"
        if not isinstance(value, bool)
        else f"`{str(value).lower()}`"
    )


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [columns, ["---"] * len(columns), *rows]
    return (
        "\n".join(
            "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in line) + " |" for line in lines
        )
        + "\n"
    )


@dataclass(frozen=True, kw_only=True, order=True)
class Shown:
    """A test that shows a fault: where it is, its name, and what it says of it."""

    file: Path
    name: str
    sentence: str


def marked_tests(folder: Path) -> dict[int, list[Shown]]:
    """Return the tests that carry `@pytest.mark.fault(number)`, by number: of their own, of their class or of their module."""
    found: dict[int, list[Shown]] = {}
    for file in sorted(folder.rglob("*.py")):
        tree = ast.parse(file.read_text())
        for test, marks in _tests(tree, _own_marks(tree)):
            shown = Shown(file=file, name=test.name, sentence=_sentence(test))
            for number in marks:
                found.setdefault(number, []).append(shown)
    return found


Test = ast.FunctionDef | ast.AsyncFunctionDef


def _tests(node: ast.Module | ast.ClassDef, marks: set[int]) -> Iterable[tuple[Test, set[int]]]:
    for child in node.body:
        if isinstance(child, Test) and child.name.startswith("test_"):
            yield child, marks | _numbers(child.decorator_list)
        elif isinstance(child, ast.ClassDef):
            yield from _tests(child, marks | _numbers(child.decorator_list) | _own_marks(child))


def _own_marks(node: ast.Module | ast.ClassDef) -> set[int]:
    """Return the numbers in `pytestmark`."""
    values = [child.value for child in node.body if isinstance(child, ast.Assign) and _name(child) == "pytestmark"]
    return _numbers(values)


def _name(node: ast.Assign) -> str:
    target = node.targets[0]
    return target.id if isinstance(target, ast.Name) else ""


def _numbers(nodes: Iterable[ast.AST]) -> set[int]:
    calls = [call for node in nodes for call in ast.walk(node) if isinstance(call, ast.Call)]
    marks = [call for call in calls if isinstance(call.func, ast.Attribute) and call.func.attr == "fault"]
    return {
        arg.value for call in marks for arg in call.args if isinstance(arg, ast.Constant) and isinstance(arg.value, int)
    }


def _sentence(test: Test) -> str:
    """Return what a test says: its docstring, or its name as a sentence."""
    said = (ast.get_docstring(test) or test.name.removeprefix("test_").replace("_", " ")).split("\n\n")[0]
    return f"{said[:1].upper()}{said[1:]}".rstrip(".") + "."
