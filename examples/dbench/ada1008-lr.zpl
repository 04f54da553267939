# SPDX-License-Identifier: MPL-2.0
# ada1008.zpl with the learning rate of 64 samples a step as it is, 0.02 instead of 0.079, so that replicas are less apart.
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
    probe_every = 59
    eval_replicas = 16
    eval_samples = 2000
    jitter = 0.1
    exchange = cheapest
    mixing = auto
grid
    average.graph = complete dbench.centralised=on, ada k0=112 gamma=8, mixed-radix group=14, ada-spread k0=112 gamma=8
    run.seed = 1, 2, 3, 4, 5
