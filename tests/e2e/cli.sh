#!/bin/bash
# SPDX-License-Identifier: MPL-2.0
# The command line as a person uses it: a small run and what can be done with its folder, then wrong use and
# bad input: one clear line, the right exit code, nothing left behind, nothing replaced.
source "$(dirname "$0")/lib.sh"

tiny=(--model mlp-tiny --set data.name=synthetic --quiet)
fashion=/usr/share/datasets/fashion-mnist

# events FILE: the events of its JSON lines, one a line
events () { sed -n 's/^{"event":"\([a-z]*\)".*}$/\1/p' "$1"; }
# field FILE NAME: of the last line
field () { tail -n 1 "$1" | grep -Eo "\"$2\": ?(\\[[^]]*\\]|\"[^\"]*\"|[^,}]*)" | sed 's/^[^:]*: *//; s/"//g'; }

# ---- use
case_help () {
    "$rookery" help | grep -q '^  train '
    "$rookery" train --help | grep -q -- '--passes N'
    "$rookery" help settings | grep -q '^average.every$'
    "$rookery" help settings-page | diff - "$RK_SOURCE_DIR/docs/settings.md" || fail "docs/settings.md is old: rookery help settings-page"
    for command in train node eval predict plan bench dbench help; do
        "$rookery" help "$command" | grep -q "^usage: rookery $command"
    done
    code=0
    "$rookery" >usage || code=$?
    [ $code = 2 ] && grep -q '^usage: rookery' usage
}

case_train_and_read_back () {
    "$rookery" train "${tiny[@]}" --passes 2 --json --set run.dir=run >out 2>err
    [ "$(events out | sed -n '1p;$p' | tr '\n' ' ')" = "start done " ]
    for name in settings.zpl plan.json metrics.csv; do [ -s run/$name ]; done
    head -1 run/metrics.csv | grep -q '^event,seconds,pass,samples,loss'
    grep -c '^pass,' run/metrics.csv | grep -qx 2
    ls run/checkpoint-*.safetensors >/dev/null
    "$rookery" eval run --json --quiet >eval.json 2>err
    [ "$(field out test_accuracy)" = "$(field eval.json test_accuracy)" ] || fail "eval differs from the end of training"
    "$rookery" eval run --json --quiet --set fleet.layout=2 >eval2.json 2>err
    [ "$(field eval.json test_accuracy)" = "$(field eval2.json test_accuracy)" ] || fail "two stages evaluate differently"
    "$rookery" plan run | grep -q "^plan $(field out plan_digest)"
    "$rookery" plan run --json | grep -q '^{"format":"rookery-plan-1",.*}$'
    [ "$(wc -l <out)" = "$(events out | wc -l)" ] || fail "stdout is not all JSON lines"
}

case_plan_is_replayed () {
    drained=(--set average.mode=drained --set average.every=5)
    "$rookery" train "${tiny[@]}" "${drained[@]}" --json --set run.dir=one >one.json 2>err
    "$rookery" train --quiet --json --set run.plan=one/plan.json --set run.dir=two >two.json 2>err
    [ "$(field one.json plan_digest)" = "$(field two.json plan_digest)" ]
    [ "$(field one.json params_digest)" = "$(field two.json params_digest)" ] || fail "one plan, two results"
    # a changed plan is refused, not used: one digit inside the listing
    sed '/"canonical"/{n;n;s/0/1/}' one/plan.json >bad.json
    if cmp -s one/plan.json bad.json; then fail "nothing was changed"; fi
    expect 1 'bad.json' "$rookery" train --quiet --set run.plan=bad.json --set run.dir=three
    [ ! -e three ]
}

case_run_file () {
    cat >run.zpl <<'Z'
# a comment
run
    passes = 1
    dir = "a run"      # quoted
model
    name = mlp-tiny
data
    name = synthetic
fleet
    node
        name = fast
        speed = 1
        ram_mb = 200
    node = slow 0.5 200
    layout = 2
train.batch = 32
Z
    "$rookery" train run.zpl --quiet --json >out 2>err
    [ "$(field out stages)" = "[2]" ]
    grep -q 'node = slow 0.5 200' 'a run/settings.zpl'
    # what a run wrote is a run file
    "$rookery" train 'a run/settings.zpl' --quiet --json --set run.dir=again >out2 2>err
    [ "$(field out2 stages)" = "[2]" ]
}

