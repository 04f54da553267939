/* SPDX-License-Identifier: MPL-2.0
 * A small network whose tensors are read by many later layers, in the manner of DenseNet: every cut is
 * crossed by several tensors, one of them the model's own input, and gradients have up to five terms.
 * What pipelines with skip tensors are tested on.                                                     */
#include <stdio.h>

#include "compute/models/models.h"

#define N_BLOCKS 4

void rk_model_build_dense_tiny (rk_model_t *m, size_t n_classes)
{
    const size_t width = 24;
    char name[32];
    int made[N_BLOCKS + 1];
    int flat = rk_model_flatten (m, "flatten", 0);
    made[0] = rk_model_linear (m, "stem", flat, width, true);
    for (int b = 1; b <= N_BLOCKS; b++) {
        snprintf (name, sizeof name, "block%d.relu", b);
        int t = rk_model_relu (m, name, made[b - 1]);
        snprintf (name, sizeof name, "block%d.fc", b);
        t = rk_model_linear (m, name, t, width, true);
        for (int earlier = 0; earlier < b; earlier++) {
            snprintf (name, sizeof name, "block%d.add%d", b, earlier);
            t = rk_model_add (m, name, t, made[earlier]);
        }
        made[b] = t;
    }
    int t = rk_model_dropout (m, "dropout", made[N_BLOCKS], 0.1f);
    int again = rk_model_linear (m, "input", flat, width, false);
    t = rk_model_add (m, "join", t, again);
    t = rk_model_linear (m, "fc", t, n_classes, true);
    rk_model_softmax_xent (m, "loss", t);
}
