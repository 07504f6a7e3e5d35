#!/usr/bin/env bash
# Say what `make demo` is going to install, change and start, what it leaves alone, and how long it takes; change nothing.
# usage: announce.sh PORT PACKAGE…   (PORT: what was asked for, or empty)
set -euo pipefail
cd "$(dirname "$0")/.."
wanted_port=$1
shift
data=${HIMALIA_DATA:-data}
config=${HIMALIA_CONFIG:-$data/himalia.toml}
address=$(sed -nE 's/^address *= *"([^"]*)".*/\1/p' "$config" 2>/dev/null | head -1 || true)
set_port=$(sed -nE 's/^port *= *([0-9]+).*/\1/p' "$config" 2>/dev/null | head -1 || true)
port=${set_port:-${wanted_port:-8000}}
where=${address:-127.0.0.1}:$port
image=${IMAGE:-himalia/server:dev}

missing=$(tools/apt.sh --missing "$@")
engine=$(tools/docker-up.sh --say)
minutes=0
packages="installs no Debian package: all that it needs are here"
[[ $engine != installs* ]] || packages="installs no Debian package beside those of the Engine"
[ -z "$missing" ] || { packages="installs Debian packages: $missing"; minutes=$((minutes + 1)); }
[[ $engine != installs* ]] || minutes=$((minutes + 1))
here="keeps Python, node and what it compiles in build/ and node_modules/ of this directory, as they are"
[ -f build/lab.stamp ] || { here="puts Python packages, node and what it compiles into build/ and node_modules/ of this directory (1.5 GB)"; minutes=$((minutes + 1)); }
images="uses the image $image that is here, and builds it anew where our code has changed"
if ! docker image inspect "$image" >/dev/null 2>&1; then
  images="builds the images himalia/base, himalia/lab and himalia/server (1.2 GB; debootstrap is installed for it where no
    container registry answers)"
  minutes=$((minutes + 3))
fi
case $minutes in
  0) time="About half a minute." ;;
  1) time="One to two minutes." ;;
  *) time="$minutes to $((minutes * 2)) minutes, about 0.8 GB to fetch." ;;
esac

cat <<PLAN
Himalia: notebooks and jobs on this machine's GPUs. This

  - $packages
  - $engine
  - $here
  - $images
  - keeps settings, people's files and databases in $data/
  - starts job service, hub and proxy as root; people reach them at $where
  - adds a network, containers, volumes and packet filter rules, all marked as this installation's
  - then logs in as a user, starts a notebook server with a GPU of the ledger, submits examples/digits from inside it, follows
    its log, and fetches its artifacts into demo-artifacts/
  - then lets a second person's job wait for a GPU, until the first one's notebook server is shut down and gives its GPU back

It touches no driver and no setting of a GPU, no setting of the Docker Engine, no container, image or rule of others,
and removes no package. \`make down\` stops it, \`make purge\` removes it (it asks first).
$time
PLAN
if [ "$(id -u)" != 0 ]; then
  echo "You are $(id -un), not root: sudo asks for your password where root is needed."
  command -v sudo >/dev/null || { echo "But sudo is not here. Run this as root, or install sudo."; exit 1; }
fi
echo

# A port that is taken is better told now than after the setup. What runs there may be this very platform.
ours=$(ls "$data/run/supervisord.pid" /etc/systemd/system/himalia-proxy.service 2>/dev/null || true)
if [ -z "$ours" ] && (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
  change="take another with \`make demo PORT=8010\`"
  [ -z "$set_port" ] || change="choose another \`port\` under [platform] in $config"
  echo "Port $port of 127.0.0.1 is taken by another program: end that, or $change." >&2
  exit 1
fi
