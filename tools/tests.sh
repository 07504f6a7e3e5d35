#!/usr/bin/env bash
# Run pytest with these arguments. With TRY_AGAIN=1, tests that failed are run once more, one after the other, and told as
# unsteady when they pass: what a busy machine does to one of thousands of tests is no reason to refuse a change, and is
# not hidden either. usage: tests.sh PYTHON [ARGUMENT…]
set -uo pipefail
python=$1
shift
"$python" -m pytest "$@"
code=$?
[ "$code" = 1 ] && [ "${TRY_AGAIN:-}" = 1 ] || exit "$code"
echo "tests failed; once more, alone:"
"$python" -m pytest "$@" -n 0 --last-failed --last-failed-no-failures none -v || exit
echo "Unsteady: the tests above failed once and passed the second time."
