#!/bin/bash
# SPDX-License-Identifier: MPL-2.0
# Machines that others cannot reach: network namespaces behind routers that translate addresses (NAT), so that nothing comes
# in that was not called for. What a drained run gives must not depend on it. And runs that are found without an address.
source "$RK_SOURCE_DIR/tests/e2e/lib.sh"
source "$RK_SOURCE_DIR/tests/e2e/run.sh"

small=(--set data.name=synthetic --set model.name=mlp-tiny --set train.batch=32 --set average.every=8 --set average.mode=drained --passes 2)

# The leader and two nodes, each behind a router of its own: space 0 is the leader, 1 and 2 are routers, 3 and 4 nodes.
spaces=(rkr$$l rkr$$r rkr$$q rkr$$a rkr$$b)
no_spaces () {
    local s
    { kill -9 "${pids[@]}" && wait; } 2>/dev/null || true
    for s in "${spaces[@]}"; do ip netns pids "$s" 2>/dev/null | xargs -r kill -9 2>/dev/null || true; done # what timeout has started
    for s in "${spaces[@]}"; do ip netns del "$s" 2>/dev/null || true; done
}

# make_switch ADDRESS: space 0 has it, on a bridge that others are plugged into
make_switch () {
    ip netns add "${spaces[0]}" 2>/dev/null || exit 77
    trap no_spaces EXIT
    ip -n "${spaces[0]}" link add sw type bridge 2>/dev/null || exit 77
    ip -n "${spaces[0]}" addr add "$1/24" dev sw
    ip -n "${spaces[0]}" link set sw up
    ip -n "${spaces[0]}" link set lo up
}

make_spaces () {
    local i s leader=${spaces[0]} router node
    pids=()
    make_switch 10.78.0.1
    for i in 1 2; do
        router=${spaces[i]} node=${spaces[i + 2]}
        ip netns add "$router"
        ip netns add "$node"
        ip -n "$leader" link add "p$i" type veth peer name out netns "$router"
        ip -n "$leader" link set "p$i" master sw up
        ip -n "$router" addr add "10.78.0.1$i/24" dev out
        ip -n "$router" link set lo up
        ip -n "$router" link set out up
        ip -n "$router" link add in type veth peer name eth netns "$node"
        ip -n "$router" addr add 192.168.7.1/24 dev in
        ip -n "$router" link set in up
        ip -n "$node" addr add 192.168.7.2/24 dev eth
        ip -n "$node" link set eth up
        ip -n "$node" link set lo up
        ip -n "$node" route add default via 192.168.7.1
        ip netns exec "$router" sh -c 'echo 1 >/proc/sys/net/ipv4/ip_forward' 2>/dev/null || exit 77
        ip netns exec "$router" nft -f - 2>/dev/null <<'RULES' || exit 77
table ip nat {
    chain out { type nat hook postrouting priority 100; oifname "out" masquerade; }
}
table ip closed {
    chain in { type filter hook forward priority 0; policy drop; iifname "in" accept; ct state established,related accept; }
}
RULES
    done
}

# digest FILE: of the last line of a run
digest () {
    local found
    found=$(sed -n 's/.*"params_digest":"\([0-9a-f]*\)".*/\1/p' "$1" | tail -1)
    [ -n "$found" ] || fail "$1 has no digest: $(cat "$1" leader.err 2>/dev/null)"
    echo "$found"
}

# Both nodes have the same private address, and neither can be dialed: two stages of one cluster.
behind_nat () {
    local i
    make_spaces
    RK_LOG=info ip netns exec "${spaces[0]}" timeout 200 "$rookery" train "${small[@]}" --set fleet.layout=2 --listen tcp://10.78.0.1:5600 --nodes 2 \
        --set run.dir=far --json >far.out 2>leader.err &
    pids=($!)
    for i in 1 2; do
        RK_LOG=info ip netns exec "${spaces[i + 2]}" timeout 200 "$rookery" node --join tcp://10.78.0.1:5600 --name "n$i" >"n$i.out" 2>"n$i.err" &
        pids+=($!)
    done
    wait "${pids[0]}" || fail "$(cat leader.err n*.err)"
    wait "${pids[@]:1}" || fail "$(cat n*.err)"
    "$rookery" train --json --quiet --set run.plan=far/plan.json --set run.dir=near >near.out 2>near.err || fail "$(cat near.err)"
    [ "$(digest far.out)" = "$(digest near.out)" ] || fail "other bits than on one machine"
    for i in 1 2; do
        grep -q "RELAYED host=192.168.7.2" "n$i.err" || fail "it is not relayed: $(cat "n$i.err")"
    done
}

