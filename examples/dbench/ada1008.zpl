# SPDX-License-Identifier: MPL-2.0
# Ada at n = 1,008 with the preset k0 = 112 falling by 1 a pass to 23 (unverified, ada.md 3.1), batch 1, 59 steps a pass,
# against centralised training and its rivals; softmax regression, 5 seeds.
run.passes = 90
model.name = softmax
train
    batch = 1
    lr = 0.02
    momentum = 0.9
    schedule = cosine
    warmup = 100
dbench
    replicas = 1008
    lr_batch = 64
    lr_rule = sqrt
    probe_every = 59
    eval_replicas = 16
    jitter = 0.1
grid
    average.graph = complete dbench.centralised=on, ada k0=112 gamma=1, ada-spread k0=112 gamma=1, mixed-radix group=14, exponential, torus, ring
    run.seed = 1, 2, 3, 4, 5
