"""Prints the size of the house: lines for each folder of source and of tests, the longest modules, import cycles."""

from __future__ import annotations

from house import (
    PARTS,
    ROOT,
    SOURCE_FOLDERS,
    TEST_FOLDERS,
    import_cycles,
    lab_imports,
    line_count,
    python_imports,
    source_files,
)

LONGEST = 3


def main() -> None:
    """Print the figures."""
    print(table("source", SOURCE_FOLDERS))
    print(table("tests", TEST_FOLDERS))
    lengths = {file: line_count(file) for folder in SOURCE_FOLDERS + TEST_FOLDERS for file in source_files(folder)}
    for file in sorted(lengths, key=lambda file: -lengths[file])[:LONGEST]:
        print(f"longest module     {lengths[file]:5}  {file.relative_to(ROOT)}")
    cycles = [cycle for part in PARTS for cycle in import_cycles(python_imports(part))] + import_cycles(lab_imports())
    print(f"import cycles      {len(cycles):5}")
    for cycle in cycles:
        print("  " + " <- ".join(cycle))


def table(title: str, folders: tuple[str, ...]) -> str:
    """Return files and lines of folders, and their sum."""
    rows = [(folder, [line_count(file) for file in source_files(folder)]) for folder in folders]
    rows = [row for row in rows if row[1]]
    total = [lines for _, counts in rows for lines in counts]
    width = max(len(folder) for folder, _ in rows)
    lines = [f"{title:{width}}  files  lines"]
    lines += [f"{name:{width}}  {len(counts):5}  {sum(counts):5}" for name, counts in [*rows, ("together", total)]]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
