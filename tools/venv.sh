#!/usr/bin/env bash
# Make build/venv with the system's Python (another one may stand first in the path), or the one that PYTHON3 names.
set -euo pipefail
python=${PYTHON3:-/usr/bin/python3}
if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
  echo "Himalia needs Python 3.11 or newer, and $python is $("$python" -V 2>&1). Name another with PYTHON3=…" >&2
  exit 1
fi
[ -x build/venv/bin/pip ] || "$python" -m venv --clear build/venv
build/venv/bin/pip install -qq --disable-pip-version-check --require-hashes -r requirements/host.txt
