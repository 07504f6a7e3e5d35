#!/usr/bin/env bash
# Find a running Docker Engine, or start one; install one only where there is none. One that was found is never stopped by us.
# usage: docker-up.sh [--say]   (--say: only say what it would do)
set -euo pipefail
tools=$(dirname "$0")
# The path of people who are not root has no sbin. All of these can be set, for tests.
sbin=${SBIN-/usr/local/sbin:/usr/sbin:/sbin}
systemd=${SYSTEMD-/run/systemd/system}
socket=${DOCKER_SOCKET-/var/run/docker.sock}
proc=${PROC-/proc}
pidfile=${DOCKER_PIDFILE-/var/run/docker.pid}

answers() { docker info >/dev/null 2>&1 || { [ "$(id -u)" != 0 ] && "$tools/as-root.sh" docker info >/dev/null 2>&1; }; }
has() { PATH=$PATH:$sbin command -v "$1" >/dev/null; }
running() {  # the pid of a dockerd of this machine; those inside containers are others
  for comm in "$proc"/[0-9]*/comm; do
    [ "$(cat "$comm" 2>/dev/null)" = dockerd ] && [ "${comm%/comm}/ns/pid" -ef "$proc/self/ns/pid" ] || continue
    basename "${comm%/comm}"
    return
  done
}

if [ "${1:-}" = --say ]; then
  if has docker && docker info >/dev/null 2>&1; then
    version=$(docker version -f '{{.Server.Version}}' 2>/dev/null || echo "unknown version")
    echo "uses the Docker Engine that runs ($version), and changes no setting of it"
  elif has docker && has dockerd && [ -S "$socket" ] && [ "$(id -u)" != 0 ]; then
    echo "uses the Docker Engine that is installed, as root: $(id -un) may not open its socket; starts it if it does not run"
  elif has docker && has dockerd; then
    echo "starts the Docker Engine that is installed"
  else
    echo "installs a Docker Engine (Debian's docker.io), as there is none, and starts it"
  fi
  exit 0
fi

if has docker && answers; then exit 0; fi
if ! has docker || ! has dockerd; then
  "$tools/apt.sh" docker.io iptables
  if answers; then exit 0; fi
fi
there=$(running)
if [ -n "$there" ]; then
  # A second one would take the first one's socket away. It may be starting: wait for it below.
  echo "A Docker Engine runs (pid $there) and does not answer yet."
elif [ -d "$systemd" ]; then
  "$tools/as-root.sh" systemctl start docker
else
  mkdir -p build
  # It outlives this script and the make that called it, and has its usual pid file, which keeps a second one from starting.
  "$tools/as-root.sh" env PATH="${DOCKERD_PATH-$sbin:/usr/local/bin:/usr/bin:/bin}" setsid dockerd --pidfile "$pidfile" \
    >build/dockerd.log 2>&1 </dev/null &
  started=$!
fi
for _ in $(seq "${DOCKER_WAIT_TENTHS-300}"); do
  if answers; then
    [ -z "${started:-}" ] || cp "$pidfile" build/dockerd.pid  # docker-down.sh stops this one alone
    exit 0
  fi
  if [ -n "${started:-}" ] && ! kill -0 "$started" 2>/dev/null; then break; fi
  sleep 0.1
done
if [ -n "$there" ]; then
  echo "The Docker Engine that runs here (pid $there) does not answer at $socket. Look at its log, or restart it." >&2
elif [ -d "$systemd" ]; then
  echo "The Docker Engine did not start. What it says:" >&2
  "$tools/as-root.sh" journalctl -u docker -n 20 --no-pager >&2 || true
else
  echo "The Docker Engine did not start. What it says:" >&2
  tail -20 build/dockerd.log >&2 || true
fi
exit 1
