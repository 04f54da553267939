# SPDX-License-Identifier: MPL-2.0
# Connections or spectrum? Hosts of equal degree and different spectrum; Ada against closed loop, spread links and
# mixed radix; what each sends is in the cost table. With and without a final merge.
run.passes = 4
model.name = lenet5
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
    probe_every = 2
    jitter = 0.1
grid
    average.graph = complete dbench.centralised=on, lattice degree=4, torus, spread degree=4, lattice degree=8, spread degree=8, ada k0=16 gamma=4, ada-spread k0=16 gamma=4, ada k0=16 degree=16 control=on control_settle=5, ada-spread k0=16 degree=16 control=on control_settle=5, mixed-radix group=6, one-peer-exponential, ring global_every=20
    run.seed = 1, 2, 3
    dbench.final_merge = off, on
