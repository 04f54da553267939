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

/* Tensors of the model before layer `last`. */
static size_t s_end (const rk_model_t *model, int last)
{
    size_t end = rk_model_n_tensors (model);
    while (end > 0 && rk_model_param (model, end - 1)->layer >= last)
        end--;
    return end;
}

size_t rk_grad_squares (const rk_model_t *model, int first, int last, const float *grads, double *squares)
{
    const size_t base = rk_model_flat_at (model, first);
    size_t n = 0;
    for (size_t p = s_end (model, last); p > 0 && rk_model_param (model, p - 1)->layer >= first; p--) {
        const rk_param_t *param = rk_model_param (model, p - 1);
        squares[n++] = param->trainable ? rk_sum_of_squares (param->count, grads + param->offset - base) : 0;
    }
    return n;
}

double rk_add_squares (double above, size_t n, const double *squares, size_t *bad)
{
    double sum = above;
    for (size_t i = 0; i < n; i++) {
        if (bad && isfinite (sum) && !isfinite (sum + squares[i]))
            *bad = i;
        sum += squares[i];
    }
    return sum;
}

const rk_param_t *rk_grad_squares_param (const rk_model_t *model, int last, size_t at)
{
    return rk_model_param (model, s_end (model, last) - 1 - at);
}
