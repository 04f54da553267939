/* SPDX-License-Identifier: MPL-2.0
 * Multi-layer perceptrons. The input of any shape is flattened first.                                */
#include <stdio.h>

#include "compute/models/models.h"

typedef int (s_loss_t) (rk_model_t *m, const char *name, int in);

static void s_build (rk_model_t *m, size_t n_hidden, const size_t *hidden, size_t n_outputs, s_loss_t *loss)
{
    int t = rk_model_flatten (m, "flatten", 0);
    char name[32];
    for (size_t i = 0; i < n_hidden; i++) {
        snprintf (name, sizeof name, "fc%zu", i + 1);
        t = rk_model_linear (m, name, t, hidden[i], true);
        snprintf (name, sizeof name, "relu%zu", i + 1);
        t = rk_model_relu (m, name, t);
    }
    snprintf (name, sizeof name, "fc%zu", n_hidden + 1);
    t = rk_model_linear (m, name, t, n_outputs, true);
    loss (m, "loss", t);
}

void rk_model_build_mlp (rk_model_t *m, size_t n_classes)
{
    s_build (m, 2, (const size_t[]) {512, 256}, n_classes, rk_model_softmax_xent);
}

void rk_model_build_mlp_tiny (rk_model_t *m, size_t n_classes)
{
    s_build (m, 2, (const size_t[]) {20, 12}, n_classes, rk_model_softmax_xent);
}

/* ---- of values, not classes: a table's regression, and yes or no for each */

void rk_model_build_mlp_mse (rk_model_t *m, size_t n_values)
{
    s_build (m, 2, (const size_t[]) {128, 64}, n_values, rk_model_mse);
}

void rk_model_build_mlp_bce (rk_model_t *m, size_t n_values)
{
    s_build (m, 2, (const size_t[]) {128, 64}, n_values, rk_model_bce);
}
