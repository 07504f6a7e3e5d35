#!/usr/bin/env bash
# Build our own wheel into build/wheel, when anything that goes into it has changed.
set -euo pipefail
work=${HIMALIA_BUILD:-build}
digest=$(find setup.py pyproject.toml client gpus jobs spawner server_extension labextension/dist -type f \
  ! -name '*.pyc' ! -path '*/tests/*' ! -path '*.egg-info*' -print0 | LC_ALL=C sort -z | xargs -0 sha256sum | sha256sum | cut -c1-32)
[ "$(cat "$work"/wheel/himalia.whl.digest 2>/dev/null)" = "$digest" ] && exit 0
rm -rf build/lib build/bdist.* "$work/wheel"
mkdir -p "$work/wheel"
"$work/venv/bin/pip" wheel -q --no-deps --no-build-isolation -w "$work/wheel" .
echo "$digest" > "$work/wheel/himalia.whl.digest"
