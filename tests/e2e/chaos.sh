#!/bin/bash
# SPDX-License-Identifier: MPL-2.0
# The short version of tests/chaos/run: every kind of fault once, on processes in namespaces of their own.
source "$RK_SOURCE_DIR/tests/e2e/lib.sh"

one_of_each () {
    local code=0
    mkdir chaos
    timeout 200 "$RK_BUILD_DIR/tests/chaos" --seconds 20 --seed 1 --passes 4 --no-respawn --verbose --folder chaos >table 2>events || code=$?
    [ "$code" != 77 ] || exit 77
    cat table
    [ "$code" = 0 ] || { cat events; tail -n 30 chaos/*.log; fail "chaos ended with $code"; } >&2
    [ "$(sed -n 's/^  faults injected *//p' table)" -ge 8 ] || fail "too few faults"
}

run_case one_of_each one_of_each
finish
