#!/bin/bash
# SPDX-License-Identifier: MPL-2.0
# rookery profile: this machine; what is kept; a fleet of processes; a fleet of machines (network namespaces) whose links
# have rates and delays that are known.
source "$RK_SOURCE_DIR/tests/e2e/lib.sh"
export XDG_CACHE_HOME=$work/cache
mkdir -p "$XDG_CACHE_HOME"
small=(--set data.name=synthetic --model mlp-tiny)

# jsonq FILTER FILE OPTION...: what jq makes of it, in one line
jsonq () {
    jq -c "${@:3}" "$1" "$2"
}

# well_formed FILE: every tag that is opened is closed, in order
well_formed () {
    awk 'BEGIN { RS = "<" }
         NR > 1 { tag = substr ($0, 1, index ($0, ">") - 1) }
         NR > 1 && tag ~ /^\// { if (open[n--] != substr (tag, 2)) bad = 1 }
         NR > 1 && tag !~ /^[\/?!]/ && tag !~ /\/$/ { split (tag, word, /[ \n]/); open[++n] = word[1] }
         END { exit bad || n || NR < 2 }' "$1"
}

this_machine () {
    "$rookery" profile "${small[@]}" >text 2>err || fail "$(cat err)"
    grep -q '^memory  *[0-9.]* GB free of [0-9.]* GB' text && grep -q '^disc  *[0-9.]* .B/s' text && grep -q '^  fc1 ' text || fail "$(cat text)"
    [ "$(wc -L <text)" -le 80 ] || fail "wider than 80 columns: $(cat text)"
    "$rookery" profile "${small[@]}" --json >json 2>err || fail "$(cat err)"
    [ "$(wc -l <json)" = 1 ] || fail "more than one line"
    [ "$(jsonq '(.layers | length) == 7 and ([.layers[].forward_ns] | min) >= 1 and .ram_total_bytes >= .ram_free_bytes and .ram_free_bytes > 0' json)" = true ] || fail "$(cat json)"
    [ "$(jsonq '[.products[] | [.m, .k, .n]]' json)" = "[[64,784,20],[64,20,12],[64,12,10]]" ] || fail "$(cat json)"
    [ -z "$(ls -A . | grep disc)" ] || fail "a file of the disc's measuring is left"
    expect 2 "no such one; valid" "$rookery" profile --model nonsense
    expect 2 "svg draws a fleet" "$rookery" profile "${small[@]}" --svg x.svg
    expect 2 "needs --nodes" "$rookery" profile "${small[@]}" --listen tcp://127.0.0.1:1
    expect 2 "needs --listen" "$rookery" profile "${small[@]}" --nodes 2
}

# The same key: the same figures, whatever the second measuring would say; another batch or --fresh measures.
kept () {
    local file
    "$rookery" profile "${small[@]}" --json >one 2>err || fail "$(cat err)"
    file=$(ls "$XDG_CACHE_HOME"/rookery/*.json)
    [ "$(echo "$file" | wc -l)" = 1 ] || fail "$file"
    sed -i 's/"gemm_mflops": [0-9]*/"gemm_mflops": 7/; /"forward_ns"/,/]/s/^  [0-9][0-9]*/  4711/' "$file"
    "$rookery" profile "${small[@]}" --json >two 2>err || fail "$(cat err)"
    [ "$(jsonq '[.kept, .layers[3].forward_ns]' two)" = "[true,4711]" ] || fail "$(cat two)"
    "$rookery" profile "${small[@]}" --batch 32 --json >three 2>err || fail "$(cat err)"
    [ "$(jsonq .kept three)" = false ] || fail "$(cat three)"
    echo '{"key": "damaged' >"$file"
    "$rookery" profile "${small[@]}" --json >four 2>err || fail "$(cat err)"
    [ "$(jsonq .kept four)" = false ] || fail "$(cat four)"
    "$rookery" profile "${small[@]}" --fresh --json >five 2>err || fail "$(cat err)"
    [ "$(jsonq .kept five)" = false ] || fail "$(cat five)"
}

