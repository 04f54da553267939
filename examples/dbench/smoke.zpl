# SPDX-License-Identifier: MPL-2.0
# A minute of everything that a benchmark shows: two small applications, six hosts, two scales, two seeds.
run
    passes = 4
data
    name = synthetic-digits
train
    batch = 4
    lr = 0.05
    momentum = 0.9
    schedule = step
    step_every = 60
    step_gamma = 0.2
dbench
    steps = 20
    probe_every = 2
    lr_batch = 32
    jitter = 0.1
grid
    model.name = mlp-tiny, cnn-tiny
    average.graph = complete dbench.centralised=on, complete, exponential, torus, ring, ada k0=8 gamma=2
    dbench.replicas = 8, 16
    run.seed = 1, 2
    dbench.lr_rule = linear
