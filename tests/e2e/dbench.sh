#!/bin/bash
# SPDX-License-Identifier: MPL-2.0
# rookery dbench as a person uses it: a small grid, killed and resumed, on other numbers of processes; wrong files.
source "$(dirname "$0")/lib.sh"

grid () { # FILE [line...]: a grid of 12 cells with changes
    cat >"$1" <<'Z'
run
    passes = 2
data.name = synthetic-digits
train
    batch = 4
    lr = 0.05
    schedule = constant
dbench
    steps = 12
    probe_every = 3
grid
    model.name = mlp-tiny, quadratic
    average.graph = complete dbench.centralised=on, ring, ada k0=4 gamma=2
    dbench.replicas = 6, 9
Z
    shift
    printf '%s\n' "$@" >>grid.zpl
}

case_all_cells () {
    grid grid.zpl 'run.dir = out'
    "$rookery" dbench grid.zpl --list >list 2>err
    [ "$(grep -c ' Gflop mlp-tiny_\| Gflop quadratic_' list)" = 12 ] || fail "not 12 cells: $(cat list)"
    [ ! -e out ]
    "$rookery" dbench grid.zpl >out.txt 2>err
    grep -q '^12 cells in out' out.txt
    [ "$(wc -l <out/results.csv)" = 13 ]
    [ "$(wc -l <out/passes.csv)" = 25 ]
    # 4 looks a pass, 2 passes, 6 tensors or 1
    [ "$(wc -l <out/probes.csv)" = $((1 + 6 * 8 * 6 + 6 * 8)) ]
    grep -q '"n_cells": 12' out/manifest.json
    grep -q '12 of 12 cells done' err
    # a person sees every pass: k falls for Ada, stays for the ring
    grep -q 'ada-k0-4-gamma-2_9: pass 1/2 .* k 4 ' err
    grep -q 'ada-k0-4-gamma-2_9: pass 2/2 .* k 2 ' err
    # averaged gradients leave no spread, a ring does
    awk -F, '$3 == "C_complete" && $18 != 0 { exit 1 } $3 == "D_ring" && $18 == 0 { exit 1 }' out/results.csv
}

same () { # what repeats: all but the times
    diff -r -x '*.time' -x timing.csv "$1" "$2" || fail "$1 and $2 differ"
}

