# SPDX-License-Identifier: MPL-2.0
# Replicas with unlike data, a few classes each: Dirichlet (0.1) shards. Dense early against dense late and uniform at the
# same mean degree, what a final merge saves (the mean model's accuracy), quasi-global momentum, gradient tracking.
run.passes = 4
model.name = mlp-tiny
data
    shard = dirichlet
    alpha = 0.1
train
    batch = 8
    lr = 0.01
    momentum = 0.9
    schedule = cosine
    warmup = 20
dbench
    replicas = 48
    lr_rule = sqrt
    lr_batch = 64
    probe_every = 20
    jitter = 0.1
grid
    run.seed = 1, 2, 3
    average.graph = complete dbench.centralised=on, ada k0=16 gamma=4, ada k0=4 gamma=-4 degree=16 label=dense-late, lattice degree=10 label=uniform, exponential, ring, ring momentum=quasi-global, exponential momentum=quasi-global, ring tracking=on train.momentum=0 train.lr=0.1 label=ring-tracking, ring train.momentum=0 train.lr=0.1 label=ring-no-momentum
