#!/usr/bin/env bash
# SPDX-License-Identifier: MPL-2.0
# Runs that go on: the same bits on the same layout, every minibatch once on any other; killed, stopped and damaged ones.
source "$(dirname "$0")/lib.sh"
source "$(dirname "$0")/run.sh"

tiny=(--model mlp-tiny --set data.name=synthetic --set train.batch=16 --set average.every=7 --passes 2 --quiet)
drained=(--set average.mode=drained)
saving=(--set save.every=4 --set save.keep=99)

# fleet N LAYOUT: options for N virtual nodes of full speed
fleet () {
    local nodes="" i
    for ((i = 1; i <= $1; i++)); do nodes+="${nodes:+, }n$i 1 0"; done
    printf '%s\n' --set "fleet.node=$nodes" --set "fleet.layout=$2"
}

# last FILE NAME: a field of the last JSON line
last () { tail -n 1 "$1" | grep -Eo "\"$2\": ?(\\[[^]]*\\]|\"[^\"]*\"|[^,}]*)" | sed 's/^[^:]*: *//; s/"//g'; }

train () { timeout 200 "$rookery" train --json "$@" 2>err || fail "$(cat err)"; }

# middle FOLDER: a checkpoint within the run; with so few rounds the first one always is
middle () { printf '%s\n' "$1"/checkpoint-* | head -n 1; }

# same OPTION...: what goes on from within a pass ends with the bits of the run that was never stopped
same () {
    train "$@" "${saving[@]}" --set run.dir=whole >whole.json
    train --resume "$(middle whole)" --quiet --set run.dir=rest >rest.json
    [ "$(last whole.json params_digest)" = "$(last rest.json params_digest)" ] ||
        fail "$*: $(last whole.json params_digest), resumed from $(middle whole): $(last rest.json params_digest)"
    [ "$(last whole.json rounds)" = "$(last rest.json rounds)" ] || fail "$*: other rounds"
    [ "$(last rest.json samples)" -lt "$(last whole.json samples)" ] || fail "$*: nothing was left out"
    rm -r whole rest
}

case_same_bits () {
    mapfile -t one < <(fleet 1 1); mapfile -t two < <(fleet 2 2); mapfile -t four < <(fleet 4 2,2)
    same "${tiny[@]}" "${drained[@]}" "${one[@]}"
    same "${tiny[@]}" "${drained[@]}" "${two[@]}" --set train.optimizer=adam --set train.lr=0.001
    same "${tiny[@]}" "${drained[@]}" "${four[@]}"
    same "${tiny[@]}" "${drained[@]}" "${four[@]}" --set train.clip=0.5 --set pipeline.update_every=2 --set train.loss_scale=dynamic
    same "${tiny[@]}" "${drained[@]}" "${four[@]}" --model residual-tiny --set average.optimizer_state=on
}

case_same_bits_of_replicas () {
    mapfile -t ring < <(fleet 4 1,1,1,1)
    for graph in ring one-peer-exponential; do
        same "${tiny[@]}" "${drained[@]}" "${ring[@]}" --set average.graph=$graph
    done
    same "${tiny[@]}" "${drained[@]}" "${ring[@]}" --set average.graph=ring --model residual-tiny
    same "${tiny[@]}" "${drained[@]}" "${ring[@]}" --set average.graph=ring --set average.momentum=quasi-global
}

