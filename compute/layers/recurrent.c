/* SPDX-License-Identifier: MPL-2.0 */
#include "compute/layers/recurrent.h"

#include <math.h>
#include <string.h>

#include "compute/blas.h"

#define GATES 4
#define RUN 128 /* units of a task */

enum { WEIGHT_IH, WEIGHT_HH, BIAS_IH, BIAS_HH };

/* Everything is time-major: (S, n, ..). h and state have one step more, the first is zero. */
typedef struct {
    const rk_cell_t *cell;
    const rk_layer_call_t *call;
    size_t n, steps, n_in, n_hidden;
    float *x, *gates, *h, *state;          /* in save */
    float *bias, *dh, *carry, *dx;         /* in work */
    size_t step;
} s_run_t;

static s_run_t s_layout (const rk_cell_t *cell, const rk_layer_call_t *call)
{
    const rk_layer_t *layer = call->layer;
    s_run_t r = {.cell = cell, .call = call, .n = call->n, .steps = layer->in_shape[0].dim[0],
                 .n_in = layer->in_shape[0].dim[1], .n_hidden = layer->config.channels};
    const size_t rows = r.n * r.steps, wide = r.n * r.n_hidden;
    r.x = call->save;
    r.gates = r.x + rows * r.n_in;
    r.h = r.gates + rows * GATES * r.n_hidden;
    r.state = cell->has_state ? r.h + (r.steps + 1) * wide : r.h;
    r.bias = call->work;
    r.dh = r.bias + GATES * r.n_hidden;
    r.carry = r.dh + wide;
    r.dx = r.carry + wide;
    return r;
}

rk_err_t rk_recurrent_infer (const rk_cell_t *cell, rk_layer_t *layer, rk_error_t *err)
{
    char text[RK_SHAPE_TEXT];
    const rk_shape_t in = layer->in_shape[0];
    const size_t n_hidden = layer->config.channels;
    if (in.n_dims != 2)
        return rk_error_set (err, RK_ESHAPE, "input %s is not (steps, features)", rk_shape_text (in, text));
    if (n_hidden == 0 || n_hidden > RK_MAX_ELEMS / GATES)
        return rk_error_set (err, RK_EINVAL, "%zu hidden units", n_hidden);
    layer->shape = rk_shape_2 (in.dim[0], n_hidden);
    const float bound = 1.0f / sqrtf ((float) n_hidden);
    const size_t rows = cell->n_blocks * n_hidden;
    layer->param[WEIGHT_IH] = (rk_param_spec_t) {"weight_ih_l0", {2, {rows, in.dim[1]}}, true, RK_INIT_UNIFORM, bound};
    layer->param[WEIGHT_HH] = (rk_param_spec_t) {"weight_hh_l0", {2, {rows, n_hidden}}, true, RK_INIT_UNIFORM, bound};
    layer->param[BIAS_IH] = (rk_param_spec_t) {"bias_ih_l0", {1, {rows}}, true, RK_INIT_UNIFORM, bound};
    layer->param[BIAS_HH] = (rk_param_spec_t) {"bias_hh_l0", {1, {rows}}, true, RK_INIT_UNIFORM, bound};
    layer->n_params = 4;
    return RK_OK;
}

/* ---- between (n, S, width) and (S, n, width) */

typedef struct {
    size_t n, steps, width;
    const float *from;
    float *to;
    bool to_time;
} s_turn_t;

static void s_turn_sample (void *arg, size_t sample, size_t worker)
{
    const s_turn_t *t = arg;
    for (size_t step = 0; step < t->steps; step++) {
        const size_t by_time = (step * t->n + sample) * t->width, by_sample = (sample * t->steps + step) * t->width;
        memcpy (t->to + (t->to_time ? by_time : by_sample), t->from + (t->to_time ? by_sample : by_time),
                t->width * sizeof (float));
    }
}

static void s_turn (const s_run_t *r, size_t width, const float *from, float *to, bool to_time)
{
    s_turn_t turn = {r->n, r->steps, width, from, to, to_time};
    rk_pool_run (r->call->pool, r->n, s_turn_sample, &turn);
}

/* ---- the units of one task at one step */

