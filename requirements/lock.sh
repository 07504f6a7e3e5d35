#!/usr/bin/env bash
# Write the locks: every package at one version, with the hashes of its files, and no address of any index.
set -euo pipefail
cd "$(dirname "$0")/.."
compile() {
  env -u PIP_FIND_LINKS PIP_CONFIG_FILE=/dev/null CUSTOM_COMPILE_COMMAND="make lock" \
    build/venv/bin/pip-compile --quiet --generate-hashes --allow-unsafe --strip-extras --resolver=backtracking \
    --no-emit-index-url --no-emit-find-links --no-emit-trusted-host --no-annotate "$@"
}
compile --extra hub --extra jobs --extra server --extra dev --output-file requirements/host.txt setup.py
compile --output-file requirements/server.txt requirements/server.in
compile --output-file requirements/gpu.txt requirements/gpu.in