# Nodes join as they always do; one of them prints the same table. A leader that trains is no place to be only measured.
processes () {
    local address leader i pids=()
    address=tcp://127.0.0.1:$(free_port)
    "$rookery" profile --listen "$address" --nodes 3 "${small[@]}" --svg fleet.svg >text 2>err &
    leader=$!
    for i in 1 2; do
        timeout 200 "$rookery" node --join "$address" --name "n$i" --speed 0.5 --quiet >"n$i.out" 2>&1 &
        pids+=($!)
    done
    timeout 200 "$rookery" profile --join "$address" --name third --json >json 2>err3 || fail "$(cat err3)"
    wait "$leader" || fail "the leader ended with $?: $(cat err)"
    for i in "${pids[@]}"; do wait "$i" || fail "a node ended with $?: $(cat ./*.out)"; done
    [ "$(jsonq '([.nodes[].name] | sort) == ["n1", "n2", "third"] and (.links | length) == 6 and all(.links[]; .measured and .bytes_per_s > 1000 and .rtt_ns > 0)' json)" = true ] || fail "$(cat json)"
    grep -q 'n1 .* 0.5 ' text && grep -q '^rate from row to column' text || fail "$(cat text)"
    [ "$(wc -L <text)" -le 88 ] || fail "$(cat text)"
    well_formed fleet.svg || fail "fleet.svg is no XML"
    grep -q '<title>from 0 to 2: ' fleet.svg || fail "fleet.svg shows no link"

    address=tcp://127.0.0.1:$(free_port)
    timeout 200 "$rookery" train --listen "$address" --nodes 1 "${small[@]}" --quiet --set run.dir=run >train.out 2>&1 &
    leader=$!
    expect 1 "this run trains" "$rookery" profile --join "$address"
    timeout 200 "$rookery" node --join "$address" --quiet || fail "an ordinary node cannot join any more"
    wait "$leader" || fail "$(cat train.out)"
}

# Three machines on one switch, both ways 40, 80 and 200 Mbit/s, where there is netem with 0, 5 and 10 ms on the way out.
spaces=(rkp$$a rkp$$b rkp$$c rkp$$s)
no_spaces () {
    local s
    for s in "${spaces[@]}"; do ip netns del "$s" 2>/dev/null || true; done
}
# json: what a fleet on them says of itself; links: a line for each, good or bad. rates, delays: of the caller
measure_shaped () {
    local i leader pids=()
    ip netns exec "${spaces[3]}" timeout 200 "$rookery" profile --listen tcp://10.77.0.1:5600 --nodes 3 --insecure --insecure "${small[@]}" --json >json 2>err &
    leader=$!
    for i in 0 1 2; do
        ip netns exec "${spaces[i]}" timeout 200 "$rookery" node --join tcp://10.77.0.1:5600 --name "m$i" --insecure --insecure --quiet >"n$i.out" 2>&1 &
        pids+=($!)
    done
    wait "$leader" || fail "the leader ended with $?: $(cat err ./*.out)"
    wait "${pids[@]}"
    # 1448 of 1514 bytes are payload; the slower end counts. The round trip is both delays. A busy machine makes links seem slower and
    # later, never faster or earlier, so there is more room on that side.
    # shellcheck disable=SC2016 # variables of jq
    jq -r --argjson r '[40, 80, 200]' --argjson d "[${delays[0]}, ${delays[1]}, ${delays[2]}]" '
        (.nodes | map ({(.id | tostring): (.name[1:] | tonumber)}) | add) as $at |
        .links[] | $at[.from | tostring] as $a | $at[.to | tostring] as $b |
        (.bytes_per_s * 8e-6 / ([$r[$a], $r[$b]] | min) / 1448 * 1514) as $share | (.rtt_ns / 1e6 - $d[$a] - $d[$b]) as $late |
        "m\($a) to m\($b): \($share) of the rate, \($late) ms late \(if $share >= 0.4 and $share <= 1.1 and $late >= 0 and $late <= 40 then "good" else "bad" end)"' json >links
    cat links
}
shaped () {
    local rates=(40 80 200) delays=(0 5 10) i
    ip netns add "${spaces[3]}" 2>/dev/null || exit 77
    trap no_spaces EXIT
    ip -n "${spaces[3]}" link add sw type bridge 2>/dev/null || exit 77
    ip -n "${spaces[3]}" link set sw up
    ip -n "${spaces[3]}" link set lo up
    ip -n "${spaces[3]}" addr add 10.77.0.1/24 dev sw
    for i in 0 1 2; do
        ip netns add "${spaces[i]}"
        ip -n "${spaces[3]}" link add "p$i" type veth peer name eth netns "${spaces[i]}"
        ip -n "${spaces[3]}" link set "p$i" master sw up
        ip -n "${spaces[i]}" addr add "10.77.0.1$i/24" dev eth
        ip -n "${spaces[i]}" link set eth up
        ip -n "${spaces[i]}" link set lo up
        # out of the machine: its rate, then its delay; into it: its rate
        tc -n "${spaces[i]}" qdisc add dev eth root handle 1: tbf rate "${rates[i]}mbit" burst 16kb latency 400ms 2>/dev/null || exit 77
        # a kernel without netem has no delays to be measured
        tc -n "${spaces[i]}" qdisc add dev eth parent 1:1 handle 10: netem delay "${delays[i]}ms" limit 5000 2>/dev/null || delays[i]=0
        tc -n "${spaces[3]}" qdisc add dev "p$i" root tbf rate "${rates[i]}mbit" burst 16kb latency 400ms 2>/dev/null || exit 77
    done
    local try
    for try in 1 2 3; do # other programs may have taken the cores for that long
        measure_shaped
        echo "measured $try times"
        [ "$(grep -c ' good$' links)" != 6 ] || return 0
    done
    fail "$(cat json)"
}

run_case this_machine this_machine
run_case kept kept
run_case processes processes
run_case shaped_links shaped
finish
