#!/bin/bash
# SPDX-License-Identifier: MPL-2.0
# Every format of data from the command line, in small files written byte by byte: train, eval, predict; and the same files
# cut short or wrong.
source "$(dirname "$0")/lib.sh"

# bytes N: any, but always the same
bytes () { for i in $(seq $((($1 + 3999) / 4000))); do seq -s ' ' "$i" 7 9000 | head -c 4000; done | head -c "$1"; }
# byte N: of this value
# shellcheck disable=SC2059
byte () { printf "\\x$(printf %02x "$1")"; }
# npy DESCR SHAPE: its header; what follows is the data
npy () {
    local text="{'descr': '$1', 'fortran_order': False, 'shape': ($2), }"
    local n=$(((10 + ${#text} + 1 + 63) / 64 * 64 - 10))
    printf '\x93NUMPY\x01\x00' && byte $((n % 256)) && byte $((n / 256)) && printf "%-$((n - 1))s\n" "$text"
}
# records N PREFIX...: of CIFAR, after their bytes a picture
records () {
    local n=$1 i
    shift
    for i in $(seq 0 $((n - 1))); do
        for prefix in "$@"; do byte $((i % prefix)); done
        bytes $((3072 + i)) | tail -c 3072
    done
}

# run MODEL SET=VALUE...: trains it into run, evaluates it the same
run () {
    local model=$1 sets=()
    shift
    for pair in "$@"; do sets+=(--set "$pair"); done
    "$rookery" train --model "$model" --quiet --json --batch 8 --passes 1 --set fleet.layout=2 --set run.dir=run "${sets[@]}" >out
    tail -1 out | grep -q '"event":"done"'
    "$rookery" eval run --quiet >eval
    grep -q 'test accuracy' eval
}
# predicts FILE N CLASSES: N lines, each of them a class below CLASSES
predicts () {
    "$rookery" predict run --input "$1" --quiet >csv
    [ "$(wc -l <csv)" = $(($2 + 1)) ] || fail "$1: $(wc -l <csv) lines"
    awk -F, -v classes="$3" 'NR > 1 && !($1 == NR - 2 && $2 < classes && $3 > 0 && $3 <= 1) { exit 1 }' csv
}

case_cifar10 () {
    mkdir data
    for i in 1 2 3 4 5; do records 4 10 >data/data_batch_$i.bin; done
    records 6 10 >data/test_batch.bin
    run residual-tiny data.name=cifar10 data.path=data data.augment=crop,flip
    { npy '|u1' '3, 3, 32, 32' && bytes 9216; } >three.npy
    predicts three.npy 3 10
    truncate -s -1 data/test_batch.bin
    expect 1 'test_batch.bin' "$rookery" eval run --quiet
}

case_cifar100 () {
    mkdir data
    records 12 20 100 >data/train.bin
    records 6 20 100 >data/test.bin
    run residual-tiny data.name=cifar100 data.path=data
    { npy '|u1' '2, 3, 32, 32' && bytes 6144; } >two.npy
    predicts two.npy 2 100
    truncate -s 100 data/train.bin
    expect 1 'train.bin' "$rookery" train --model residual-tiny --quiet --set data.name=cifar100 --set data.path=data --set run.dir=no
}

case_npy () {
    mkdir data
    { npy '|u1' '20, 6' && bytes 120; } >data/x_train.npy
    { npy '<i4' '20,' && for i in $(seq 20); do byte $((i % 3)) && printf '\0\0\0'; done; } >data/y_train.npy
    { npy '|u1' '5, 6' && bytes 30; } >data/x_test.npy
    { npy '|u1' '5,' && for i in 0 1 2 0 1; do byte $i; done; } >data/y_test.npy
    run mlp-tiny data.name=numpy data.path=data
    { npy '|u1' '4, 6' && bytes 24; } >four.npy
    predicts four.npy 4 3
    { npy '|u1' '4, 7' && bytes 28; } >other.npy
    expect 1 'other.npy: samples are [(]7[)], the run was trained on [(]6[)]' "$rookery" predict run --input other.npy --quiet
    head -c 100 four.npy >short.npy
    expect 1 'short.npy' "$rookery" predict run --input short.npy --quiet
    command -v zip >/dev/null || return 0
    (cd data && zip -q ../data.npz ./*.npy)
    rm -r run
    run mlp-tiny data.name=numpy data.path=data.npz
    predicts four.npy 4 3
}

case_csv () {
    mkdir data
    awk 'BEGIN { print "a,b,class"; for (i = 0; i < 23; i++) print i / 10 "," 3 - i / 7 "," i % 3 }' >data/train.csv
    awk 'BEGIN { print "a,b,class"; for (i = 0; i < 7; i++) print i / 3 "," i / 7 "," i % 3 }' >data/test.csv
    run mlp-tiny data.name=csv data.path=data data.label=class
    printf 'a,b\n1,2\n0.5,-3\n' >two.csv
    predicts two.csv 2 3
    printf 'a,b\n1,nan\n' >bad.csv
    expect 1 'bad.csv:2: column 2' "$rookery" predict run --input bad.csv --quiet
    printf 'a,b,c\n1,2,3\n' >wide.csv
    expect 1 'wide.csv: samples are [(]3[)], the run was trained on [(]2[)]' "$rookery" predict run --input wide.csv --quiet
    echo '1,2' >>data/test.csv
    expect 1 'test.csv:9: fewer than 3 columns' "$rookery" eval run --quiet
}

case_text () {
    for i in $(seq 60); do echo "line $i of a text that says hardly more than $((i * i))"; done >text
    run lstm-tiny data.name=text data.path=text data.sequence=16
    head -c 64 text >some
    "$rookery" predict run --input some --quiet >csv
    awk -F, 'NR > 1 && $2 >= 96 { exit 1 } END { if (NR < 49) exit 1 }' csv
}

for name in cifar10 cifar100 npy csv text; do
    run_case $name case_$name
done
finish
