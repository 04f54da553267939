/* SPDX-License-Identifier: MPL-2.0 */
#include "compute/layer.h"

#define RK_LAYER(kind) extern const rk_layer_type_t rk_layer_##kind;
#include "compute/layers/list.h"
#undef RK_LAYER

const rk_layer_type_t *const *rk_layer_types (void)
{
    static const rk_layer_type_t *const types[] = {
#define RK_LAYER(kind) &rk_layer_##kind,
#include "compute/layers/list.h"
#undef RK_LAYER
        NULL};
    return types;
}

#define RUN_SAMPLES 8 /* a multiple of 4, so that runs begin with a block of random numbers */

typedef struct {
    const rk_layer_call_t *call;
    void (*function) (const rk_layer_call_t *call);
} s_job_t;

static void s_task (void *arg, size_t task, size_t worker)
{
    const s_job_t *job = arg;
    const rk_layer_t *layer = job->call->layer;
    rk_layer_call_t part = *job->call;
    part.first = task * RUN_SAMPLES;
    part.n = job->call->n - part.first < RUN_SAMPLES ? job->call->n - part.first : RUN_SAMPLES;
    part.pool = NULL;
    for (int k = 0; k < layer->n_in; k++) {
        part.x[k] = part.x[k] ? part.x[k] + part.first * layer->in_elems[k] : NULL;
        part.gx[k] = part.gx[k] ? part.gx[k] + part.first * layer->in_elems[k] : NULL;
    }
    part.y = part.y ? part.y + part.first * layer->elems : NULL;
    part.gy = part.gy ? part.gy + part.first * layer->elems : NULL;
    job->function (&part);
}

static void s_run (const rk_layer_call_t *call, void (*function) (const rk_layer_call_t *call))
{
    s_job_t job = {call, function};
    if (call->pool && rk_layer_has (call->layer, RK_BY_SAMPLE))
        rk_pool_run (call->pool, (call->n + RUN_SAMPLES - 1) / RUN_SAMPLES, s_task, &job);
    else
        function (call);
}

void rk_layer_forward (const rk_layer_call_t *call)
{
    s_run (call, call->layer->type->forward);
}

void rk_layer_backward_input (const rk_layer_call_t *call)
{
    s_run (call, call->layer->type->backward_input);
}
