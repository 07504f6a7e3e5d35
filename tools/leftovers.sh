#!/usr/bin/env bash
# Run a command, and fail when it leaves something of an installation behind: containers, networks, volumes and packet
# filter chains. What it left is removed. Installations that were there before are left alone, and those whose service runs:
# somebody has started theirs meanwhile. usage: leftovers.sh COMMAND…
set -uo pipefail
ours() {
  # A container has one of the two labels; what has none of them is somebody else's.
  docker ps -a --format '{{.Label "himalia"}}{{.Label "himalia.asks"}} container {{.Names}}' | grep -v '^ '
  docker network ls --filter label=himalia --format '{{.Label "himalia"}} network {{.Name}}'
  docker volume ls --filter label=himalia --format '{{.Label "himalia"}} volume {{.Name}}'
  for program in iptables-nft ip6tables-nft iptables-legacy ip6tables-legacy; do
    command -v "$program" >/dev/null && "$program" -w -S 2>/dev/null | sed -nE "s/^-N (himalia-([a-z2-7]+)-.*)/\2 $program \1/p"
  done
}
remove() {
  case $1 in
    container) docker rm -f -v "$2" ;;
    network | volume) docker "$1" rm "$2" ;;
    *)
      "$1" -w -S | grep -E "^-A .* -j $2\$" | sed 's/^-A/-D/' | while read -r rule; do eval "$1 -w $rule"; done
      "$1" -w -F "$2" && "$1" -w -X "$2" ;;
  esac >/dev/null 2>&1
}
in_use() {
  grep -lsz "bin/himalia-service" "${PROC:-/proc}"/[0-9]*/cmdline | while read -r found; do
    { tr '\0' '\n' <"${found%cmdline}environ"; } 2>/dev/null | sed -n 's/^HIMALIA_DATA=//p' | grep -v /pytest-of-
  done | while read -r data; do cat "$data/secrets/installation"; done
}

before=" $(ours | cut -d' ' -f1 | sort -u | tr '\n' ' ')"
"$@"
code=$?
left=0
others="$before$(in_use | tr '\n' ' ')"
while read -r installation kind name; do
  [[ $others != *" $installation "* ]] || continue
  left=$((left + 1))
  echo "left behind: $kind $name" >&2
  remove "$kind" "$name"
done < <(ours)
[ "$left" = 0 ] || [ "$code" != 0 ] || code=1
exit "$code"
