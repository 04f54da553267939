# shellcheck shell=bash
# SPDX-License-Identifier: MPL-2.0
# A run of several processes: one leads, others join.

clean_up () {
    { kill -9 "$leader" "${node[@]}" && wait; } 2>/dev/null || true
}

# start N OPTION...: a leader and N nodes in the background; sets address, leader (pid) and node (pids). $log: of the leader
start () {
    local n=$1 i
    shift
    address=tcp://127.0.0.1:$(free_port)
    RK_LOG=${log:-info} "$rookery" train --listen "$address" --nodes "$n" --json "$@" >leader.out 2>leader.err &
    leader=$!
    node=()
    trap 'clean_up' EXIT
    for ((i = 0; i < n; i++)); do
        RK_LOG=info "$rookery" node --json --join "$address" --name "n$i" >"node$i.out" 2>"node$i.err" &
        node[i]=$!
    done
}

# progress: waits until the run has trained a pass
progress () {
    local i
    for ((i = 0; i < 2400; i++)); do
        grep -q '"event":"pass"' leader.out && return
        sleep 0.05
    done
    cat ./*.err >&2
    fail "nothing is trained"
}

# ended PID SECONDS: sets code to the exit code of a process that must end within that time, four times that on a busy machine
ended () {
    local tenths=$(($2 * 40))
    while kill -0 "$1" 2>/dev/null && [ "$tenths" -gt 0 ]; do
        sleep 0.1
        tenths=$((tenths - 1))
    done
    [ "$tenths" -gt 0 ] || kill -9 "$1" 2>/dev/null
    code=0
    wait "$1" 2>/dev/null || code=$?
}

# field NAME FILE: the value of a member in the last line that has it
field () {
    sed -n "s/.*\"$1\":\(\"[^\"]*\"\|\[[^]]*\]\|[^,}]*\).*/\1/p" "$2" | tail -1 | tr -d '"'
}

