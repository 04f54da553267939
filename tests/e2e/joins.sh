#!/bin/bash
# SPDX-License-Identifier: MPL-2.0
# Nodes that come while a run goes on: new ones, at the leader or at any other member, one that was killed and is started
# again, and processes that were away so long that the others have gone on without them.
source "$RK_SOURCE_DIR/tests/e2e/lib.sh"
source "$RK_SOURCE_DIR/tests/e2e/run.sh"

# uniform: every node has a part, whatever the measurements say
small=(--set data.name=synthetic --set model.name=mlp-tiny --set plan.planner=uniform --set train.batch=32 --set average.every=8 --set run.dir=run)
samples=4096 # of the synthetic set

# seen PATTERN FILE: waits for a line
seen () {
    local i
    for ((i = 0; i < 1200; i++)); do
        grep -q -- "$1" "$2" 2>/dev/null && return
        sleep 0.05
    done
    cat ./*.err >&2
    fail "no \"$1\" in $2"
}

passed () {
    local i
    for ((i = 0; i < 1200; i++)); do
        [ "$(grep -c '"event":"pass"' "$1" 2>/dev/null)" -ge "$2" ] && return
        sleep 0.05
    done
    cat ./*.err >&2
    fail "$1 does not come to pass $2"
}

# join N ADDRESS: node N joins in the background
join () {
    RK_LOG=info "$rookery" node --json --join "$2" --name "n$1" >"node$1.out" 2>"node$1.err" &
    node[$1]=$!
}

# prepared FILE: of a joiner; it had its data before the view that took it in, so that nobody waited for that
prepared () {
    [ "$(grep -o ' DATA name=synthetic\| VIEW view=' "$1" | head -1)" = " DATA name=synthetic" ] || { cat "$1" >&2; fail "$1: no data before the view"; }
}

# whole FILE PASSES: the run has ended well, every sample trained, and what was done again is counted
whole () {
    local i
    for i in "${!node[@]}"; do
        ended "${node[i]}" 60
        [ "$code" = 0 ] || { cat ./*.err >&2; fail "node $i ended with $code"; }
    done
    [ "$(field samples "$1")" = $(($2 * samples)) ] || fail "$(field samples "$1") samples, not $(($2 * samples))"
    [[ "$(field test_accuracy "$1")" =~ ^(1.0|0.9[5-9].*)$ ]] || fail "accuracy $(field test_accuracy "$1")"
}

# Two at once, one of them at a member that does not lead: one new view, between two rounds. Then one dies and comes again.
nodes_join () {
    start 2 "${small[@]}" --passes 120 --set train.batch=16
    passed leader.out 2
    seen "WELCOME" node0.err
    join 2 "$address"
    join 3 "$(sed -n 's/.* WELCOME .* join at \([^ ,]*\), too/\1/p' node0.err)"
    seen "VIEW view=2 members=[45] " leader.err
    grep -q "VIEW view=2 members=5 " leader.err || seen "VIEW view=3 members=5 " leader.err
    seen "TAKEN-OVER" node3.err
    seen "ELSEWHERE" node0.err
    prepared node2.err
    prepared node3.err
    passed leader.out $(($(grep -c '"event":"pass"' leader.out) + 2))
    grep -q '"event":"pass"' leader.out && [ "$(grep -c 'TAKEN-OVER' node2.err)" -ge 1 ] || fail "node 2 took nothing over"
    kill -9 "${node[2]}"
    wait "${node[2]}" 2>/dev/null || true
    seen "VIEW view=[34] members=4 " leader.err
    join 2 "$address"
    seen "TAKEN-OVER" node2.err
    ended "$leader" 60
    [ "$code" = 0 ] || { cat ./*.err >&2; fail "the leader ended with $code"; }
    whole leader.out 120
    [ "$(field views leader.out)" -le 5 ] || fail "$(field views leader.out) views"
}

a_follower_was_away () {
    start 2 "${small[@]}" --passes 120
    passed leader.out 40
    kill -STOP "${node[1]}"
    seen "VIEW view=2 members=2 " leader.err
    kill -CONT "${node[1]}"
    seen "VIEW view=3 members=3 " leader.err
    ended "$leader" 60
    [ "$code" = 0 ] || { cat ./*.err >&2; fail "the leader ended with $code"; }
    grep -q "REJOINS at=$address" node1.err || fail "node 1 does not say that it rejoins"
    whole leader.out 120
}

# It comes back as a node of whoever leads now.
the_leader_was_away () {
    start 2 "${small[@]}" --passes 120
    passed leader.out 40
    kill -STOP "$leader"
    seen "VIEW view=2 members=2 " node0.err
    kill -CONT "$leader"
    seen "VIEW view=3 members=3 " node0.err
    ended "$leader" 60
    [ "$code" = 0 ] || { cat ./*.err >&2; fail "the one that led ended with $code"; }
    whole "$(grep -l '"event":"done"' node*.out)" 120
}

run_case nodes_join nodes_join
run_case a_follower_was_away a_follower_was_away
run_case the_leader_was_away the_leader_was_away
finish
