# SPDX-License-Identifier: MPL-2.0
# Ada at n = 1,008: the preset k0 = 112 (unverified, ada.md 3.1) falls to 24, over 12 passes instead of 90 (8 connections a
# pass instead of 1); batch 1, 59 steps a pass, against centralised training and its rivals; softmax regression, 5 seeds.
run.passes = 12
model.name = softmax
train
    batch = 1
    lr = 0.02
    momentum = 0.9
    schedule = cosine
    warmup = 59
dbench
    replicas = 1008
    lr_batch = 64
    lr_rule = sqrt
    probe_every = 59
    eval_replicas = 16
    eval_samples = 0
    jitter = 0.1
    exchange = cheapest
grid
    average.graph = complete dbench.centralised=on, ada k0=112 gamma=8, mixed-radix group=14, exponential, ring, ada-spread k0=112 gamma=8, torus
    run.seed = 1, 2, 3, 4, 5
