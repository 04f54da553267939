/* SPDX-License-Identifier: MPL-2.0
 * Looking at a stack: how far the norms of every tensor spread over replicas (ada.md §1.5), in double; and tests. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cluster/dispersion.h"
#include "cluster/stack/cell_parts.h"

#define RECALIBRATION_BATCHES 200

rk_err_t rk_cell_look_new (rk_cell_look_t *look, const rk_stack_t *stack, rk_error_t *err)
{
    const size_t n = rk_stack_n (stack), p = rk_stack_n_tensors (stack);
    *look = (rk_cell_look_t){.n = n, .n_tensors = p};
    look->norms = calloc (n * p + 2 * n + p * (3 + 2 * RK_CELL_N_METRICS), sizeof *look->norms);
    if (!look->norms)
        return rk_error_set (err, RK_ENOMEM, "no memory for the norms of %zu tensors of %zu replicas", p, n);
    double *at = look->norms + n * p;
    look->values = at, at += n;
    look->sorted = at, at += n;
    look->mean = at, at += p;
    for (int when = 0; when < 2; when++) {
        look->square[when] = at, at += p;
        for (int m = 0; m < RK_CELL_N_METRICS; m++)
            look->metric[when][m] = at, at += p;
    }
    return RK_OK;
}

void rk_cell_look_free (rk_cell_look_t *look)
{
    free (look->norms);
    look->norms = NULL;
}

void rk_cell_look (rk_cell_look_t *look, rk_stack_t *stack, int when)
{
    rk_stack_probe (stack, look->norms, look->square[when]);
    for (size_t p = 0; p < look->n_tensors; p++) {
        for (size_t i = 0; i < look->n; i++)
            look->values[i] = look->norms[i * look->n_tensors + p];
        const rk_dispersion_t all = rk_dispersion_of ((uint32_t) look->n, look->values, look->sorted);
        if (when == 0)
            look->mean[p] = all.mean;
        look->metric[when][RK_CELL_GINI][p] = all.gini;
        look->metric[when][RK_CELL_DISPERSION][p] = all.index;
        look->metric[when][RK_CELL_CV][p] = all.variation;
        look->metric[when][RK_CELL_QUARTILE][p] = all.quartile;
    }
}

/* ---- tests */
static double s_accuracy (const rk_loss_t *loss)
{
    return loss->n_counted ? (double) loss->n_correct / (double) loss->n_counted : 0;
}

static rk_err_t s_test_replicas (const rk_cell_t *cell, rk_stack_t *stack, rk_cell_pass_t *out, rk_error_t *err)
{
    const uint32_t n = cell->centralised ? 1 : cell->n, looked = n < cell->eval_replicas ? n : cell->eval_replicas;
    double square = 0;
    out->accuracy_least = 1;
    for (uint32_t k = 0; k < looked; k++) {
        rk_loss_t loss;
        const float *row = rk_stack_row (stack, (uint32_t) ((uint64_t) k * n / looked));
        rk_err_t code = rk_stack_evaluate (stack, row, cell->eval_samples, &loss, err);
        if (code)
            return code;
        const double accuracy = s_accuracy (&loss);
        out->accuracy += accuracy / looked;
        square += accuracy * accuracy / looked;
        out->loss += loss.loss_sum / (double) (loss.n_counted ? loss.n_counted : 1) / looked;
        out->accuracy_least = fmin (out->accuracy_least, accuracy);
        out->accuracy_most = fmax (out->accuracy_most, accuracy);
    }
    const double variance = square - out->accuracy * out->accuracy;
    out->accuracy_deviation = variance > 0 ? sqrt (variance) : 0;
    return RK_OK;
}

rk_err_t rk_cell_test (const rk_cell_t *cell, rk_stack_t *stack, float *flat, rk_cell_pass_t *out, rk_error_t *err)
{
    rk_loss_t loss;
    rk_err_t code = s_test_replicas (cell, stack, out, err);
    if (code)
        return code;
    rk_stack_mean (stack, flat);
    code = rk_stack_recalibrate (stack, flat, out->pass, RECALIBRATION_BATCHES, err);
    if (!code)
        code = rk_stack_evaluate (stack, flat, cell->eval_samples, &loss, err);
    if (code)
        return code;
    out->mean_accuracy = s_accuracy (&loss);
    out->mean_loss = loss.loss_sum / (double) (loss.n_counted ? loss.n_counted : 1);
    return RK_OK;
}
