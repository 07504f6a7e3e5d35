#!/usr/bin/env bash
# Run a command under a title and say how long it took. usage: step.sh TITLE COMMAND…
title=$1
shift
begin=$(date +%s.%N)
"$@"
code=$?
printf '%-34s %6.1f s\n' "$title" "$(echo "$(date +%s.%N) $begin" | awk '{print $1 - $2}')" >&2
exit $code
