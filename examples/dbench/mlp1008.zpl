# SPDX-License-Identifier: MPL-2.0
# The large one: 1,008 replicas of mlp with momentum, 4.3 GB; batch 1 (59 steps a pass) and batch 4 (14).
run.passes = 10
model.name = mlp
train
    lr = 0.02
    momentum = 0.9
    schedule = cosine
    warmup = 30
dbench
    replicas = 1008
    lr_batch = 64
    lr_rule = sqrt
    probe_every = 59
    eval_replicas = 8
    eval_samples = 1000
    jitter = 0.1
grid
    train.batch = 1, 4
    average.graph = complete dbench.centralised=on, ada k0=112 gamma=10 k_min=23