case_killed_and_resumed () {
    grid grid.zpl 'run.dir = whole'
    "$rookery" dbench grid.zpl --quiet >out.txt 2>err
    sed 's/run.dir = whole/run.dir = parts/' grid.zpl >again.zpl
    mkfifo progress
    "$rookery" dbench again.zpl --jobs 1 >out.txt 2>progress &
    pid=$!
    while read -r line; do
        case $line in '3 of 12'*) break ;; esac
    done <progress
    kill -9 $pid
    wait $pid 2>killed || true
    n=$(ls parts/cells/*.json | wc -l)
    [ "$n" -ge 3 ] && [ "$n" -lt 12 ] || fail "$n cells when it was killed"
    [ ! -e parts/results.csv ]
    "$rookery" dbench again.zpl --jobs 3 >out.txt 2>err
    grep -Eq "^12 cells, ([3-9]|1[01]) done before" err
    same whole parts
    # done is done
    "$rookery" dbench again.zpl >out.txt 2>err
    grep -q '^12 cells, 12 done before' err
    same whole parts
    # a changed key is another cell
    sed -i 's/lr = 0.05/lr = 0.06/' again.zpl
    "$rookery" dbench again.zpl >out.txt 2>err
    grep -q '^12 cells, 0 done before' err
    if cmp -s whole/results.csv parts/results.csv; then fail "another learning rate, the same results"; fi
}

case_threads_change_nothing () {
    grid grid.zpl 'run.dir = one'
    "$rookery" dbench grid.zpl --jobs 1 --quiet >out.txt 2>err
    sed -i 's/run.dir = one/run.dir = many/' grid.zpl
    "$rookery" dbench grid.zpl --jobs 8 --quiet >out.txt 2>err
    same one many
}

case_divergence_is_a_result () {
    grid grid.zpl 'run.dir = out' 'train.momentum = 0' 'dbench.curvature = 1000000'
    "$rookery" dbench grid.zpl >out.txt 2>err
    grep -q 'ALARM step [0-9]*: the loss of replica 0 is not a number' err
    awk -F, '$2 == "quadratic" && $10 == "" { exit 1 } $2 == "mlp-tiny" && $10 != "" { exit 1 }' out/results.csv
}

case_wrong_files () {
    grid grid.zpl
    sed 's/ring, ada/rings, ada/' grid.zpl >bad.zpl
    expect 2 'bad.zpl: cell 3 \(mlp-tiny, D_rings, n = 6\): .*"?ring' "$rookery" dbench bad.zpl
    sed 's/ring, ada/hypercube, ada/' grid.zpl >bad.zpl
    expect 2 'cell 3 \(mlp-tiny, D_hypercube, n = 6\)' "$rookery" dbench bad.zpl
    sed 's/ring, ada/directed, ada/' grid.zpl >bad.zpl
    expect 2 'D_directed.*doubly stochastic' "$rookery" dbench bad.zpl
    sed 's/k0=4/k00=4/' grid.zpl >bad.zpl
    expect 2 'no key "average.k00".*average.k0' "$rookery" dbench bad.zpl
    sed 's/mlp-tiny, quad/mlp-tinny, quad/' grid.zpl >bad.zpl
    expect 2 'mlp-tinny.*mlp-tiny' "$rookery" dbench bad.zpl
    sed 's/replicas = 6, 9/replicas = 6,, 9/' grid.zpl >bad.zpl
    expect 2 'bad.zpl: line 14: grid.dbench.replicas: value 2 is empty' "$rookery" dbench bad.zpl
    sed 's/replicas = 6, 9/replicas = 6, 60000/' grid.zpl >bad.zpl
    expect 2 'n = 60000.*samples a step' "$rookery" dbench bad.zpl
    sed 's/mlp-tiny, quad/mlp, quad/' grid.zpl >big.zpl
    expect 1 'cell [1-6] \(mlp, .*\): needs 0.0[1-9] GB of memory, 0.00 GB may be used \(--ram\)' "$rookery" dbench big.zpl --ram 4
    expect 1 'nowhere.zpl' "$rookery" dbench nowhere.zpl
    expect 2 'rookery dbench needs RUN.zpl' "$rookery" dbench
    [ ! -e runs ] || fail "a refused file leaves a folder"
}

case_report () {
    grid grid.zpl 'run.dir = out' 'train.momentum = 0'
    "$rookery" dbench grid.zpl --quiet >out.txt 2>err
    "$rookery" report out | grep -q '^out/report.html: 12 trainings'
    for view in progress scale connections spread ranks early graph cost timeline console whatif theory; do
        grep -q "^view('$view', '[0-9]*\. " out/report.html || fail "no view $view"
    done
    grep -q '"host":"D_ring"' out/report.html
    grep -q 'Chart.js v' out/report.html
    # nothing from elsewhere, no mark left, one script end for each script
    if grep -Eo '(src|href)="[^#][^"]*"' out/report.html; then fail "the page needs other files"; fi
    if grep -E '@(STYLE|CHART|DATA|SCRIPT)@' out/report.html; then fail "a part is missing"; fi
    [ "$(grep -o '</script>' out/report.html | wc -l)" = 3 ]
    # one page of several folders; also while cells are missing
    cp -r out part
    rm part/cells/quadratic_*.json
    "$rookery" report part --output part.html | grep -q '^part.html: 6 trainings'
    grep -q '"missing":6' part.html
    "$rookery" report out part --output both.html | grep -q '^both.html: 18 trainings'
    # a training run
    "$rookery" train --model mlp-tiny --set data.name=synthetic --quiet --passes 1 --set run.dir=run >out.txt 2>err
    "$rookery" report run | grep -q '^run/report.html'
    grep -q '"columns":\["event","seconds"' run/report.html
}

case_report_of_nothing () {
    mkdir empty broken broken/cells
    expect 1 'empty holds neither cells/ of a benchmark nor metrics.csv of a run' "$rookery" report empty
    echo '{"format":"rookery-dbench-cell-1",' >broken/cells/a.json
    expect 1 'broken/cells/a.json: not a cell of rookery dbench' "$rookery" report broken
    echo '[1]' >broken/cells/a.json
    expect 1 'broken/cells/a.json: not a cell of rookery dbench' "$rookery" report broken
    [ ! -e broken/report.html ]
}

run_case all_cells case_all_cells
run_case killed_and_resumed case_killed_and_resumed
run_case threads_change_nothing case_threads_change_nothing
run_case divergence_is_a_result case_divergence_is_a_result
run_case wrong_files case_wrong_files
run_case report case_report
run_case report_of_nothing case_report_of_nothing
finish
