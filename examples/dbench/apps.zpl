# SPDX-License-Identifier: MPL-2.0
# The two large applications, a few steps: resnet20 on Fashion-MNIST (25 steps, 1,600 samples) and lstm-lm on real text (12
# steps; bible -f Gen1:1-Rev22:21 > kjv.txt, Debian package bible-kjv; its 512 most frequent words), n = 8, 2 seeds.
run.passes = 1
train
    momentum = 0.9
    schedule = cosine
    warmup = 5
dbench
    replicas = 8
    steps = 25
    probe_every = 10
    eval_replicas = 2
    eval_samples = 400
    jitter = 0.1
grid
    run.seed = 1, 2
    model.name = resnet20 train.batch=8 train.lr=0.05, lstm-lm data.name=text data.path=kjv.txt data.sequence=16 data.vocabulary=512 train.batch=4 train.lr=0.5 dbench.eval_samples=50 dbench.steps=12
    average.graph = complete dbench.centralised=on, ada k0=6 gamma=1, exponential, ring