static rk_vec_cell_t s_cell (const s_run_t *r, size_t sample, size_t unit)
{
    const size_t row = r->step * r->n + sample, at = row * r->n_hidden + unit, next = at + r->n * r->n_hidden;
    return (rk_vec_cell_t) {.stride = r->n_hidden, .gates = r->gates + row * GATES * r->n_hidden + unit,
                            .bias = r->bias + unit, .before = r->state + at, .state = r->state + next, .h = r->h + next};
}

static void s_step_forward (void *arg, size_t task, size_t worker)
{
    const s_run_t *r = arg;
    const size_t wide = r->n_hidden, unit = task * RUN, units = wide - unit < RUN ? wide - unit : RUN;
    const float *weight = rk_layer_param (r->call, WEIGHT_HH), *h = r->h + r->step * r->n * wide;
    float *gates = r->gates + r->step * r->n * GATES * wide;
    for (int p = 0; p < r->cell->n_parts && r->step; p++)
        for (size_t q = 0; q < r->cell->part[p].count; q++) {
            const size_t block = r->cell->part[p].block + q, gate = r->cell->part[p].gate + q;
            rk_gemm (RK_N, RK_T, r->n, units, wide, 1, h, wide, weight + (block * wide + unit) * wide, wide,
                     gate < r->cell->n_blocks ? 1 : 0, gates + gate * wide + unit, GATES * wide);
        }
    for (size_t i = 0; i < r->n; i++) {
        const rk_vec_cell_t cell = s_cell (r, i, unit);
        r->cell->forward (units, &cell);
    }
}

static void s_step_backward (void *arg, size_t task, size_t worker)
{
    const s_run_t *r = arg;
    const size_t wide = r->n_hidden, unit = task * RUN, units = wide - unit < RUN ? wide - unit : RUN;
    const float *weight = rk_layer_param (r->call, WEIGHT_HH);
    const float *after = r->gates + (r->step + 1) * r->n * GATES * wide;
    for (size_t i = 0; i < r->n; i++)
        memcpy (r->dh + i * wide + unit, r->call->gy + (i * r->steps + r->step) * wide + unit, units * sizeof (float));
    for (int p = 0; p < r->cell->n_parts && r->step + 1 < r->steps; p++) {
        const rk_cell_part_t *part = &r->cell->part[p];
        rk_gemm (RK_N, RK_N, r->n, units, part->count * wide, 1, after + part->gate * wide, GATES * wide,
                 weight + part->block * wide * wide + unit, wide, 1, r->dh + unit, wide);
    }
    for (size_t i = 0; i < r->n; i++) {
        rk_vec_cell_t cell = s_cell (r, i, unit);
        cell.h = r->dh + i * wide + unit;
        cell.carry = r->carry + i * wide + unit;
        r->cell->backward (units, &cell);
    }
}

static size_t s_n_tasks (const s_run_t *r)
{
    return (r->n_hidden + RUN - 1) / RUN;
}

/* ---- whole sequences */

/* Both biases of a gate are always added together, except where only one of them belongs to it. */
static void s_add_biases (const s_run_t *r)
{
    const size_t wide = r->n_hidden;
    memset (r->bias, 0, GATES * wide * sizeof (float));
    memcpy (r->bias, rk_layer_param (r->call, BIAS_IH), r->cell->n_blocks * wide * sizeof (float));
    for (int p = 0; p < r->cell->n_parts; p++) {
        const rk_cell_part_t *part = &r->cell->part[p];
        float *to = r->bias + part->gate * wide;
        rk_vec ()->add (part->count * wide, to, rk_layer_param (r->call, BIAS_HH) + part->block * wide, to);
    }
}

