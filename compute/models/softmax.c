/* SPDX-License-Identifier: MPL-2.0
 * Softmax regression: one linear layer. Its loss is convex, so theory about convex problems can be tried on it. */
#include "compute/models/models.h"

void rk_model_build_softmax (rk_model_t *m, size_t n_classes)
{
    const int flat = rk_model_flatten (m, "flatten", 0);
    rk_model_softmax_xent (m, "loss", rk_model_linear (m, "fc", flat, n_classes, true));
}
