# SPDX-License-Identifier: MPL-2.0
# The large one: 1,008 replicas of mlp with momentum, 4.3 GB; batch 1 (59 steps a pass) and batch 4 (14); k0 = 112 falls to
# 24 over three passes. A lattice's rows are formed as windows, within 1e-6 of the sums over neighbours.
run.passes = 3
model.name = mlp
train
    lr = 0.02
    momentum = 0.9
    schedule = cosine
    warmup = 10
dbench
    replicas = 1008
    lr_batch = 64
    lr_rule = sqrt
    probe_every = 59
    eval_replicas = 8
    eval_samples = 1000
    jitter = 0.1
    mixing = auto
    exchange = cheapest
grid
    train.batch = 1, 4
    average.graph = complete dbench.centralised=on, ada k0=112 gamma=44
