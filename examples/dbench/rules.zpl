# SPDX-License-Identifier: MPL-2.0
# Does the ranking of hosts depend on how the learning rate is scaled? (ada.md leaves the paper's rule open.)
run.passes = 4
model.name = softmax
train
    batch = 8
    lr = 0.01
    momentum = 0.9
    schedule = cosine
    warmup = 20
dbench
    replicas = 96
    lr_batch = 64
    probe_every = 20
    jitter = 0.1
grid
    average.graph = complete dbench.centralised=on, exponential, torus, ring, ada k0=10 gamma=2
    run.seed = 1, 2, 3
    dbench.lr_rule = none, sqrt, linear, graph
