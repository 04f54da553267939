#!/bin/bash
# SPDX-License-Identifier: MPL-2.0
# rookery status: every process of a run answers, while it trains, while one does not run, while it is parked; strangers do not
# get an answer.
source "$RK_SOURCE_DIR/tests/e2e/lib.sh"
source "$RK_SOURCE_DIR/tests/e2e/run.sh"

small=(--set data.name=synthetic --set model.name=mlp-tiny --set train.batch=32 --set average.every=8 --set run.dir=run --passes 100000)

ask () {
    timeout 200 "$rookery" status "$@" >stdout 2>stderr || { cat stderr >&2; fail "no status from $1"; }
}

# member PID: the JSON of that member in stdout, its actors left out
member () {
    sed 's/"actors":\[[^]]*\]/"actors":0/g' stdout | grep -o "{[^{}]*\"pid\":$1,[^{}]*}" | head -1
}

address_of () {
    ask "$address" --json
    member "$1" | sed -n 's/.*"address":"\([^"]*\)".*/\1/p'
}

everybody_answers () {
    start 3 "${small[@]}" --set fleet.layout=2,1
    progress
    ask "$address"
    [ "$(awk 'length > 79' stdout | wc -l)" = 0 ] || { cat stdout >&2; fail "wider than 80 columns"; }
    grep -q "view 1 of 4 members, led by leader; leader says" stdout || { cat stdout >&2; fail "no view"; }
    grep -Eq "node [0-2] \(n[0-2]\), stage 0 of cluster 0: training" stdout || { cat stdout >&2; fail "not who holds what"; }
    local follower
    follower=$(address_of "${node[1]}")
    ask "$follower" --json
    [ "$(field view stdout)" = 1 ] || fail "a follower does not know the view"
    [ "$(grep -o '"answers":true' stdout | wc -l)" = 4 ] || { cat stdout >&2; fail "not all four answer"; }
    [ "$(grep -o '"actor":"stage"' stdout | wc -l)" = "$(grep -c '"first"' run/plan.json)" ] || { cat stdout >&2; fail "not all stages answer"; }
    # One that does not run: another names it, for how long, and who waits for it; or the view without it has begun.
    kill -STOP "${node[0]}"
    ask "$follower" --json
    if ! grep -q "n0, pid ${node[0]}) was silent for" stdout; then
        member "${node[0]}" | grep -q '"answers":false' || { cat stdout >&2; fail "the stopped process answers"; }
        member "${node[0]}" | grep -Eq '"silent_ms":[1-9]' || { cat stdout >&2; fail "since when is not told"; }
    fi
    kill -KILL "${node[0]}"
    local i
    for ((i = 0; i < 800; i++)); do
        ask "$follower" --json
        [ "$(field view stdout)" = 2 ] && break
        sleep 0.05
    done
    [ "$(field view stdout)" = 2 ] || { cat stdout >&2; fail "no second view"; }
    grep -q "\"reason\":\"node [0-2] (n0, pid ${node[0]}) \(has ended\|was silent for\)" stdout || { cat stdout >&2; fail "the view has no reason"; }
    # Strangers, and nobody.
    XDG_CONFIG_HOME=$PWD/foreign expect 1 "does not allow this node|hangs up" "$rookery" status "$address"
    expect 1 "encrypted" "$rookery" status --insecure "$address"
    expect 1 "nobody answers at tcp://127.0.0.1:1 " "$rookery" status tcp://127.0.0.1:1
}

a_parked_one_answers () {
    start 1 "${small[@]}"
    progress
    local follower i
    follower=$(address_of "${node[0]}")
    kill -STOP "$leader"
    for ((i = 0; i < 800; i++)); do
        ask "$follower" --json
        grep -q '"state":"parked"' stdout && break
        sleep 0.05
    done
    grep -Eq '"waits_for":"parked: 1 of 2 members answer, 1 more must; one of these would help: the process leader \(pid [0-9]+\), silent for' stdout ||
        { cat stdout >&2; fail "it does not say what would help"; }
    kill -CONT "$leader"
}

before_there_is_a_plan () {
    start 0 --nodes 2 "${small[@]}"
    local i
    for ((i = 0; i < 800; i++)); do
        grep -q "waiting for" leader.err && break
        sleep 0.05
    done
    ask "$address" --json
    [ "$(field view stdout)" = 0 ] || fail "a view before there is one"
    grep -q '"state":"joining"' stdout || { cat stdout >&2; fail "not what it does"; }
}

run_case everybody_answers everybody_answers
run_case a_parked_one_answers a_parked_one_answers
run_case before_there_is_a_plan before_there_is_a_plan
finish
