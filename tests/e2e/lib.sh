# shellcheck shell=bash
# SPDX-License-Identifier: MPL-2.0
# For shell tests: cases that print what cmocka prints, so that tests/run counts them.
#   source lib.sh; run_case name function...; finish
set -u
failed_cases=0
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
rookery=$RK_BUILD_DIR/rookery

# run_case NAME COMMAND...: COMMAND runs in a subshell with -e, in an empty folder of its own
run_case () {
    local name=$1
    shift
    echo "[ RUN      ] $name"
    mkdir -p "$work/$name"
    (set -e; cd "$work/$name"; "$@")
    local code=$?
    case $code in
    0) echo "[       OK ] $name" ;;
    77) echo "[  SKIPPED ] $name" ;;
    *)
        echo "[  FAILED  ] $name"
        failed_cases=$((failed_cases + 1))
        ;;
    esac
}

# A port that nobody listens on; somebody may still take it before us, then whoever leads says so.
free_port () {
    local port
    while port=$((20000 + RANDOM % 20000)); do
        (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || break
    done
    echo "$port"
}

finish () {
    [ "$failed_cases" = 0 ]
    exit
}

fail () {
    echo "FAILED: $*" >&2
    exit 1
}

# expect CODE PATTERN COMMAND...: exit code and one line on stderr that matches the extended regular expression
expect () {
    local want=$1 pattern=$2 code=0
    shift 2
    timeout 200 "$@" >stdout 2>stderr || code=$?
    if [ "$code" != "$want" ]; then
        cat stdout stderr >&2
        fail "exit code $code, $want expected: $*"
    fi
    if ! grep -Eq -- "$pattern" stderr; then
        cat stderr >&2
        fail "no line matches \"$pattern\": $*"
    fi
}
