# SPDX-License-Identifier: MPL-2.0
# Why well-connected graphs did not win in spectrum.zpl: the same hosts with local momentum 0.9, with momentum mixed by the
# same W ("synced"), and without momentum at ten times the learning rate ("plain"), the same step in the long run.
run.passes = 4
model.name = mlp-tiny
train
    batch = 8
    lr = 0.01
    momentum = 0.9
    schedule = cosine
    warmup = 20
dbench
    replicas = 96
    lr_rule = linear
    lr_batch = 64
    probe_every = 20
    jitter = 0.1
grid
    run.seed = 1, 2, 3
    average.graph = complete dbench.centralised=on label=C_local, complete dbench.centralised=on train.momentum=0 train.lr=0.1 label=C_plain, lattice degree=8 label=lattice-8_local, lattice degree=8 train.momentum=0 train.lr=0.1 label=lattice-8_plain, lattice degree=8 optimizer_state=on label=lattice-8_synced, spread degree=8 label=spread-8_local, spread degree=8 train.momentum=0 train.lr=0.1 label=spread-8_plain, spread degree=8 optimizer_state=on label=spread-8_synced, exponential label=exponential_local, exponential train.momentum=0 train.lr=0.1 label=exponential_plain, exponential optimizer_state=on label=exponential_synced, torus label=torus_local, torus train.momentum=0 train.lr=0.1 label=torus_plain, torus optimizer_state=on label=torus_synced
