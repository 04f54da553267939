#!/bin/bash
# SPDX-License-Identifier: MPL-2.0
# Separate processes: one leads, four join. Distinct processes, the planned layout, the bytes on each link, the
# same bits as in one process; then what happens when one of them dies, or cannot start.
source "$RK_SOURCE_DIR/tests/e2e/lib.sh"
source "$RK_SOURCE_DIR/tests/e2e/run.sh"

small=(--set data.name=synthetic --set model.name=mlp-tiny --set train.batch=32 --set average.every=8)
drained=(--set average.mode=drained)
batch=32

all_done () {
    local i
    ended "$leader" 60
    [ "$code" = 0 ] || { cat leader.err >&2; fail "the leader ended with $code"; }
    for i in "${!node[@]}"; do
        ended "${node[i]}" 20
        [ "$code" = 0 ] || { cat "node$i.err" >&2; fail "node $i ended with $code"; }
    done
}

# link FROM TO: "messages bytes" of that link, from the log of whichever process has it
link () {
    cat ./*.err | sed -n "s/.* LINK from=$1 to=$2 messages=\([0-9]*\) bytes=\([0-9]*\)$/\1 \2/p"
}

# elems LAYER: floats a sample that cross the cut before that layer of mlp
elems () {
    local of=(784 784 512 512 256 256 10)
    echo "${of[$1]}"
}

# stages: "cluster node first" of every stage, from plan.json
stages () {
    awk '/"minibatches_per_s"/ { cluster++ }
         /"node":/ { gsub (/[^0-9]/, ""); node = $0 }
         /"first":/ { gsub (/[^0-9]/, ""); print cluster - 1, node, $0 }' "$1"
}

# carried FROM TO PAYLOAD: how many messages of that payload the bytes of a link make; envelopes are what is left.
carried () {
    local messages bytes
    read -r messages bytes < <(link "$1" "$2") || fail "nothing went from $1 to $2"
    # envelopes have about 20 bytes, which counts where the cut is narrow
    echo $(((bytes - 20 * messages + $3 / 2) / $3))
}

four_processes () {
    start 4 "${small[@]}" "${drained[@]}" --model mlp --passes 2 --set fleet.layout=2,2 --set run.dir=run
    all_done
    # The layout that was asked for, in as many processes.
    [ "$(field event leader.out)" = done ] || fail "no last line"
    [ "$(field stages leader.out)" = "[2,2]" ] || fail "stages $(field stages leader.out)"
    [ "$(field processes leader.out)" = 4 ] || fail "$(field processes leader.out) processes computed"
    [ "$(sed -n 's/.* JOINED .* pid=\([0-9]*\) .*/\1/p' leader.err | sort -u | wc -l)" = 4 ] || fail "not four processes joined"
    local pid
    for pid in "${node[@]}"; do
        grep -q " JOINED .* pid=$pid " leader.err || fail "process $pid did not join"
    done
    # The bytes on each link, against the plan.
    local cluster node first forwards=0 gradients=0 before=
    while read -r cluster node first; do
        [ -f "node$node.err" ] || fail "the plan names node $node"
        if [ "$first" = 0 ]; then
            before=$node
            continue
        fi
        # A forward carries the cut's floats and the labels (32 of 1,000 test samples: 31.25 minibatches a pass).
        local floats=$((batch * $(elems "$first") * 4)) n
        n=$(carried "stage:$before" "stage:$node" $((floats + batch * 4)))
        forwards=$((forwards + n))
        n=$(carried "stage:$node" "stage:$before" "$floats")
        gradients=$((gradients + n))
    done < <(stages run/plan.json)
    [ "$gradients" = 256 ] || fail "$gradients gradients for 2 passes of 128 minibatches"
    [ "$forwards" -ge 318 ] && [ "$forwards" -le 320 ] || fail "$forwards forwards for 2 passes of 128 + 31.25 minibatches"
    for n in 0 1 2 3; do # one whose stage holds the loss alone has nothing to pass on
        local sent held
        sent=$(cat ./*.err | grep -c " LINK from=reducer:$n to=reducer:") || true
        held=$(sed -n "s/.* LINK from=stage:$n to=reducer:$n .*bytes=\([0-9]*\).*/\1/p" ./*.err)
        [ "$sent" -ge 1 ] || [ "$held" -lt 4096 ] || fail "the reducer of node $n passed nothing on"
    done
    # The same plan in one process: the same bits.
    "$rookery" train --json --quiet --set run.plan=run/plan.json --set run.dir=again >one.out 2>one.err || fail "$(cat one.err)"
    [ "$(field params_digest one.out)" = "$(field params_digest leader.out)" ] ||
        fail "digest $(field params_digest leader.out) in five processes, $(field params_digest one.out) in one"
    # ... and in processes again, over another transport, from the plan file.
    start 4 --set run.plan=run/plan.json --set run.dir=third
    all_done
    [ "$(field params_digest leader.out)" = "$(field params_digest one.out)" ] || fail "another digest the second time"
}

over_ipc () {
    start 2 "${small[@]}" "${drained[@]}" --passes 1 --set fleet.layout=2 --set net.transport=ipc --set run.dir=run
    all_done
    local ipc=$(field params_digest leader.out)
    "$rookery" train --json --quiet --set run.plan=run/plan.json --set net.transport=tcp --set run.dir=again >one.out 2>one.err
    [ "$(field params_digest one.out)" = "$ipc" ] || fail "ipc in three processes and tcp in one differ"
}

killed_node () {
    start 4 "${small[@]}" --set net.on_loss=stop --passes 100000 --set fleet.layout=2,2 --set run.dir=run
    progress
    local victim=${node[2]} i
    kill -9 "$victim"
    wait "$victim" 2>/dev/null || true
    ended "$leader" 10
    [ "$code" = 1 ] || fail "the leader ended with $code"
    grep -Eq "node [0-9] \(n2, pid $victim\) is lost" leader.err || { cat leader.err >&2; fail "the lost node is not named"; }
    for i in 0 1 3; do
        ended "${node[i]}" 10
        [ "$code" = 1 ] || fail "node $i ended with $code"
        grep -q "n2, pid $victim) is lost" "node$i.err" || { cat "node$i.err" >&2; fail "node $i does not say why"; }
    done
}

killed_leader () {
    start 2 "${small[@]}" --set net.on_loss=stop --passes 100000 --set fleet.layout=2 --set run.dir=run
    progress
    kill -9 "$leader"
    wait "$leader" 2>/dev/null || true
    local i
    for i in 0 1; do
        ended "${node[i]}" 15
        [ "$code" = 1 ] || fail "node $i ended with $code"
        grep -q "the leading process is lost" "node$i.err" || { cat "node$i.err" >&2; fail "node $i does not say why"; }
    done
}

interrupted_leader () {
    start 2 "${small[@]}" --passes 100000 --set fleet.layout=2 --set run.dir=run
    progress
    kill -INT "$leader"
    local i
    ended "$leader" 20
    [ "$code" = 1 ] || [ "$code" = 130 ] || fail "the leader ended with $code"
    for i in 0 1; do
        ended "${node[i]}" 10
        [ "$code" = 1 ] || fail "node $i ended with $code"
    done
    ls run/checkpoint-*.safetensors >/dev/null || fail "no checkpoint"
}

a_late_node () {
    start 1 "${small[@]}" --passes 100000 --set fleet.layout=1 --set run.dir=run --set net.on_loss=stop
    progress
    expect 1 "already" "$rookery" node --join "$address"
}

port_in_use () {
    start 1 "${small[@]}" --passes 100000 --set fleet.layout=1 --set run.dir=run
    progress
    expect 1 "cannot bind $address: Address already in use" "$rookery" train --listen "$address" --nodes 1 "${small[@]}" --set run.dir=other
}

# A data set that is where the leader is, and not where the node is.
node_without_data () {
    local usual=/usr/share/datasets/fashion-mnist
    [ -d "$usual" ] || exit 77
    mkdir here there here/set
    ln -s "$usual"/* here/set/
    address=tcp://127.0.0.1:$(free_port)
    (cd here && exec "$rookery" train --listen "$address" --nodes 1 --model mlp --set data.path=set --set run.dir=run) \
        >leader.out 2>leader.err &
    leader=$!
    (cd there && exec "$rookery" node --join "$address" --name n0) >node0.out 2>node0.err &
    node=($!)
    trap 'clean_up' EXIT
    ended "${node[0]}" 30
    [ "$code" = 1 ] || fail "the node ended with $code"
    ended "$leader" 10
    [ "$code" = 1 ] || fail "the leader ended with $code"
    grep -q "set: .*train-images" node0.err || { cat node0.err >&2; fail "the node does not name the file"; }
    grep -q "node 0 (n0, pid ${node[0]}) failed: .*train-images" leader.err || { cat leader.err >&2; fail "the leader names neither"; }
}

beyond_loopback () {
    expect 1 "not a loopback address.*say it twice" "$rookery" train --insecure --listen tcp://192.0.2.1:5555 --nodes 1 "${small[@]}" --set run.dir=other
    expect 1 "not a loopback address.*say it twice" "$rookery" node --insecure --join tcp://192.0.2.1:5555
    expect 1 "no address" "$rookery" node --join nonsense
}

# A node that waits uses no CPU: at most one clock tick (10 ms) in three seconds.
ticks () {
    sed 's/.*) //' "/proc/$1/stat" | awk '{ print $12 + $13 }'
}

waiting_is_idle () {
    start 2 "${small[@]}" --set run.dir=run
    kill -9 "${node[1]}"
    wait "${node[1]}" 2>/dev/null || true
    sleep 1.5
    local before_leader before_node
    if ! grep -q "joined=1 of=2" leader.err || grep -q "joined=2 of=2" leader.err; then
        fail "one of two should have joined"
    fi
    before_leader=$(ticks "$leader") before_node=$(ticks "${node[0]}")
    sleep 3
    local l=$(($(ticks "$leader") - before_leader)) n=$(($(ticks "${node[0]}") - before_node))
    # a loop that does not sleep takes 300 of them; heartbeats take one, or some more where sanitizers and other programs share the cores
    [ "$l" -le 15 ] && [ "$n" -le 15 ] || fail "waiting took $l and $n ticks of 10 ms in 3 s"
}

run_case four_processes four_processes
run_case over_ipc over_ipc
run_case killed_node killed_node
run_case killed_leader killed_leader
run_case interrupted_leader interrupted_leader
run_case a_late_node a_late_node
run_case port_in_use port_in_use
run_case node_without_data node_without_data
run_case beyond_loopback beyond_loopback
run_case waiting_is_idle waiting_is_idle
finish
