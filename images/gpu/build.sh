#!/usr/bin/env bash
# Make himalia/gpu: himalia/server, and PyTorch with NVIDIA's CUDA libraries. It takes some GB to fetch and some to keep.
# usage: build.sh TAG SERVER_TAG
set -euo pipefail
tag=$1 server=$2
work=${HIMALIA_BUILD:-build}
wheels=$PWD/$work/gpu-wheelhouse
docker() { tools/as-root.sh docker "$@"; }
container=himalia-gpu-image-$$
trap 'docker rm -f "$container" >/dev/null 2>&1 || true' EXIT

# The packages of its own: what people install on top must not be read by another image.
key=$(cat images/gpu/build.sh requirements/gpu.txt requirements/server.txt | sha256sum | cut -c1-12)
source=$key-$(docker image inspect -f '{{.Id}}' "$server")
found=$(docker image inspect -f '{{index .Config.Labels "himalia.source"}}' "$tag" 2>/dev/null || true)
if [ "$found" = "$source" ]; then exit 0; fi

echo "gpu image: fetching wheels"
python_version=$(docker run --rm --network none --entrypoint python3 "$server" -c 'import platform; print(platform.python_version())')
mkdir -p "$wheels"
"$work/venv/bin/pip" download -qq --no-deps --require-hashes --python-version "$python_version" --only-binary=:all: \
  -d "$wheels" -r requirements/gpu.txt

echo "gpu image: installing"
cp requirements/gpu.txt "$wheels/"
# Not by a Dockerfile: a layer that the wheels were copied into would stay as large as they are.
docker run --name "$container" --network none --user 0 -v "$wheels:/mnt:ro" "$server" \
  pip install --no-index --find-links /mnt --no-cache-dir -q --require-hashes -r /mnt/gpu.txt
base=/storage/.himalia/python/$key
docker commit \
  --change "LABEL himalia.source=$source" \
  --change "LABEL org.opencontainers.image.title=\"Himalia: JupyterLab with PyTorch and CUDA\"" \
  --change "ENV PYTHONUSERBASE=$base" \
  --change "ENV PATH=$base/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin" \
  --change 'USER 1000:100' --change 'CMD ["/usr/local/bin/start-server"]' \
  "$container" "$tag" >/dev/null
echo "gpu image: $tag"