# Another number of clusters, other cuts: from the mean, and no sample twice or left out.
case_other_layouts () {
    mapfile -t four < <(fleet 4 2,2)
    # without momentum: with it and the staleness of four stages this rate diverges, resumed or not
    train "${tiny[@]}" "${four[@]}" "${saving[@]}" --set train.momentum=0 --set run.dir=whole >whole.json
    from=$(middle whole)
    rounds=$((10#$(basename "$from" .safetensors | grep -o '[0-9]*$')))
    next=$(tr -d '\0' <"$from" | grep -aoE '"next_minibatch":"[0-9]+"' | grep -oE '[0-9]+')
    pass=$((4096 / 16))
    for layout in 3,1 1,1,1 4 1; do
        mapfile -t other < <(fleet "$(tr , + <<<"$layout" | bc)" $layout)
        train --resume "$from" --quiet "${other[@]}" --set run.dir=rest >rest.json
        left=$((2 * 4096 - next / pass * 4096 - next % pass * 16))
        [ "$(last rest.json samples)" = $left ] || fail "$layout: $(last rest.json samples) samples after round $rounds, $left expected"
        [ "$(last rest.json test_accuracy)" \> 0.9 ] || fail "$layout: accuracy $(last rest.json test_accuracy)"
        rm -r rest
    done
}

# Killed with everything it has, stopped, damaged: it goes on in its folder.
case_killed_and_stopped () {
    timeout 200 "$rookery" train "${tiny[@]}" --passes 500 --set save.every=1 --set run.dir=run 2>err >out &
    pid=$!
    until ls run/checkpoint-*s >/dev/null 2>&1; do kill -0 $pid || fail "$(cat err)"; sleep 0.02; done
    kill -9 "$(pgrep -P $pid)" && wait $pid || true
    printf '%s\n' run/checkpoint-*s | tail -n 1 >latest
    "$rookery" eval run --quiet | grep -q 'test accuracy'
    timeout 200 "$rookery" train --resume run --quiet 2>err >out &
    pid=$!
    until ! [ -e "$(cat latest)" ]; do kill -0 $pid || fail "$(cat err)"; sleep 0.02; done # newer ones have taken its place
    kill -INT "$(pgrep -P $pid)" && wait $pid || true
    grep -q 'stopped on request' err || fail "$(cat err)"
    latest=$(printf '%s\n' run/checkpoint-*s | tail -n 1)
    printf 'x' | dd of="$latest" bs=1 seek=5000 conv=notrunc 2>/dev/null
    expect 2 "$latest.*damaged" "$rookery" train --resume "$latest"
    passes=$(awk -F, '$3 + 0 > most { most = $3 } END { print most + 9 }' run/metrics.csv) # none may have ended yet
    expect 0 "CHECKPOINT-DAMAGED $latest.*the one before it is taken" "$rookery" train --resume run --quiet --passes $passes
    [ "$(grep -c '^event' run/metrics.csv)" = 1 ] || fail "$(cat run/metrics.csv)"
}

# next CHECKPOINT: the number of the minibatch it goes on with
next () { tr -d '\0' <"$1" | grep -aoE '"next_minibatch":"[0-9]+"' | grep -oE '[0-9]+'; }

# newest FOLDER: its last checkpoint
newest () { printf '%s\n' "$1"/checkpoint-*s | tail -n 1; }

separate=(--set data.name=synthetic --set model.name=mlp-tiny --set train.batch=32 --set average.every=8 --set "save.every=4")

# resumed PASSES NEXT: the processes of a run that goes on have ended well, with every sample after that minibatch, and none twice
resumed () {
    local i left=$((($1 * 128 - $2) * 32))
    ended "$leader" 60
    [ "$code" = 0 ] || { cat ./*.err >&2; fail "the leader ended with $code"; }
    for i in "${!node[@]}"; do
        ended "${node[i]}" 20
        [ "$code" = 0 ] || { cat "node$i.err" >&2; fail "node $i ended with $code"; }
    done
    [ "$(last leader.out samples)" = $left ] || fail "$(last leader.out samples) samples from minibatch $2 on, $left expected"
    [ "$(last leader.out passes)" = "$1" ] || fail "$(last leader.out passes) passes of $1"
    [ "$(last leader.out redone)" = 0 ] || fail "$(last leader.out redone) minibatches trained again"
    [ "$(last leader.out test_accuracy)" \> 0.95 ] || fail "accuracy $(last leader.out test_accuracy)"
}

# Separate processes, stopped, and gone on with fewer and with more of them.
case_other_processes () {
    local i n layout cursor
    start 3 "${separate[@]}" --passes 100000 --set fleet.layout=2,1 --set run.dir=run
    progress
    kill -INT "$leader"
    ended "$leader" 20
    for i in 0 1 2; do ended "${node[i]}" 20; done
    cursor=$(next "$(newest run)")
    for layout in 1,1 2,2; do
        n=$(tr , + <<<"$layout" | bc)
        start "$n" --resume "$(newest run)" --passes $((cursor / 128 + 4)) --set fleet.layout=$layout --set run.dir="rest$n"
        resumed $((cursor / 128 + 4)) "$cursor"
        [ "$(last leader.out stages)" = "[$layout]" ] || fail "stages $(last leader.out stages)"
        [ "$(last leader.out processes)" = "$n" ] || fail "$(last leader.out processes) processes of $n"
    done
}

# The leader is killed, another leads and saves, then all are: from a copy of the folder, somewhere else, with fewer of them.
case_after_a_lost_leader () {
    local i first cursor
    start 3 "${separate[@]}" --passes 100000 --set run.dir=run
    progress
    kill -9 "$leader"
    wait "$leader" 2>/dev/null || true
    first=$(newest run)
    for ((i = 0; i < 1200; i++)); do
        cat node*.err | grep -q 'which leads now' && [ "$(newest run)" \> "$first" ] && break
        sleep 0.05
    done
    [ "$(newest run)" \> "$first" ] || { cat ./*.err >&2; fail "whoever leads now saves nothing"; }
    kill -9 "${node[@]}"
    wait "${node[@]}" 2>/dev/null || true
    mkdir elsewhere
    mv run elsewhere/copy
    cursor=$(next "$(newest elsewhere/copy)")
    start 2 --resume elsewhere/copy --passes $((cursor / 128 + 4))
    resumed $((cursor / 128 + 4)) "$cursor"
    [ ! -e run ] || fail "it goes on in another folder"
    [ "$(next "$(newest elsewhere/copy)")" = $(((cursor / 128 + 4) * 128)) ] || fail "its end is not saved there"
}

case_wrong_use () {
    train "${tiny[@]}" --set run.dir=run >out
    expect 2 'train.batch may not change' "$rookery" train --resume run --batch 32
    expect 2 'model.name may not change' "$rookery" train --resume run --model cnn-tiny
    expect 2 'all of its 2 passes are trained' "$rookery" train --resume run
    expect 2 'no run file, --preset or --from' "$rookery" train --resume run --from run
    expect 2 'No such file' "$rookery" train --resume none
    mkdir empty
    expect 2 'no checkpoint' "$rookery" train --resume empty
}

for name in same_bits same_bits_of_replicas other_layouts other_processes after_a_lost_leader killed_and_stopped wrong_use; do
    run_case $name case_$name
done
finish
