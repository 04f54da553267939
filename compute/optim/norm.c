/* SPDX-License-Identifier: MPL-2.0 */
#include "compute/optim/norm.h"

#include <math.h>

#include "compute/kernels/vec.h"

double rk_sum_of_squares (size_t n, const float *x)
{
    double sums[2];
    rk_vec ()->moments ((rk_planes_t) {.n = 1, .size = n, .stride = n}, x, 0, sums);
    return sums[1];
}

double rk_grad_sum_of_squares (const rk_model_t *model, int first, int last, const float *grads, double below,
                               size_t *bad)
{
    const size_t base = rk_model_flat_at (model, first);
    double sum = below;
    for (size_t p = rk_model_n_tensors (model); p-- > 0;) {
        const rk_param_t *param = rk_model_param (model, p);
        if (!param->trainable || param->layer < first || param->layer >= last)
            continue;
        const bool was_finite = isfinite (sum);
        sum += rk_sum_of_squares (param->count, grads + param->offset - base);
        if (was_finite && !isfinite (sum))
            *bad = p;
    }
    return sum;
}
