#!/usr/bin/env bash
# Runs the tests that are built, and repeats what failed at the end, where it can be found.
set -uo pipefail
cd "$(dirname "$0")/.."
log=.build/test.log
# Threads that wait must not keep the processors from other tests.
OMP_WAIT_POLICY=passive "${SWIFT:-swift}" test -c release --skip-build 2>&1 | tee "$log"
status=${PIPESTATUS[0]}
if [ "$status" != 0 ]; then
    printf '\nWhat failed (all of the output is in %s):\n' "$log"
    grep -a -A 3 -E '^✘|error:|Fatal|Exited|signal' "$log" | grep -av '^[✔◇]' | tail -60
fi
exit "$status"
