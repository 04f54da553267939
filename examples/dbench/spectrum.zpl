# SPDX-License-Identifier: MPL-2.0
# Connections or spectrum? Hosts of equal degree and different spectrum; Ada against closed loop, spread links and
# mixed radix, each by the way that sends least; dense early, dense late and uniform at the same mean degree. What a
# final merge would give is the accuracy of the mean model.
run.passes = 4
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
    probe_every = 5
    jitter = 0.1
    exchange = cheapest
grid
    model.name = mlp-tiny, lenet5
    run.seed = 1, 2, 3
    average.graph = ada k0=16 gamma=4, mixed-radix group=6, complete dbench.centralised=on, ada k0=4 gamma=-4 degree=16 label=dense-late, lattice degree=10 label=uniform, ada-spread k0=16 gamma=4, ada k0=16 degree=16 control=on control_settle=5, ada-spread k0=16 degree=16 control=on control_settle=5, lattice degree=4, torus, spread degree=4, lattice degree=8, spread degree=8, one-peer-exponential, ring global_every=20