# The leader dies, through which everything came for the two nodes that nobody can dial; the third node can be, leads from then on,
# and relays: for the other two between one another as well.
relay_lost () {
    local i node
    make_spaces
    ip netns exec "${spaces[0]}" timeout 60 "$rookery" train "${small[@]}" --passes 40 --set fleet.layout=1,1,1 --listen tcp://10.78.0.1:5600 --nodes 3 \
        --set run.dir=run --json >leader.out 2>leader.err &
    pids=($!)
    for i in 2 3 4; do
        RK_LOG=info ip netns exec "${spaces[i]}" timeout 60 "$rookery" node --join tcp://10.78.0.1:5600 --name "n$i" --json >"n$i.out" 2>"n$i.err" &
        pids+=($!)
        until grep -q " WELCOME " "n$i.err" 2>/dev/null; do # the one that can be reached is the next to lead
            kill -0 "${pids[-1]}" 2>/dev/null || fail "$(cat leader.err n*.err)"
            sleep 0.02
        done
    done
    until [ "$(cat leader.out 2>/dev/null | grep -c '"event":"pass"')" -ge 3 ]; do
        kill -0 "${pids[0]}" 2>/dev/null || fail "$(cat leader.err n*.err)"
        sleep 0.02
    done
    node=$(pgrep -P "${pids[0]}")
    kill -9 "$node"
    for i in "${pids[@]:1}"; do wait "$i" || fail "$(cat n*.err)"; done
    [ "$(field samples n2.out)" = $((40 * 4096)) ] || fail "$(field samples n2.out) samples"
    [ "$(field views n2.out)" = 2 ] || fail "$(field views n2.out) views"
    for i in 3 4; do
        grep -q "RELAYED host=192.168.7.2 by=tcp://10.78.0.12:" "n$i.err" || fail "nobody relays for it: $(cat "n$i.err")"
    done
}

# lead KEYS PORT NAME: a run on the network of make_network that announces itself; its last line will be in NAME.out
lead () {
    ip netns exec "${spaces[0]}" timeout 200 "$rookery" train "${small[@]}" --passes 1 --keys "$1" --listen "tcp://0.0.0.0:$2" --beacon --nodes 1 --json \
        --set run.dir="$3" >"$3.out" 2>"$3.err" &
    pids+=($!)
    until grep -q "waiting for" "$3.err" 2>/dev/null; do
        kill -0 "${pids[-1]}" || fail "$(cat "$3.err")"
        sleep 0.05
    done
}

