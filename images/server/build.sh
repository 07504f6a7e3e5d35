#!/usr/bin/env bash
# Make himalia/server from the base up; each layer only when what it is made of has changed.
# usage: build.sh TAG
set -euo pipefail
tag=$1
work=${HIMALIA_BUILD:-build}
key() { cat "$@" | sha256sum | cut -c1-12; }
docker() { tools/as-root.sh docker "$@"; }
build() {
  docker build -q --network none --force-rm "$@" >"$work/docker-build.log" 2>&1 || { cat "$work/docker-build.log" >&2; return 1; }
}
context=
trap 'rm -rf "$context"' EXIT

# A name says what is in it, so an image that is there is the right one.
base=himalia/base:bookworm-$(key images/base/packages.txt)
images/base/build.sh "$base"

lab_key=$(key images/base/packages.txt images/lab/Dockerfile requirements/server.txt)
lab=himalia/lab:$lab_key
if ! docker image inspect "$lab" >/dev/null 2>&1; then
  echo "lab image: fetching wheels and building (two to three minutes)"
  python_version=$(docker run --rm --network none "$base" python3 -c 'import platform; print(platform.python_version())')
  mkdir -p "$work/wheelhouse"
  "$work/venv/bin/pip" download -qq --no-deps --require-hashes --python-version "$python_version" --only-binary=:all: \
    -d "$work/wheelhouse" -r requirements/server.txt
  context=$(mktemp -d "$work/context.XXXXXX")
  cp -rl "$work/wheelhouse" "$context/wheelhouse"
  cp images/lab/Dockerfile requirements/server.txt "$context/"
  build --build-arg BASE="$base" -t "$lab" "$context"
  rm -rf "$context"
fi

source=$(cat images/server/Dockerfile images/server/start-server "$work"/wheel/*.whl.digest | sha256sum | cut -c1-16)
found=$(docker image inspect -f '{{index .Config.Labels "himalia.source"}}' "$tag" 2>/dev/null || true)
if [ "$found" != "$lab_key-$source" ]; then
  context=$(mktemp -d "$work/context.XXXXXX")
  cp "$work"/wheel/*.whl images/server/Dockerfile images/server/start-server "$context/"
  build --build-arg LAB="$lab" --build-arg KEY="$lab_key" --label himalia.source="$lab_key-$source" -t "$tag" "$context"
  echo "server image: $tag"
fi
