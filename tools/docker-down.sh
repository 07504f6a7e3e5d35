#!/usr/bin/env bash
# Stop the Docker Engine that docker-up.sh started, and return once it is gone; leave any other alone.
set -euo pipefail
tools=$(dirname "$0")
file=build/dockerd.pid
[ -f "$file" ] || exit 0
pid=$(cat "$file")
if [ "$(cat "/proc/$pid/comm" 2>/dev/null)" = dockerd ]; then
  "$tools/as-root.sh" kill -TERM "$pid"
  for _ in $(seq 300); do [ -d "/proc/$pid" ] || break; sleep 0.1; done
  [ ! -d "/proc/$pid" ] || { echo "The Docker Engine (pid $pid) does not end. Its log: build/dockerd.log" >&2; exit 1; }
fi
"$tools/as-root.sh" rm -f "$file"
