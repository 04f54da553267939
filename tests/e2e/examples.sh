#!/bin/bash
# SPDX-License-Identifier: MPL-2.0
# Every example program prints what its top comment promises ("Expected output", ~ stands for anything).
source "$RK_SOURCE_DIR/tests/e2e/lib.sh"
examples=$RK_SOURCE_DIR/examples

# promised FILE: the lines of its comment after "Expected output", without the margin
promised () {
    awk '/Expected output/ { found = 1; next }
         found && !/^ \*   / { exit }
         found { sub (/^ \*   /, ""); sub (/[ \t]*\*\/$/, ""); print }' "$1"
}

prints_what_it_promises () { # NAME
    promised "$examples/$1.c" >promised
    [ -s promised ] || fail "examples/$1.c promises no output"
    timeout 200 "$RK_BUILD_DIR/examples/$1" >printed || fail "exit code $?"
    [ "$(wc -l <promised)" = "$(wc -l <printed)" ] || { diff promised printed; fail "another number of lines"; }
    local line
    while IFS= read -r line <&3 && IFS= read -r pattern <&4; do
        pattern=${pattern//'*'/'\*'} pattern=${pattern//'['/'\['} pattern=${pattern//'?'/'\?'}
        # shellcheck disable=SC2053 # a pattern is what it is meant to be
        [[ $line == ${pattern//'~'/'*'} ]] || { diff promised printed; fail "\"$line\" is not as promised"; }
    done 3<printed 4<promised
}

fits_on_two_screens () { # NAME
    [ "$(wc -l <"$examples/$1.c")" -le 120 ] || fail "examples/$1.c has more than 120 lines"
}

learns () { # NAME
    timeout 200 "$RK_BUILD_DIR/examples/$1" | awk '/^test accuracy/ { print; good = $3 >= 0.9 } END { exit !good }'
}

for file in "$examples"/*.c; do
    name=$(basename "$file" .c)
    run_case "${name}_prints_what_it_promises" prints_what_it_promises "$name"
    run_case "${name}_is_short" fits_on_two_screens "$name"
done
run_case topology_learns learns topology
run_case own_model_learns learns own_model
finish
