#!/usr/bin/env bash
# Make the base image: Debian bookworm with Python, pulled where a container registry answers, debootstrapped where none does.
# usage: build.sh TAG
set -euo pipefail
tag=$1
packages=$(paste -sd, images/base/packages.txt)
work=${HIMALIA_BUILD:-build}
as_root=tools/as-root.sh
if "$as_root" docker image inspect "$tag" >/dev/null 2>&1; then exit 0; fi

if [ "${HIMALIA_PULL:-1}" = 1 ] && "$as_root" timeout 90 docker pull -q debian:bookworm-slim >/dev/null 2>&1; then
  echo "base image: from debian:bookworm-slim"
  "$as_root" docker build -q --force-rm -t "$tag" - <<DOCKERFILE
FROM debian:bookworm-slim
RUN apt-get update -qq && apt-get install -y -qq --no-install-recommends ${packages//,/ } && rm -rf /var/lib/apt/lists/*
ENV LANG=C.UTF-8
DOCKERFILE
  exit 0
fi

echo "base image: no registry answers, debootstrapping (about a minute)"
tools/apt.sh debootstrap debian-archive-keyring
root=$(mktemp -d "${TMPDIR:-/var/tmp}/himalia-base.XXXXXX")
trap '"$as_root" rm -rf "$root"' EXIT
mkdir -p "$work/debs"
"$as_root" debootstrap --variant=minbase --cache-dir="$PWD/$work/debs" --include="$packages" \
  bookworm "$root" ${DEBIAN_MIRROR:-} >"$work/debootstrap.log" || { tail -20 "$work/debootstrap.log"; exit 1; }
"$as_root" rm -rf "$root"/var/cache/apt/archives/*.deb "$root"/var/lib/apt/lists/* "$root"/usr/share/{doc,man,locale}/*
"$as_root" tar -C "$root" --numeric-owner --one-file-system -c . | "$as_root" docker import \
  --change 'ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8' \
  --change 'CMD ["bash"]' - "$tag" >/dev/null