void rk_recurrent_forward (const rk_cell_t *cell, const rk_layer_call_t *call)
{
    s_run_t r = s_layout (cell, call);
    const size_t wide = r.n_hidden, rows = r.n * r.steps;
    s_turn (&r, r.n_in, call->x[0], r.x, true);
    rk_gemm_pool (call->pool, &(rk_gemm_t) {.tb = RK_T, .m = rows, .n = cell->n_blocks * wide, .k = r.n_in, .a = r.x,
                                            .lda = r.n_in, .b = rk_layer_param (call, WEIGHT_IH), .ldb = r.n_in,
                                            .c = r.gates, .ldc = GATES * wide});
    s_add_biases (&r);
    memset (r.h, 0, r.n * wide * sizeof (float));
    memset (r.state, 0, r.n * wide * sizeof (float));
    for (size_t i = 0; i < r.n; i++) /* gates without a share of the input begin at zero */
        memset (r.gates + (i * GATES + cell->n_blocks) * wide, 0, (GATES - cell->n_blocks) * wide * sizeof (float));
    for (r.step = 0; r.step < r.steps; r.step++)
        rk_pool_run (call->pool, s_n_tasks (&r), s_step_forward, &r);
    s_turn (&r, wide, r.h + r.n * wide, call->y, false);
}

void rk_recurrent_backward_input (const rk_cell_t *cell, const rk_layer_call_t *call)
{
    s_run_t r = s_layout (cell, call);
    const size_t wide = r.n_hidden;
    memset (r.carry, 0, r.n * wide * sizeof (float));
    for (r.step = r.steps; r.step-- > 0;)
        rk_pool_run (call->pool, s_n_tasks (&r), s_step_backward, &r);
    if (!call->gx[0])
        return;
    rk_gemm_pool (call->pool, &(rk_gemm_t) {.m = r.n * r.steps, .n = r.n_in, .k = cell->n_blocks * wide, .a = r.gates,
                                            .lda = GATES * wide, .b = rk_layer_param (call, WEIGHT_IH), .ldb = r.n_in,
                                            .c = r.dx, .ldc = r.n_in});
    s_turn (&r, r.n_in, r.dx, call->gx[0], false);
}

void rk_recurrent_backward_params (const rk_cell_t *cell, const rk_layer_call_t *call)
{
    const s_run_t r = s_layout (cell, call);
    const size_t wide = r.n_hidden, rows = r.n * r.steps;
    rk_gemm_t product = {.ta = RK_T, .m = cell->n_blocks * wide, .n = r.n_in, .k = rows, .a = r.gates,
                             .lda = GATES * wide, .b = r.x, .ldb = r.n_in, .beta = 1, .c = rk_layer_grad (call, WEIGHT_IH),
                             .ldc = r.n_in};
    rk_gemm_pool (call->pool, &product);
    memset (r.bias, 0, GATES * wide * sizeof (float));
    rk_vec ()->bias_rows_grad (rows, GATES * wide, r.gates, r.bias);
    float *bias_ih = rk_layer_grad (call, BIAS_IH), *bias_hh = rk_layer_grad (call, BIAS_HH);
    rk_vec ()->add (cell->n_blocks * wide, bias_ih, r.bias, bias_ih);
    for (int p = 0; p < cell->n_parts; p++) {
        const rk_cell_part_t *part = &cell->part[p];
        product.m = part->count * wide;
        product.n = product.ldb = product.ldc = wide;
        product.a = r.gates + part->gate * wide;
        product.b = r.h;
        product.c = rk_layer_grad (call, WEIGHT_HH) + part->block * wide * wide;
        rk_gemm_pool (call->pool, &product);
        rk_vec ()->add (product.m, bias_hh + part->block * wide, r.bias + part->gate * wide, bias_hh + part->block * wide);
    }
}

void rk_recurrent_need (const rk_cell_t *cell, const rk_layer_t *layer, size_t batch, rk_layer_need_t *need)
{
    const size_t steps = layer->in_shape[0].dim[0], n_in = layer->in_shape[0].dim[1], wide = layer->config.channels;
    const size_t rows = batch * steps, kept = (batch * (steps + 1)) * wide * (cell->has_state ? 2 : 1);
    need->forward_flops = 2 * (uint64_t) rows * cell->n_blocks * wide * (n_in + wide) + 60 * (uint64_t) rows * wide;
    need->backward_flops = 2 * need->forward_flops;
    need->save_bytes = (rows * (n_in + GATES * wide) + kept) * sizeof (float);
    need->work_bytes = (GATES * wide + 2 * batch * wide + rows * n_in) * sizeof (float);
}