case_predict () {
    [ -e "$fashion/t10k-images-idx3-ubyte.gz" ] || exit 77
    gzip -dc "$fashion/t10k-images-idx3-ubyte.gz" | head -c $((16 + 784 * 3)) >three
    printf '\000\000\010\003\000\000\000\003' | dd of=three conv=notrunc status=none
    "$rookery" train --model mlp-tiny --quiet --set run.dir=run --passes 1 >out 2>err
    "$rookery" predict run --input three --quiet >csv
    [ "$(sed -n 1p csv)" = index,class,probability ] && [ "$(wc -l <csv)" = 4 ]
    "$rookery" predict run --input three --json --output file.json --quiet
    [ "$(sed 's/,"class.*//' file.json | tr '\n' ' ')" = '{"index":0 {"index":1 {"index":2 ' ]
    expect 1 'none.idx' "$rookery" predict run --input none.idx --output no.json
    head -c 1000 three >short
    expect 1 'short' "$rookery" predict run --input short --output no.json
    [ ! -e no.json ] && [ ! -e no.json.part ]
}

# A table of values, and yes or no: outputs are those of the test samples, whose loss eval tells.
case_values () {
    mkdir data
    table () { awk -v n="$1" -v y="$2" 'BEGIN { print "a,b,y"; for (i = 0; i < n; i++) { a = i * 7 % n / n; b = i % 5 / 5; print a "," b "," (y ? 2 * a - b : a > 0.5) } }'; }
    local sets=(--quiet --passes 40 --set train.batch=16 --set train.lr=0.05 --set data.name=csv --set data.path=data --set data.labels=values)
    table 160 1 >data/train.csv && table 10 1 >data/test.csv && cut -d, -f1,2 data/test.csv >input.csv
    "$rookery" train --model mlp-mse "${sets[@]}" --set run.dir=run | grep -q '^test loss 0'
    loss=$("$rookery" eval run --quiet | sed 's/^test loss //')
    "$rookery" predict run --input input.csv --quiet >csv
    paste -d, data/test.csv csv | awk -F, -v loss="$loss" 'NR == 1 && $0 != "a,b,y,index,value" { exit 1 } NR > 1 { d = $5 - $3; sum += d * d / 10 }
        END { exit !(NR == 11 && loss < 0.05 && sum - loss < 0.0001 && loss - sum < 0.0001) }' || fail "$(cat csv), loss $loss"
    "$rookery" predict run --input input.csv --quiet --json --set fleet.layout=2 >json
    sed '1d; s/^\([0-9]*\),\(.*\)$/{"index":\1,"values":[\2]}/' csv | diff - json
    "$rookery" eval run --quiet --json | tail -n 1 | grep -q '"test_accuracy":null'
    expect 1 'mlp-bce: targets are in -0.[0-9]*..1.[0-9]*, the loss takes 0..1' "$rookery" train --model mlp-bce "${sets[@]}" --set run.dir=no
    expect 1 'data.labels = classes, but model mlp-mse is of values' "$rookery" train --model mlp-mse --set data.name=synthetic --quiet --set run.dir=no
    expect 1 'fashion-mnist has classes, not values' "$rookery" train --model mlp-mse --quiet --set data.labels=values --set run.dir=no
    table 160 0 >data/train.csv && table 10 0 >data/test.csv
    "$rookery" train --model mlp-bce "${sets[@]}" --set run.dir=yes | grep -q '^test accuracy'
    "$rookery" predict yes --input input.csv --quiet --json >json
    paste -d, data/test.csv <(sed '1i"probabilities":[0]' json) | sed 's/\[\([0-9.e-]*\)\].*/,\1/' |
        awk -F, 'NR > 1 && $NF >= 0 && $NF <= 1 { right += ($NF > 0.5) == $3 } END { exit right < 8 }' || fail "$(cat json)"
}

case_bench () {
    "$rookery" bench train --model mlp-tiny --seconds 0.1 --json >out
    [ "$(field out figure)" = train ] && [ "$(field out threads)" = 1 ]
    "$rookery" bench gemm --m 33 --n 17 --k 65 --trans TN --threads 2 --seconds 0.1 --json >out
    [ "$(field out figure) $(field out m) $(field out n) $(field out k) $(field out trans)" = 'gemm 33 17 65 TN' ]
    "$rookery" bench layer --model mlp-tiny --layer fc2 --batch 5 --seconds 0.1 --json >out
    [ "$(sed 's/.*"pass": "//; s/".*//' out | tr '\n' ,)" = 'forward,input gradient,parameter gradient,' ]
    "$rookery" bench train --model mlp-bce --batch 5 --seconds 0.1 --json >out # data of its own
    [ "$(field out model)" = mlp-bce ]
    "$rookery" bench gemm --precision bf16 --seconds 0.1 --json >out
    kernels=$(field out kernels)
    "$rookery" train "${tiny[@]}" --passes 1 --precision bf16 --json --set run.dir=bf16 >out
    [ "$(head -n 1 out | sed 's/.*"kernels": *"//; s/".*//')" = "$kernels" ]
    expect 2 'f32 or bf16' "$rookery" bench gemm --precision f16
    expect 2 'nearest is "fc2"' "$rookery" bench layer --model mlp-tiny --layer fc2x
    expect 2 'NN, NT, TN or TT' "$rookery" bench gemm --trans XX
    for transport in inproc ipc tcp; do
        "$rookery" bench allreduce --ranks 3 --bytes 4000 --transport $transport --seconds 0.1 --json >out
        [ "$(field out ranks)" = 3 ] && [ "$(field out bytes)" = 4000 ]
        "$rookery" bench hop --bytes 4096 --transport $transport --seconds 0.1 --json >out
        [ "$(field out figure)" = hop ]
    done
}

case_interrupt_saves () {
    "$rookery" train "${tiny[@]}" --passes 100000 --set average.every=2 --json --set run.dir=run >out 2>err &
    pid=$!
    until grep -q '"saved"' out 2>/dev/null; do
        kill -0 $pid || fail "it ended by itself: $(cat err)"
        sleep 0.05
    done
    code=0
    kill -INT $pid
    wait $pid || code=$?
    [ $code = 1 ] || fail "exit code $code"
    grep -q 'stopped on request; what was trained is in run' err
    "$rookery" eval run --quiet | grep -q 'test accuracy'
    rm run/checkpoint-*.safetensors
    [ "$(echo run/*)" = 'run/metrics.csv run/observed.csv run/plan.json run/settings.zpl' ] || fail "left behind: $(echo run/*)"
}

# ---- wrong use: exit 2
case_wrong_use () {
    expect 2 'no command "trian"; valid: train node' "$rookery" trian
    expect 2 'export is not built yet; valid: train' "$rookery" export
    expect 2 'no option --pases; valid: .*--passes' "$rookery" train --pases 2
    expect 2 '--passes needs a value' "$rookery" train --passes
    expect 2 'what is "b.zpl"' "$rookery" train a.zpl b.zpl
    expect 2 'run.passes: "0" is not allowed' "$rookery" train --passes 0
    expect 2 'no key "mode.name"; the nearest is model.name' "$rookery" train --set mode.name=cnn
    expect 2 'model.name = cnm: .*valid: .*cnn' "$rookery" train --set model.name=cnm
    expect 2 'average.codec' "$rookery" train --set average.codec=int4
    expect 2 'KEY=VALUE' "$rookery" train --set passes
    expect 2 'no preset "ravnets"' "$rookery" train --preset ravnets
    expect 2 'needs --nodes' "$rookery" train --listen tcp://127.0.0.1:5600
    expect 2 'needs --listen' "$rookery" train --nodes 2
    expect 2 'needs --join' "$rookery" node
    expect 2 '--speed 2: a number from' "$rookery" node --join tcp://127.0.0.1:5600 --speed 2
    expect 2 'needs RUN_DIR' "$rookery" eval
    expect 2 'needs --input' "$rookery" predict run
    expect 2 'no benchmark "speed"; valid: gemm, layer, train, allreduce, hop' "$rookery" bench speed
    [ ! -e runs ]
}

# zpl LINE...: run.zpl
zpl () { printf '%s\n' "$@" >run.zpl; }

case_wrong_run_file () {
    expect 2 'none.zpl: No such file' "$rookery" plan none.zpl
    expect 2 'none.zpl: No such file' "$rookery" train none.zpl
    zpl 'run' '    passes = 1' '' '# note' '    pases = 2'
    expect 2 'run.zpl: line 5: no key "run.pases"; the nearest is run.passes' "$rookery" train run.zpl
    zpl 'train' '    batch = many'
    expect 2 'run.zpl: line 2: train.batch: "many" is not allowed' "$rookery" train run.zpl
    zpl 'average' '    graph = toris'
    expect 2 'run.zpl: line 2: average.graph: .*complete' "$rookery" train run.zpl
    zpl 'run' '  passes = 1'
    expect 2 'run.zpl: line 2: indent by 4 spaces' "$rookery" train run.zpl
    zpl 'run' "$(printf '\tpasses = 1')"
    expect 2 'run.zpl: line 2: tabs' "$rookery" train run.zpl
    zpl 'run' '        passes = 1'
    expect 2 'run.zpl: line 2: indented deeper' "$rookery" train run.zpl
    zpl 'run' '    dir = "half'
    expect 2 'run.zpl: line 2: the quote is not closed' "$rookery" train run.zpl
    zpl 'run' '    passes 1'
    expect 2 'run.zpl: line 2: "=" is expected' "$rookery" train run.zpl
    zpl 'fleet' '    node' '        name = a' '        sped = 1'
    expect 2 'run.zpl: line 4: no key "fleet.node.sped"; a node has name, speed and ram_mb' "$rookery" train run.zpl
    zpl 'fleet' '    node' '        name = a' '        speed = 7'
    expect 2 'run.zpl: line 2: fleet.node: .*speed' "$rookery" train run.zpl
    head -c 4096 /dev/zero >run.zpl
    expect 2 'zero byte' "$rookery" train run.zpl
    head -c 4096 /dev/urandom | tr '\000' x >run.zpl
    expect 2 'run.zpl: line' "$rookery" train run.zpl
    [ ! -e runs ]
}

# ---- runs that cannot be: exit 1
case_bad_data () {
    [ -e "$fashion/t10k-images-idx3-ubyte.gz" ] || exit 77
    local run=("$rookery" train --quiet --set data.path=data --set run.dir=run)
    expect 1 'data: neither train-images-idx3-ubyte' "${run[@]}"
    mkdir data
    cp "$fashion"/*.gz data
    truncate -s 1000000 data/train-images-idx3-ubyte.gz
    expect 1 'train-images-idx3-ubyte.gz: .*(unexpected|cut|short|end)' "${run[@]}"
    gzip -dc "$fashion/t10k-labels-idx1-ubyte.gz" >data/train-images-idx3-ubyte
    rm data/train-images-idx3-ubyte.gz
    expect 1 'train-images-idx3-ubyte: .*(magic|0801|2049)' "${run[@]}"
    [ ! -e run ] || fail "a run folder was left behind: $(ls run)"
}

# Values that a step of this size overshoots each time by more, whatever the processor: a thousand steps fit in no float.
case_not_finite () {
    mkdir data
    awk 'BEGIN { print "a,y"; for (i = 0; i < 160; i++) print i / 160 "," i % 7 }' | tee data/train.csv >data/test.csv
    wild=(--model mlp-mse --set data.name=csv --set data.path=data --set data.labels=values --quiet)
    wild+=(--set train.lr=1000 --set train.batch=8 --passes 3 --set fleet.layout=2,2)
    expect 1 'minibatch [0-9]* of pass 1: layer (fc[0-9]|loss)' "$rookery" train "${wild[@]}" --set run.dir=stopped
    [ -z "$(ls stopped/checkpoint-* 2>/dev/null)" ] || "$rookery" eval stopped --json --quiet >eval.json # never one with a NaN
    "$rookery" train "${wild[@]}" --set train.nonfinite=skip --set run.dir=skipped --json >out 2>err
    [ "$(field out skipped)" -gt 0 ] || fail "nothing was skipped"
    grep -q 'SKIPPED minibatch=' err
    head -1 skipped/metrics.csv | grep -q ',skipped$'
    # clipping tames it
    "$rookery" train "${wild[@]}" --set train.clip=0.0001 --set run.dir=clipped --json >out 2>err
    [ "$(field out skipped)" = 0 ]
}

case_impossible_plan () {
    expect 1 'does not fit: .*lacks [0-9]+ MB for layers' "$rookery" train --quiet --set 'fleet.node=a 1 10' --set run.dir=run
    expect 1 'lacks [0-9]+ MB' "$rookery" plan --set 'fleet.node=a 1 20,b 1 20' --set fleet.layout=2
    [ ! -e run ]
}

# A fleet of machines that are not here: planned, or refused in one sentence that says what is wrong.
case_fleet_file () {
    local plan=("$rookery" plan --model mlp-tiny --set data.name=synthetic --fleet)
    bad () { # SENTENCE LINES...
        local sentence=$1
        shift
        printf '%s\n' "$@" >bad.zpl
        expect 2 "$sentence" "${plan[@]}" bad.zpl
    }
    printf '%s\n' 'node = a 4 800 4' 'node = b 2 400 4' 'node = c 1 200 2' 'link = a b 100 20' >fleet.zpl
    "${plan[@]}" fleet.zpl >out
    grep -q '^cluster 0: ' out && grep -q '^cluster 0 waits for ' out && grep -q '^predicted: [1-9]' out
    [ "$(awk 'length > 80' out | wc -l)" = 0 ] || fail "a line of more than 80 columns"
    grep -q '^simulated: [1-9]' out && grep -q 'idle *[0-9]*%' out
    "${plan[@]}" fleet.zpl --set plan.planner=exact --json --svg plan.svg >out
    grep -q '"predicted":' out && grep -q '"simulated":{.*"idle":\[[0-9.,]*\]' out
    head -c 4 plan.svg | grep -q '<svg' && tail -n 1 plan.svg | grep -qx '</svg>'
    [ "$(grep -c 'class="head">cluster ' plan.svg)" = "$(grep -o '"in_flight"' out | wc -l)" ] || fail "not every cluster is drawn"
    expect 1 'no-such-folder/x.svg' "${plan[@]}" fleet.zpl --svg no-such-folder/x.svg
    bad 'node a has speed 0' 'node = a 0 100'
    bad 'node a has speed -1' 'node = a -1 100'
    bad 'node a has -5 MB' 'node = a 1 -5'
    bad 'node a has 0 cores' 'node = a 1 100 0'
    bad 'two nodes are called a' 'node = a 1 100' 'node = a 1 200'
    bad 'no node before it is called b' 'node = a 1 100' 'link = a b 10 1'
    bad 'no node before it is called x' 'node = a 1 100' 'link = x a 10 1'
    bad 'leads from a node to itself' 'node = a 1 100' 'link = a a 10 1'
    bad 'has 0 Mbit/s and 1 ms; both must be above 0' 'node = a 1 100' 'node = b 1 100' 'link = a b 0 1'
    bad 'has 10 Mbit/s and -1 ms; both must be above 0' 'node = a 1 100' 'node = b 1 100' 'link = a b 10 -1'
    bad 'node a has speed nan' 'node = a nan 100'
    bad 'NAME SPEED RAM_MB' 'node = a'
    bad 'valid: node link' 'nod = a 1 100'
    bad 'no node; a line for each' '# nobody'
    # one node, and more of them than layers
    echo 'node = alone 1 400' >one.zpl
    "${plan[@]}" one.zpl >out
    grep -q '^cluster 0 waits for alone' out
    for i in $(seq 20); do echo "node = n$i 1 400"; done >many.zpl
    "${plan[@]}" many.zpl >out
    grep -q '^predicted: [1-9]' out
    expect 2 'cluster 0 of 20 stages, the model has [0-9]+ layers' "${plan[@]}" many.zpl --set fleet.layout=20
    plan=("$rookery" plan --model cnn --set data.name=synthetic --fleet)
    bad 'lacks [0-9]+ MB|short by [0-9]+ MB' 'node = a 1 10'
    bad 'lacks [0-9]+ MB|short by [0-9]+ MB' 'node = a 1 10' 'node = b 2 12' 'node = c 1 8'
    expect 2 'none.zpl: No such file' "${plan[@]}" none.zpl
}

case_port_in_use () {
    # the first one keeps the port while it waits for a node
    "$rookery" train --model mlp-tiny --listen 'tcp://127.0.0.1:*' --nodes 1 --set run.dir=first >out 2>err &
    holder=$!
    until grep -q 'waiting for 1 node' err 2>/dev/null; do
        kill -0 $holder || fail "$(cat err)"
        sleep 0.05
    done
    endpoint=$(grep -o 'tcp://127.0.0.1:[0-9]*' err)
    code=0
    (expect 1 'Address already in use' "$rookery" train "${tiny[@]}" --listen "$endpoint" --nodes 1 --set run.dir=second) || code=1
    kill -INT $holder
    for _ in $(seq 200); do
        kill -0 $holder 2>/dev/null || break
        sleep 0.05
    done
    kill -INT $holder 2>/dev/null || true # asked twice it leaves at once
    wait $holder || true
    [ $code = 0 ] && [ ! -e second ]
}

case_not_loopback () {
    expect 1 '0.0.0.0.*--insecure' "$rookery" train --insecure "${tiny[@]}" --listen tcp://0.0.0.0:5601 --nodes 1 --set run.dir=run
    expect 1 '192.0.2.1.*--insecure' "$rookery" node --insecure --join tcp://192.0.2.1:5601
}

case_bad_run_folder () {
    expect 1 'none' "$rookery" eval none
    "$rookery" train "${tiny[@]}" --set run.dir=run >out 2>err
    expect 1 'holds another run' "$rookery" train "${tiny[@]}" --set run.dir=run
    latest=$(ls run/checkpoint-* | tail -1)
    cp "$latest" good
    for size in 0 4 100 10000; do # cut short
        head -c $size good >"$latest"
        expect 0 "CHECKPOINT-DAMAGED $latest.*the one before it is taken" "$rookery" eval run --quiet
        expect 1 "$latest" "$rookery" eval run --quiet --checkpoint "$latest"
    done
    mkdir old && mv run/checkpoint-* old && cp "$latest" run 2>/dev/null || cp "old/${latest#run/}" run
    expect 1 'none of its 1 checkpoints can be read' "$rookery" eval run --quiet
    rm run/checkpoint-* && mv old/* run
    cp good "$latest"
    "$rookery" eval run --quiet >out
    sed -i 's/mlp-tiny/cnn-tiny/' run/settings.zpl
    expect 1 'has no conv[12].weight' "$rookery" eval run --quiet
    expect 1 'has no conv[12].weight' "$rookery" train "${tiny[@]}" --model cnn-tiny --from run --set run.dir=other
    rm run/checkpoint-*
    expect 1 'no checkpoint' "$rookery" eval run --quiet
}

# A full disc: training goes on to its end, every save that fails says why, and the run fails with its last one; the
# checkpoint that was there stays as it was, nothing half-written remains.
case_full_disc () {
    mkdir disc
    mount -t tmpfs -o size=4m none disc 2>/dev/null || exit 77
    trap 'umount "$PWD/disc"' EXIT
    code=0
    timeout 200 "$rookery" train "${tiny[@]}" --passes 30 --json --set run.dir=disc/run >out 2>err &
    pid=$!
    until ls disc/run/checkpoint-*.safetensors >/dev/null 2>&1 || ! kill -0 $pid 2>/dev/null; do sleep 0.02; done
    # again and again: a save that fails gives back what it had written of its file
    while kill -0 $pid 2>/dev/null; do
        dd if=/dev/zero of=disc/filler bs=1k oflag=append conv=notrunc 2>/dev/null || true
        sleep 0.02
    done
    wait $pid || code=$?
    [ $code = 1 ] || fail "exit code $code: $(cat err)"
    grep -q 'NOT-SAVED.*No space left' err || fail "$(cat err)"
    grep -q 'the last checkpoint was not written.*No space left' err || fail "$(cat err)"
    [ "$(grep -c NOT-SAVED err)" -gt 3 ] || fail "$(cat err)"
    grep -q '"event":"done".*"passes":30,' out || fail "what was trained is not told: $(tail -n 3 out)"
    [ "$(tail -n 1 out | grep -c '"event":"failed","reason":"the last checkpoint was not written')" = 1 ] || fail "$(tail -n 1 out)"
    ! ls disc/run/*.tmp.* 2>/dev/null || fail 'a half-written file is left'
    rm disc/filler
    "$rookery" eval disc/run --quiet | grep -q 'test accuracy'
}

for name in help train_and_read_back plan_is_replayed run_file predict values not_finite bench interrupt_saves wrong_use wrong_run_file \
    bad_data impossible_plan fleet_file port_in_use not_loopback bad_run_folder full_disc; do
    run_case $name case_$name
done
finish
