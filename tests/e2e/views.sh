#!/bin/bash
# SPDX-License-Identifier: MPL-2.0
# Processes that die while a run goes on: followers, the leader, one after the other. The run ends with every sample
# trained, and all that was trained again is counted.
source "$RK_SOURCE_DIR/tests/e2e/lib.sh"
source "$RK_SOURCE_DIR/tests/e2e/run.sh"

small=(--set data.name=synthetic --set model.name=mlp-tiny --set train.batch=32 --set average.every=8 --set run.dir=run)
samples=4096 # of the synthetic set

# rounds FILE N: waits until the log of a leading process shows that pass N is over
passed () {
    local i
    for ((i = 0; i < 2400; i++)); do
        [ "$(cat "$1" 2>/dev/null | grep -c '"event":"pass"')" -ge "$2" ] && return
        sleep 0.05
    done
    cat ./*.err >&2
    fail "$1 does not come to pass $2"
}

# leader_out: the file with the last line of the run
leader_out () {
    grep -l '"event":"done"' leader.out node*.out 2>/dev/null || { cat ./*.err >&2; fail "nobody ended the run"; }
}

# whole PASSES: the run has ended well, with all samples
whole () {
    local out
    out=$(leader_out)
    [ "$(field samples "$out")" = $(($1 * samples)) ] || fail "$(field samples "$out") samples, not $(($1 * samples))"
    [ "$(field passes "$out")" -ge 1 ] || fail "no evaluation"
    [[ "$(field test_accuracy "$out")" =~ ^(1.0|0.9[5-9].*)$ ]] || fail "accuracy $(field test_accuracy "$out")"
    ls run/checkpoint-*.safetensors >/dev/null || fail "no checkpoint"
}

end_of () {
    ended "$1" 60
    [ "$code" = 0 ] || { cat ./*.err >&2; fail "$2 ended with $code"; }
}

a_follower_dies () {
    start 4 "${small[@]}" --passes 40 --set fleet.layout=2,2
    passed leader.out 3
    kill -9 "${node[2]}"
    local i
    end_of "$leader" "the leader"
    for i in 0 1 3; do
        end_of "${node[i]}" "node $i"
    done
    whole 40
    [ "$(field views leader.out)" = 2 ] || fail "$(field views leader.out) views"
    grep -q "VIEW view=2 members=4" leader.err || fail "the view is not told"
    [ "$(field redone leader.out)" -le 64 ] || fail "$(field redone leader.out) minibatches trained again" # 16 a round, few are open
}

the_leader_dies () {
    start 4 "${small[@]}" --passes 40 --set fleet.layout=2,2 --set average.mode=drained
    passed leader.out 3
    kill -9 "$leader"
    wait "$leader" 2>/dev/null || true
    local i
    for i in 0 1 2 3; do
        end_of "${node[i]}" "node $i"
    done
    whole 40
    [ "$(cat node*.err | grep -c 'which leads now')" = 4 ] || fail "not everybody says who leads"
}

# The leader, then whoever leads after it, until one process is left, which ends the run alone.
all_but_one_die () {
    start 3 "${small[@]}" --passes 80
    passed leader.out 3
    kill -9 "$leader"
    wait "$leader" 2>/dev/null || true
    local i victim last=
    for ((i = 0; i < 2; i++)); do
        for ((victim = 0; victim < 2400; victim++)); do
            last=$(cat node*.err | sed -n 's/.* VIEW view=\([0-9]*\) .*/\1/p' | sort -n | tail -1)
            [ "${last:-1}" = $((i + 2)) ] && grep -q '"event":"pass"' node*.out && break
            sleep 0.05
        done
        victim=$(cat node*.err | grep "VIEW view=$((i + 2)) " | sed -n 's/.*leader=[^(]*(\(n[0-9]\), pid.*/\1/p' | head -1)
        [ -n "$victim" ] || { cat ./*.err >&2; fail "nobody leads view $((i + 2))"; }
        passed "node${victim#n}.out" 2
        kill -9 "${node[${victim#n}]}"
        wait "${node[${victim#n}]}" 2>/dev/null || true
        unset "node[${victim#n}]"
    done
    for i in "${!node[@]}"; do
        end_of "${node[i]}" "node $i"
    done
    whole 80
}

# The only one that has the parameters: others take them over first, between two rounds, so nothing is trained again.
a_follower_leaves () {
    local i pid
    start 3 "${small[@]}" --passes 40 --set fleet.layout=2 --set average.mode=drained --set train.lr=0.02
    passed leader.out 3
    pid=$(sed -n 's/.* JOINED node=0 .* pid=\([0-9]*\) .*/\1/p' leader.err)
    kill -INT "$pid"
    ended "$pid" 30
    [ "$code" = 1 ] || [ "$code" = 130 ] || { cat ./*.err >&2; fail "the one that left ended with $code"; }
    end_of "$leader" "the leader"
    for i in 0 1 2; do
        [ "${node[i]}" = "$pid" ] || end_of "${node[i]}" "node $i"
    done
    whole 40
    ! grep -q STATE-LOST leader.err || fail "its state was lost"
    [ "$(field redone leader.out)" = 0 ] || fail "$(field redone leader.out) minibatches trained again"
    [ "$(field views leader.out)" = 3 ] || fail "$(field views leader.out) views"
}

# One cluster, and the node with all parameters dies: the run goes back to the last checkpoint.
the_only_owner_dies () {
    local i pid
    start 2 "${small[@]}" --passes 60 --set plan.planner=manual --set "plan.manual=n0:0 n1:2" --set save.every=16 --set average.mode=drained --set train.lr=0.02
    passed leader.out 20
    pid=$(sed -n 's/.* JOINED node=0 .* pid=\([0-9]*\) .*/\1/p' leader.err)
    kill -9 "$pid"
    end_of "$leader" "the leader"
    for i in 0 1; do
        [ "${node[i]}" = "$pid" ] || end_of "${node[i]}" "node $i"
    done
    whole 60
    grep -q "STATE-LOST view=1 .* goes back to the checkpoint of round [1-9]" leader.err || { cat leader.err >&2; fail "nothing is told of the checkpoint"; }
    grep -q "VIEW view=2 members=2 .* from_round=[1-9]" leader.err || fail "not from a checkpoint"
    [ "$(field redone leader.out)" -ge 1 ] || fail "nothing was trained again"
    [ "$(field rounds leader.out)" = $((60 * samples / 32 / 8)) ] || fail "$(field rounds leader.out) rounds"
}

# The same with a warm copy, in the first pass, when there is no checkpoint yet: the run goes on from the last committed round.
a_neighbour_has_a_copy () {
    local i round log=debug
    start 3 "${small[@]}" --passes 1 --set plan.planner=manual --set "plan.manual=n0:0 n1:2 n2:4" --set train.batch=4 --set average.every=4 --set train.lr=0.01 --set net.warm=1
    for ((i = 0; i < 1200 && $(grep -c ' COMMITTED ' leader.err) < 20; i++)); do
        sleep 0.02
    done
    kill -9 "${node[1]}"
    end_of "$leader" "the leader"
    end_of "${node[0]}" "node 0"
    end_of "${node[2]}" "node 2"
    whole 1
    ! grep -q STATE-LOST leader.err || fail "its state was lost"
    cat node*.err | grep -q TAKES-WARM || fail "nobody takes over from a warm copy"
    round=$(sed -n 's/.* VIEW view=2 members=3 .* from_round=\([0-9]*\).*/\1/p' leader.err)
    [ "${round:-0}" -ge 20 ] || { cat leader.err >&2; fail "it goes on from round ${round:-0}"; }
    [ "$(field redone leader.out)" -le 16 ] || fail "$(field redone leader.out) minibatches trained again" # 4 a round, two are open
}

# A sparse graph under a closed loop, with fixed shards: fewer replicas are left than there is anything to choose between.
a_replica_of_a_loop_dies () {
    local i
    start 6 "${small[@]}" --passes 24 --set fleet.layout=1,1,1,1,1,1 --set average.graph=ada --set average.control=on --set data.shard=fixed
    passed leader.out 2
    kill -9 "${node[2]}"
    end_of "$leader" "the leader"
    for i in 0 1 3 4 5; do
        end_of "${node[i]}" "node $i"
    done
    whole 24
    # where all else is slow, one replica may be the best plan for those who are left: then there is nothing to control
    [[ "$(field stages leader.out)" != *,* ]] || grep -q " CONTROL view=2 .* no control from here on" leader.err || { cat leader.err >&2; fail "it is not told that control ends"; }
    [ "$(field views leader.out)" = 2 ] || fail "$(field views leader.out) views"
}

run_case a_follower_dies a_follower_dies
run_case a_replica_of_a_loop_dies a_replica_of_a_loop_dies
run_case the_only_owner_dies the_only_owner_dies
run_case a_neighbour_has_a_copy a_neighbour_has_a_copy
run_case the_leader_dies the_leader_dies
run_case all_but_one_die all_but_one_die
run_case a_follower_leaves a_follower_leaves
finish
