# SPDX-License-Identifier: MPL-2.0
# Findings 1 to 3: quality against scale, connections and spectrum, spread against quality; three applications, every
# host with the same learning rate at a scale. A pass has the same samples at every scale, so steps fall as n grows.
run.passes = 4
train
    batch = 8
    lr = 0.01
    momentum = 0.9
    schedule = cosine
    warmup = 20
dbench
    lr_batch = 64
    probe_every = 20
    eval_samples = 2000
    jitter = 0.1
grid
    model.name = softmax, mlp-tiny, lenet5
    run.seed = 1, 2, 3
    dbench.replicas = 96, 8, 24, 48
    average.graph = complete dbench.centralised=on, complete, exponential, torus, ring, lattice degree=4, ada k0=10 gamma=2
    dbench.lr_rule = linear