# Two machines on one network: runs of anna, who has the node, and of eve, who is a stranger until she gives a ticket.
beacons () {
    local i ticket anna eve bob
    pids=()
    ip netns add "${spaces[0]}" 2>/dev/null || exit 77
    trap no_spaces EXIT
    ip netns add "${spaces[3]}"
    ip -n "${spaces[0]}" link add eth type veth peer name eth netns "${spaces[3]}" 2>/dev/null || exit 77
    ip -n "${spaces[0]}" addr add 10.79.0.1/24 dev eth
    ip -n "${spaces[3]}" addr add 10.79.0.2/24 dev eth
    for i in 0 3; do
        ip -n "${spaces[i]}" link set eth up
        ip -n "${spaces[i]}" link set lo up
    done
    anna=(ip netns exec "${spaces[3]}" "$rookery" node --quiet --keys anna --join)
    bob=(ip netns exec "${spaces[3]}" "$rookery" node --quiet --keys bob --join)
    eve=(ip netns exec "${spaces[0]}" "$rookery" invite --quiet --keys eve --expires 5m)

    ip netns add "${spaces[1]}" # with nothing but a loopback interface
    expect 1 "no network with broadcasts" ip netns exec "${spaces[1]}" "$rookery" node --keys anna --join lan
    expect 1 "cannot use 10.79.0.1: no interface of this machine has that address" ip netns exec "${spaces[1]}" "$rookery" train "${small[@]}" --keys anna --listen tcp://10.79.0.1:5600 --nodes 1
    expect 1 "cannot use 127.0.0.1: .* is its loopback interface up" ip netns exec "${spaces[1]}" "$rookery" train "${small[@]}" --keys anna --listen tcp://0.0.0.0:5600 --nodes 1
    expect 1 "for an address beyond this machine" "$rookery" train "${small[@]}" --keys anna --listen "tcp://127.0.0.1:$(free_port)" --beacon --nodes 1 --set run.dir=near
    lead eve 5601 hers
    expect 1 "no run for this node.*heard: hers at 10.79.0.1:5601" "${anna[@]}" lan
    lead anna 5600 mine
    timeout 200 "${anna[@]}" lan 2>node.err || fail "$(cat node.err mine.err)"
    wait "${pids[1]}" || fail "$(cat mine.err)"
    digest mine.out >/dev/null

    lead anna 5602 two
    lead anna 5603 three
    expect 1 "several runs on this network" "${anna[@]}" lan
    timeout 200 "${anna[@]}" lan:three 2>node.err || fail "$(cat node.err three.err)"
    wait "${pids[3]}" || fail "$(cat three.err)"

    ticket=$("${eve[@]}" tcp://10.79.0.99:1) # an address where she is no more
    timeout 200 "${bob[@]}" "lan/$ticket" 2>node.err || fail "$(cat node.err hers.err)"
    wait "${pids[0]}" || fail "$(cat hers.err)"
    timeout 200 "${anna[@]}" tcp://10.79.0.2:1,tcp://10.79.0.1:5602 2>node.err || fail "$(cat node.err two.err)"
    wait "${pids[2]}" || fail "$(cat two.err)"

    ip netns exec "${spaces[0]}" timeout 100 "$rookery" profile --model mlp-tiny --set data.name=synthetic --keys anna --listen tcp://0.0.0.0:5604 --beacon --nodes 1 \
        --json >fleet.out 2>fleet.err &
    pids+=($!)
    until grep -q "same network" fleet.err 2>/dev/null; do
        kill -0 "${pids[-1]}" || fail "$(cat fleet.err)"
        sleep 0.05
    done
    ip netns exec "${spaces[3]}" timeout 60 "$rookery" profile --keys anna --join lan --json >table.out 2>table.err || fail "$(cat table.err fleet.err)"
    wait "${pids[-1]}" || fail "$(cat fleet.err)"
    grep -q '"event":"fleet"' fleet.out || fail "$(cat fleet.out)"
    grep -q '"event":"fleet"' table.out || fail "$(cat table.out)"
}

# The leader has two interfaces and listens on all; each node knows one of its addresses and cannot reach the other node. All
# addresses that it tells are reached where it is reached, and what the nodes send to one another goes through it.
two_networks () {
    local i
    pids=()
    ip netns add "${spaces[0]}" 2>/dev/null || exit 77
    trap no_spaces EXIT
    for i in 1 2; do
        ip netns add "${spaces[i]}"
        ip -n "${spaces[0]}" link add "eth$i" type veth peer name eth netns "${spaces[i]}" 2>/dev/null || exit 77
        ip -n "${spaces[0]}" addr add "10.8$i.0.1/24" dev "eth$i"
        ip -n "${spaces[i]}" addr add "10.8$i.0.2/24" dev eth
        ip -n "${spaces[0]}" link set "eth$i" up
        ip -n "${spaces[i]}" link set eth up
        ip -n "${spaces[i]}" link set lo up
    done
    ip -n "${spaces[0]}" link set lo up
    ip netns exec "${spaces[0]}" timeout 60 "$rookery" train "${small[@]}" --set fleet.layout=1,1 --keys anna --listen tcp://0.0.0.0:5600 --nodes 2 \
        --set run.dir=far --json >far.out 2>leader.err &
    pids=($!)
    until grep -q "waiting for" leader.err 2>/dev/null || ! kill -0 "${pids[0]}" 2>/dev/null; do sleep 0.05; done
    for i in 1 2; do
        ip netns exec "${spaces[i]}" timeout 60 "$rookery" node --keys anna --join "tcp://10.8$i.0.1:5600" --reach relay --name "n$i" >"n$i.out" 2>"n$i.err" &
        pids+=($!)
    done
    for i in "${pids[@]}"; do wait "$i" || fail "$(cat leader.err n*.err)"; done
    "$rookery" train --json --quiet --set run.plan=far/plan.json --set run.dir=near >near.out 2>near.err || fail "$(cat near.err)"
    [ "$(digest far.out)" = "$(digest near.out)" ] || fail "other bits than on one machine"
}

# Three nodes; two of them cannot reach one another any more, the leader reaches both. Everybody can be asked who is meant, and the
# view that comes goes on without one of them, which says why.
a_pair_is_cut () {
    local i at
    pids=()
    make_switch 10.83.0.1
    for i in 1 2 3; do
        ip netns add "${spaces[i]}"
        ip -n "${spaces[0]}" link add "p$i" type veth peer name eth netns "${spaces[i]}" 2>/dev/null || exit 77
        ip -n "${spaces[0]}" link set "p$i" master sw up
        ip -n "${spaces[i]}" addr add "10.83.0.1$i/24" dev eth
        ip -n "${spaces[i]}" link set eth up
        ip -n "${spaces[i]}" link set lo up
    done
    ip netns exec "${spaces[2]}" nft add table ip cut 2>/dev/null || exit 77
    ip netns exec "${spaces[0]}" timeout 60 "$rookery" train "${small[@]}" --passes 12 --set fleet.layout=1,1,1 --listen tcp://10.83.0.1:5600 --nodes 3 \
        --set run.dir=run --json >leader.out 2>leader.err &
    pids=($!)
    for i in 1 2 3; do
        ip netns exec "${spaces[i]}" timeout 60 "$rookery" node --join tcp://10.83.0.1:5600 --reach direct --name "n$i" >"n$i.out" 2>"n$i.err" &
        pids+=($!)
    done
    until [ "$(cat leader.out 2>/dev/null | grep -c '"event":"pass"')" -ge 3 ]; do
        kill -0 "${pids[0]}" 2>/dev/null || fail "$(cat leader.err n*.err)"
        sleep 0.02
    done
    ip netns exec "${spaces[2]}" nft "add chain ip cut in { type filter hook input priority 0; }; add rule ip cut in ip saddr 10.83.0.13 drop"
    for ((i = 0; i < 200; i++)); do
        ip netns exec "${spaces[0]}" "$rookery" status tcp://10.83.0.1:5600 >status.txt 2>&1 || true
        tr -s ' \n' ' ' <status.txt | grep -Eq "waits for node [0-9] \(n[23], pid [0-9]+\), which does not hear node [0-9] \(n[23], pid" && break
        [ "$i" -lt 199 ] || fail "status does not name them: $(cat status.txt leader.err n*.err)"
        sleep 0.05
    done
    wait "${pids[0]}" || fail "$(cat leader.err n*.err)"
    wait "${pids[1]}" || fail "$(cat n1.err)"
    [ "$(field samples leader.out)" = $((12 * 4096)) ] || fail "$(field samples leader.out) samples"
    cat n2.err n3.err | grep -Eq "APART again_in_ms=5000 the others have gone on without it: it does not hear node [0-9] \(n[23], pid [0-9]+\) at tcp://10.83.0.1[23]:[0-9]+; open tcp" \
        || fail "it does not say why: $(cat leader.err n*.err)"
}

run_case behind_nat behind_nat
run_case a_pair_is_cut a_pair_is_cut
run_case relay_lost relay_lost
run_case beacons beacons
run_case two_networks two_networks
finish
