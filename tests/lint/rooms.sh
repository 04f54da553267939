#!/bin/bash
# SPDX-License-Identifier: MPL-2.0
# The rules of the house that a search can check (docs/architecture.md, section 2). Prints one line per rule
# as cmocka does, and what breaks it as file:line.
set -euo pipefail
cd "${RK_SOURCE_DIR:-$(dirname "$0")/../..}"
shopt -s lastpipe # rule runs in this shell and can say that it failed
failed=0

sources () { # ROOM...: C files below them
    find "$@" -type f \( -name '*.c' -o -name '*.h' \) | sort
}

rule () { # NAME: reads offending lines from stdin; none is good
    local name=$1 found
    found=$(cat)
    echo "[ RUN      ] $name"
    if [ -z "$found" ]; then
        echo "[       OK ] $name"
    else
        echo "$found"
        echo "[  FAILED  ] $name"
        failed=1
    fi
}

search () { # PATTERN FILE...
    local pattern=$1
    shift
    grep -nE -- "$pattern" "$@" /dev/null || true
}

mapfile -t compute < <(sources compute)
mapfile -t cluster < <(sources cluster)
mapfile -t messages < <(sources messages)
mapfile -t actors < <(sources actors)
mapfile -t rooms < <(sources compute cluster messages actors)
mapfile -t all < <(find actors messages compute cluster tests examples docs -type f -not -path 'tests/fuzz/corpus/*' | sort)
mapfile -t code < <(printf '%s\n' "${all[@]}" | grep -E '\.(c|h|proto|sh|py|cmake)$|/CMakeLists\.txt$|^tests/(fuzz/)?run$|^examples/[^.]*$')

{
    search '^#include "(cluster|messages|actors|tests|examples)/' "${compute[@]}"
    search '^#include "(messages|actors|tests|examples)/' "${cluster[@]}"
    search '^#include "(cluster|actors|tests|examples)/' "${messages[@]}"
    search '^#include "(tests|examples)/' "${actors[@]}"
} | rule includes_go_downwards

search '^#include "' "${rooms[@]}" | { grep -vE '"(compute|cluster|messages|actors)/' || true; } | rule includes_from_the_root
search '#include [<"](blis/)?blis\.h' "${cluster[@]}" "${messages[@]}" "${actors[@]}" | rule only_compute_knows_blis
search '#include .*(\.pb-c\.h|protobuf-c)' "${compute[@]}" "${cluster[@]}" "${actors[@]}" | rule only_messages_knows_protobuf
search '#include <c?zmq' "${compute[@]}" "${cluster[@]}" | rule compute_and_cluster_know_no_sockets
search '\b(zmq_socket|zmq_ctx_new|zsock_new[a-z_]*|zactor_new) *\(' "${compute[@]}" "${cluster[@]}" "${messages[@]}" |
    rule only_actors_create_sockets
search '\b(pthread_create|thrd_create) *\(' "${rooms[@]}" | { grep -v '^compute/pool' || true; } | rule only_the_pool_starts_threads
search '\bzmq_msg_init_data *\(' "${rooms[@]}" | { grep -v '^messages/lend\.c:' || true; } | rule only_lend_lends

wc -l "${code[@]}" | awk '$2 ~ /\.[ch]$/ && $1 > 500 { print $2 ":" $1 ": longer than 500 lines" }' | rule files_are_short

# A body starts with a brace in the first column and ends with one.
mapfile -t bodies < <(printf '%s\n' "${rooms[@]}" | grep '\.c$')
awk '/^\{/ { start = FNR } /^\}/ && start { if (FNR - start - 1 > 60) print FILENAME ":" start ": " FNR - start - 1 " lines"; start = 0 }' \
    "${bodies[@]}" | rule functions_are_short

{ grep -LF 'SPDX-License-Identifier: MPL-2.0' "${code[@]}" CMakeLists.txt || true; } |
    sed 's/$/:1: no SPDX line/' | rule every_file_has_its_licence

# The pattern is written so that it does not find itself.
search '\b(TO''DO|FIX''ME|XX''X|HA''CK)\b' "${all[@]}" CMakeLists.txt | rule nothing_left_for_later
search '(^|[^[:alnum:]_.])/(ho''me|ro''ot|wo''rk|Us''ers)/[[:alnum:]]' "${all[@]}" CMakeLists.txt | rule no_paths_of_one_machine

exit $failed
