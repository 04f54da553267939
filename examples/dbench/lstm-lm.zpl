# SPDX-License-Identifier: MPL-2.0
# lstm-lm (7.4 M parameters) on real text (kjv.txt: bible -f Gen1:1-Rev22:21, Debian package bible-kjv; its 512 most frequent
# words), n = 8, 20 steps: as far as minutes of one core go.
run.passes = 1
model.name = lstm-lm
data
    name = text
    path = kjv.txt
    sequence = 16
    vocabulary = 512
train
    batch = 4
    lr = 1
    momentum = 0.9
    schedule = constant
dbench
    replicas = 8
    steps = 20
    probe_every = 10
    eval_replicas = 2
    eval_samples = 50
    jitter = 0.1
grid
    run.seed = 1
    average.graph = complete dbench.centralised=on, ring, exponential
