# shellcheck shell=bash
# SPDX-License-Identifier: MPL-2.0
# Counting for tests/run: cases of cmocka programs and of shell tests, which print the same lines
# ("[ RUN      ] name", then "[       OK ] name", "[  SKIPPED ] name" or "[  FAILED  ] name").
# A test program without such lines counts as one case, by the status ctest gives it.
n_passed=0 n_failed=0 n_skipped=0

count_line () {
    echo "$n_passed passed, $n_failed failed, $n_skipped skipped"
}

# count_one CASE passed|failed|skipped
count_one () {
    case $2 in
    passed) n_passed=$((n_passed + 1)) ;;
    skipped)
        if grep -v '^#' tests/skips.txt | awk '{ print $1 }' | grep -qxF -- "$1"; then
            n_skipped=$((n_skipped + 1))
            echo "skipped: $1"
        else
            n_failed=$((n_failed + 1))
            echo "FAILED: $1 was skipped, which tests/skips.txt does not allow"
        fi
        ;;
    *)
        n_failed=$((n_failed + 1))
        echo "FAILED: $1"
        ;;
    esac
}

# One line "test<TAB>case<TAB>status" per case from the output of `ctest --verbose`. Lines of test number i
# start with "i: "; those of tests that run side by side may be mixed.
s_cases () {
    awk '
    $1 == "test" && NF == 2 { next }
    /^ *Start +[0-9]+: / { i = $2 + 0; name[i] = $3; next }
    /^[0-9]+: \[ RUN      \] / { i = $1 + 0; n[i]++; open[i] = $NF; state[i, $NF] = "failed"; order[i, n[i]] = $NF; next }
    /^[0-9]+: \[       OK \] / { i = $1 + 0; state[i, $NF] = "passed"; next }
    /^[0-9]+: \[  SKIPPED \] / { i = $1 + 0; if ((i, $NF) in state) state[i, $NF] = "skipped"; next }
    /^ *[0-9]+\/[0-9]+ Test +#[0-9]+: / {
        split ($0, part, "#"); i = part[2] + 0
        status[i] = /\*\*\*Skipped/ ? "skipped" : / Passed / ? "passed" : "failed"
    }
    END {
        for (i in name) {
            bad = 0
            for (k = 1; k <= n[i]; k++) {
                s = state[i, order[i, k]]
                bad += s == "failed"
                print name[i] "\t" order[i, k] "\t" s
            }
            # no cases, or it failed outside of them (sanitizer report at exit, crash, timeout)
            if (!n[i] || (status[i] != "passed" && !bad))
                print name[i] "\t-\t" (status[i] ? status[i] : "failed")
        }
    }' "$1"
}

# count_ctest SUITE LOG; shows the output of every test program that failed
count_ctest () {
    local suite=$1 log=$2 test case status before=$n_failed failed_tests=
    while IFS=$'\t' read -r test case status; do
        local label=$test
        [ "$case" = - ] || label=$test:$case
        local was=$n_failed
        # skips.txt names cases without the suite: what may be skipped plain may be skipped sanitized
        count_one "$label" "$status"
        [ "$n_failed" = "$was" ] || failed_tests="$failed_tests $test"
    done < <(s_cases "$log" | sort)
    [ "$n_passed$n_failed$n_skipped" != 000 ] || { count_one "$suite" failed; tail -n 20 "$log"; }
    [ "$n_failed" = "$before" ] || s_show "$log" "$failed_tests"
}

# s_show LOG TESTS: the last lines of the tests named
s_show () {
    local log=$1 test number
    for test in $(tr ' ' '\n' <<<"$2" | sort -u); do
        number=$(awk -v t="$test" '/^ *Start +[0-9]+: / && $3 == t { print $2 + 0; exit }' "$log")
        echo "---- $test, last lines"
        { grep "^$number: " "$log" || true; } | tail -n 60
    done
}
