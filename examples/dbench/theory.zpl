# SPDX-License-Identifier: MPL-2.0
# Ravnest's theory on a noisy quadratic: clusters C, averaging every H, gradients T updates late; the step is sqrt (C) of
# that of one cluster. Minutes.
run.passes = 16
model.name = quadratic
train
    batch = 1
    lr = 0.015625
    momentum = 0
    schedule = constant
dbench
    dimension = 64
    curvature = 1
    noise = 1
    lr_rule = sqrt
    lr_batch = 1
    probe_every = 64
grid
    average.graph = complete
    average.every = 1, 8, 64
    dbench.delay = 0, 3, 32
    dbench.replicas = 1, 2, 4, 8
    run.seed = 1, 2, 3
