#!/usr/bin/env bash
# Install Debian packages that are missing; never remove one. usage: apt.sh [--missing] PACKAGE…   (--missing: only print them)
set -euo pipefail
only_print=
[ "${1:-}" != --missing ] || { only_print=1; shift; }
missing=()
for package in "$@"; do
  dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
done
[ -z "$only_print" ] || { echo "${missing[*]}"; exit 0; }
[ ${#missing[@]} -gt 0 ] || exit 0
if ! command -v apt-get >/dev/null; then
  echo "This is no Debian or Ubuntu: apt-get is not there. Install what these packages hold, and run it again: ${missing[*]}" >&2
  exit 1
fi
root=$(dirname "$0")/as-root.sh
echo "installing: ${missing[*]}"
fresh=$(find /var/lib/apt/lists -name '*_Packages*' -mmin -1440 -print -quit 2>/dev/null || true)
[ -n "$fresh" ] || "$root" apt-get update -qq
"$root" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends --no-remove "${missing[@]}" >/dev/null
