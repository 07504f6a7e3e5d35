"""Print what containers see of GPUs, by each way that a Docker Engine gives them: measured here, by real Engines."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import isolation as measured


def main() -> int:
    """Print the table; return how many containers saw something else than they should."""
    seen, wrong = {}, []
    for path in measured.PATHS:
        with tempfile.TemporaryDirectory() as folder, measured.bench_of(path, Path(folder)) as bench:
            print(f"{path}: Docker Engine {bench.version}", file=sys.stderr)
            for row in (*measured.ROWS, *measured.PLAIN_ROWS):
                seen[row.words, path] = bench.sees(row)
                wrong += [f"{row.words}, {path}"] if seen[row.words, path] != row.expected(path) else []
    print(measured.table(lambda row, path: seen[row.words, path]))
    print("\n".join(f"Not as it should be: {words}" for words in wrong), file=sys.stderr)
    return len(wrong)


if __name__ == "__main__":
    sys.exit(main())
