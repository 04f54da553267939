#!/bin/bash
# SPDX-License-Identifier: MPL-2.0
# Two members: either may be lost. On one machine a process that has ended is known to have, and the other goes on or says why
# not; one that is only silent may still run, so that a witness has to say who goes on.
source "$RK_SOURCE_DIR/tests/e2e/lib.sh"
source "$RK_SOURCE_DIR/tests/e2e/run.sh"

witness=
small=(--set data.name=synthetic --set model.name=mlp-tiny --set train.batch=32 --set average.every=8 --set run.dir=run)

passed () {
    local i
    for ((i = 0; i < 2400; i++)); do
        [ "$(cat leader.out 2>/dev/null | grep -c '"event":"pass"')" -ge "$1" ] && return
        sleep 0.05
    done
    cat ./*.err >&2
    fail "the leader does not come to pass $1"
}

trained () {
    ended "$2" 60
    [ "$code" = 0 ] || { cat ./*.err >&2; fail "it ended with $code"; }
    [ "$(field samples "$1")" = $((4096 * 40)) ] || { cat ./*.err >&2; fail "$(field samples "$1") samples"; }
}

the_leader_ends () {
    start 1 "${small[@]}" --passes 40
    passed 3
    kill -9 "$leader"
    trained node0.out "${node[0]}"
}

the_follower_ends () {
    start 1 "${small[@]}" --passes 100000
    passed 3
    kill -9 "${node[0]}"
    ended "$leader" 30
    [ "$code" = 1 ] || { cat leader.err >&2; fail "the leader ended with $code"; }
    grep -q "no node is left" leader.err || { cat leader.err >&2; fail "it does not say why"; }
    ls run/checkpoint-*.safetensors >/dev/null || fail "no checkpoint"
}

# Silent, not ended: leader and node are one vote each, the witness makes two against one.
a_witness_decides () {
    start 1 "${small[@]}" --passes 40 --set net.witness=1
    RK_LOG=info "$rookery" node --json --witness --join "$address" --name third >witness.out 2>witness.err &
    witness=$!
    trap 'clean_up; kill -9 $witness 2>/dev/null || true' EXIT
    passed 3
    kill -STOP "$leader"
    trained node0.out "${node[0]}"
    ended "$witness" 20
    [ "$code" = 0 ] || { cat witness.err >&2; fail "the witness ended with $code"; }
    [ ! -s witness.out ] || ! grep -q '"event":"pass"' witness.out || fail "the witness leads"
    kill -KILL "$leader"
}

witnesses_are_counted () {
    start 1 "${small[@]}" --passes 40
    expect 1 "expects no further witness|the run has begun" "$rookery" node --witness --join "$address"
}

run_case the_leader_ends the_leader_ends
run_case the_follower_ends the_follower_ends
run_case a_witness_decides a_witness_decides
run_case witnesses_are_counted witnesses_are_counted
finish
