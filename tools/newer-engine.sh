#!/usr/bin/env bash
# Make a directory with a newer Docker Engine, that of another Debian, for tests of it. usage: newer-engine.sh SUITE DIRECTORY
set -euo pipefail
suite=$1 directory=$2
tools=$(dirname "$0")
"$tools/apt.sh" debootstrap debian-archive-keyring
mkdir -p "$(dirname "$directory")/debs"
"$tools/as-root.sh" rm -rf "$directory"
"$tools/as-root.sh" debootstrap --variant=minbase --cache-dir="$(realpath "$(dirname "$directory")")/debs" \
  --include=docker.io,iptables "$suite" "$directory" ${DEBIAN_MIRROR:-} >"$directory.log" || { tail -20 "$directory.log"; exit 1; }
