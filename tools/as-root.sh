#!/usr/bin/env bash
# Run a command with root's rights: as it is for root, through sudo for others. usage: as-root.sh COMMAND…
[ "$(id -u)" = 0 ] && exec "$@"
if ! command -v sudo >/dev/null; then
  echo "This needs root: who may open the Docker Engine's socket is root anyway. Run it as root, or install sudo. (${1##*/})" >&2
  exit 1
fi
kept=HIMALIA_CONFIG,HIMALIA_DATA,HIMALIA_ROOT,HIMALIA_PROXY,HIMALIA_BUILD,HIMALIA_PULL,HIMALIA_TEST_IMAGE,HIMALIA_CAMPAIGN
exec sudo --preserve-env=$kept,DEBIAN_FRONTEND,DEBIAN_MIRROR,DOCKER_HOST,http_proxy,https_proxy,no_proxy "$@"
