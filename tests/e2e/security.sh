#!/bin/bash
# SPDX-License-Identifier: MPL-2.0
# Keys, tickets and strangers around whole runs: every user is a folder of keys.
source "$RK_SOURCE_DIR/tests/e2e/lib.sh"

small=(--set data.name=synthetic --set model.name=mlp-tiny --set train.batch=32 --set average.every=8 --set average.mode=drained)

# lead N OPTION...: a leader with the keys of folder "anna" in the background, waiting for N nodes; sets address and leader
lead () {
    local n=$1
    shift
    address=tcp://127.0.0.1:$(free_port)
    RK_LOG=info "$rookery" train --keys anna --listen "$address" --nodes "$n" --json "$@" >leader.out 2>leader.err &
    leader=$!
    trap '{ kill -9 "$leader" && wait; } 2>/dev/null || true' EXIT
    until grep -q "waiting for" leader.err 2>/dev/null; do
        kill -0 "$leader" || fail "$(cat leader.err)"
        sleep 0.05
    done
}

# ends_well: the leader's run comes to its end
ends_well () {
    wait "$leader" || fail "$(cat leader.err)"
    grep -q '"event":"done"' leader.out || fail "no last line"
}

keys_and_permissions () {
    "$rookery" keygen --keys anna >first
    "$rookery" keygen --keys anna >second
    grep -q "^new key [0-9a-f]\{64\}$" first && grep -q "^this node has key" second || fail "$(cat first second)"
    [ "$(grep -o '[0-9a-f]\{64\}' first)" = "$(grep -o '[0-9a-f]\{64\}' second)" ] || fail "another key the second time"
    chmod 644 anna/node.key
    expect 2 "chmod 600 anna/node.key" "$rookery" keygen --keys anna
    expect 1 "chmod 600 anna/node.key" "$rookery" train --keys anna --listen "tcp://127.0.0.1:$(free_port)" --nodes 1 "${small[@]}" --set run.dir=run
}

tickets () {
    local ticket other bob=(--keys bob --quiet)
    lead 1 "${small[@]}" --passes 1 --set run.dir=run
    expect 1 "does not allow this node" "$rookery" node "${bob[@]}" --join "$(grep -o 'tcp://[^ ]*' leader.err | head -1)"
    expect 1 "hangs up: its key is not" "$rookery" node "${bob[@]}" --join "$address"
    expect 1 "is encrypted: leave --insecure out" "$rookery" node "${bob[@]}" --insecure --join "$address"
    ticket=$("$rookery" invite --keys anna "$address" --name bob --quiet)
    other=$("$rookery" invite --keys anna "$address" --name eve --quiet)
    [ "$("$rookery" invite --keys anna --list | wc -l)" = 2 ] || fail "two tickets are open"
    "$rookery" invite --keys anna --revoke "$("$rookery" invite --keys anna --list | sed -n 's/ eve,.*//p')"
    expect 1 "used, expired or revoked" "$rookery" node --keys eve --quiet --join "$other"
    expect 1 "is not whole" "$rookery" node "${bob[@]}" --join "${ticket%?}"
    timeout 200 "$rookery" node "${bob[@]}" --join "$ticket" 2>bob.err || fail "$(cat bob.err)"
    ends_well
    grep -q "ENROLLED ticket=[0-9a-f]* key=[0-9a-f]*" leader.err || fail "$(cat leader.err)"
    # Another leader of the same folder, later: the ticket is used, the guest is known.
    lead 1 "${small[@]}" --passes 1 --set run.dir=again
    timeout 200 "$rookery" node "${bob[@]}" --join "$address/$("$rookery" keygen --keys anna | grep -o '[0-9a-f]\{64\}')" 2>bob.err || fail "$(cat bob.err)"
    ends_well
}

# Members of two owners, known to the leader only: they learn each other's keys from it.
two_owners () {
    local key
    lead 2 "${small[@]}" --passes 2 --set fleet.layout=1,1 --set net.transport=tcp --set run.dir=run
    "$rookery" keygen --keys bob >/dev/null
    mkdir -p anna/allowed
    cp bob/node.cert anna/allowed/bob.cert # while the leader runs
    key=$("$rookery" keygen --keys anna | grep -o '[0-9a-f]\{64\}')
    mkdir -p bob/allowed
    cp anna/node.cert bob/allowed/anna.cert
    "$rookery" node --keys bob --quiet --join "$address/anna" 2>bob.err &
    local bob=$!
    timeout 200 "$rookery" node --keys anna --quiet --join "$address/$key" 2>anna.err || fail "$(cat anna.err)"
    wait $bob || fail "$(cat bob.err)"
    ends_well
    # Plain tcp, inproc and two owners over CURVE: the same bits.
    "$rookery" train --json --quiet --set run.plan=run/plan.json --set net.transport=inproc --set run.dir=one >one.out 2>one.err || fail "$(cat one.err)"
    digest=$(sed -n 's/.*"params_digest":"\([0-9a-f]*\)".*/\1/p' leader.out | tail -1)
    grep -q "\"params_digest\":\"$digest\"" one.out || fail "encrypted and in one process differ"
}

# A port scanner and noise on every port of a run that goes on, and ends with the bits it should have.
strangers () {
    lead 2 "${small[@]}" --passes 60 --set fleet.layout=1,1 --set net.transport=tcp --set run.dir=run
    local i node=() port ports
    for i in 0 1; do
        "$rookery" node --keys anna --quiet --join "$address" 2>"node$i.err" &
        node[i]=$!
    done
    until grep -q '"event":"pass"' leader.out; do
        kill -0 "$leader" || fail "$(cat leader.err)"
        sleep 0.05
    done
    # Every port on which any of the three listens: /proc says which sockets are theirs.
    ports=$(for i in "$leader" "${node[@]}"; do
        find "/proc/$i/fd" -lname 'socket:*' -printf '%l\n' 2>/dev/null | grep -o '[0-9]*'
    done | sort -u | awk 'NR == FNR { own[$1]; next } $4 == "0A" && ($10 in own) { split ($2, a, ":"); print "0x" a[2] }' - /proc/net/tcp 2>/dev/null || true)
    for port in $ports; do
        port=$((port))
        for i in 1 2 3; do
            (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || true
            (exec 3<>"/dev/tcp/127.0.0.1/$port" && head -c 3000 /dev/urandom >&3) 2>/dev/null || true
            (exec 3<>"/dev/tcp/127.0.0.1/$port" && printf 'GET / HTTP/1.0\r\n\r\n' >&3) 2>/dev/null || true
        done
    done
    [ "$(echo "$ports" | wc -l)" -ge 5 ] || fail "only ports $ports were found"
    wait "${node[0]}" || fail "$(cat node0.err)"
    wait "${node[1]}" || fail "$(cat node1.err)"
    ends_well
    grep -q "STRANGER address=" leader.err || fail "nobody was seen"
    "$rookery" train --json --quiet --set run.plan=run/plan.json --set net.transport=inproc --set run.dir=one >one.out 2>one.err || fail "$(cat one.err)"
    digest=$(sed -n 's/.*"params_digest":"\([0-9a-f]*\)".*/\1/p' leader.out | tail -1)
    grep -q "\"params_digest\":\"$digest\"" one.out || fail "strangers changed the run"
}

run_case keys_and_permissions keys_and_permissions
run_case tickets tickets
run_case two_owners two_owners
run_case strangers strangers
finish
