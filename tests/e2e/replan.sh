#!/bin/bash
# SPDX-License-Identifier: MPL-2.0
# A node becomes slow while a run goes on: layers move away from it at the end of a round, with nothing trained again; and that
# stays so when the leader dies then.
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

# seen PATTERN FILE...: waits until a file has a line that matches
seen () {
    local i pattern=$1
    shift
    for ((i = 0; i < 2400; i++)); do
        grep -qs -- "$pattern" "$@" && return
        sleep 0.05
    done
    cat ./*.err >&2
    fail "no line matches \"$pattern\""
}

# moves: a run of two stages; one of its nodes is slow until the plan has changed
moves () {
    start 2 --set data.name=synthetic --set model.name=resnet20 --set train.batch=16 --set average.every=8 --set fleet.layout=2 \
        --set run.dir=run --passes 1
    trains
    slow "$(sed -n 's/.* JOINED node=1 .* pid=\([0-9]*\) .*/\1/p' leader.err)"
    seen "VIEW view=2 " leader.err
    grep -q '"event":"replan","verdict":"changes"' leader.out || { cat leader.err >&2; fail "the plan stays"; }
}

# As fast again as it was.
release () {
    { kill -9 "$brake" && wait "$brake"; } 2>/dev/null || true
    kill -CONT "${node[@]}"
}

a_node_slows () {
    moves
    release
    ended "$leader" 200
    [ "$code" = 0 ] || { cat ./*.err >&2; fail "the leader ended with $code"; }
    ended "${node[0]}" 20
    ended "${node[1]}" 20
    [ "$(field samples leader.out)" = $samples ] || fail "$(field samples leader.out) samples, not $samples"
    [ "$(field redone leader.out)" = 0 ] || fail "$(field redone leader.out) minibatches trained again"
    [ "$(field views leader.out)" -ge 2 ] || fail "$(field views leader.out) views"
    [ "$(grep -o '"plan_digest":"[0-9a-f]*"' leader.out | sort -u | wc -l)" -ge 2 ] || fail "it is the same plan"
    [ "$(field rounds leader.out)" = 32 ] || fail "$(field rounds leader.out) rounds, not 32"
}

# Nodes and layers of the plan in the run folder.
layers () {
    grep -o '"\(node\|first\|last\)": [0-9]*' run/plan.json
}

# Who leads then goes on with the new plan: node 0, whose figures of node 1 are those that the plan was made of.
the_leader_dies_after_it () {
    local out
    moves
    seen '"view": 2,' run/plan.json
    layers >moved
    kill -9 "$leader"
    wait "$leader" 2>/dev/null || true
    seen '"view": 3,' run/plan.json
    layers >after
    release
    cmp moved after >&2 || { cat ./*.err >&2; fail "another plan"; }
    ended "${node[0]}" 200
    ended "${node[1]}" 20
    out=$(grep -ls '"event":"done"' node*.out) || { cat ./*.err >&2; fail "nobody ended the run"; }
    [ "$(field samples "$out")" = $samples ] || fail "$(field samples "$out") samples, not $samples"
    [ "$(field redone "$out")" -le 16 ] || fail "$(field redone "$out") minibatches trained again" # of two open rounds
    [ "$(field rounds "$out")" = 32 ] || fail "$(field rounds "$out") rounds, not 32"
    ! grep -q STATE-LOST ./*.err || { cat ./*.err >&2; fail "its state was lost"; }
}

run_case a_node_slows a_node_slows
run_case the_leader_dies_after_it the_leader_dies_after_it
finish
