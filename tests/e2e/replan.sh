#!/bin/bash
# SPDX-License-Identifier: MPL-2.0
# A node becomes slow while a run goes on: layers move away from it at the end of a round, with nothing trained again.
source "$RK_SOURCE_DIR/tests/e2e/lib.sh"
source "$RK_SOURCE_DIR/tests/e2e/run.sh"

samples=4096 # of the synthetic set

# slow PID: from now on it runs for a quarter of the time, until it ends
slow () {
    (while kill -STOP "$1" 2>/dev/null; do
        sleep 0.03
        kill -CONT "$1" 2>/dev/null || break
        sleep 0.01
    done) &
    brake=$!
}

# trains: waits until the first minibatches are done
trains () {
    local i
    for ((i = 0; i < 1200; i++)); do
        grep -q '"samples":[1-9]' leader.out 2>/dev/null && return
        sleep 0.05
    done
    cat ./*.err >&2
    fail "the run does not begin"
}

a_node_slows () {
    start 2 --set data.name=synthetic --set model.name=resnet20 --set train.batch=16 --set average.every=8 --set fleet.layout=2 \
        --set run.dir=run --passes 1
    trains
    slow "${node[0]}"
    ended "$leader" 200
    kill -9 "$brake" 2>/dev/null || true
    kill -CONT "${node[0]}" 2>/dev/null || true
    [ "$code" = 0 ] || { cat ./*.err >&2; fail "the leader ended with $code"; }
    ended "${node[0]}" 20
    ended "${node[1]}" 20
    grep -q '"event":"replan","verdict":"changes"' leader.out || { cat leader.err >&2; fail "the plan stays"; }
    [ "$(field samples leader.out)" = $samples ] || fail "$(field samples leader.out) samples, not $samples"
    [ "$(field redone leader.out)" = 0 ] || fail "$(field redone leader.out) minibatches trained again"
    [ "$(field views leader.out)" -ge 2 ] || fail "$(field views leader.out) views"
    [ "$(grep -o '"plan_digest":"[0-9a-f]*"' leader.out | sort -u | wc -l)" -ge 2 ] || fail "it is the same plan"
    [ "$(field rounds leader.out)" = 32 ] || fail "$(field rounds leader.out) rounds, not 32"
}

run_case a_node_slows a_node_slows
finish
