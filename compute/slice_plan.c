/* SPDX-License-Identifier: MPL-2.0 */
#include "compute/slice_plan.h"

#include <limits.h>
#include <stdlib.h>

static rk_err_t s_check (const rk_slice_config_t *config, rk_error_t *err)
{
    const int n_layers = rk_model_n_layers (config->model);
    if (config->first < 0 || config->last > n_layers || config->first >= config->last)
        return rk_error_set (err, RK_EINVAL, "layers [%d, %d) are no range of a model of %d layers", config->first,
                             config->last, n_layers);
    if (config->batch < 1 || config->batch > UINT16_MAX)
        return rk_error_set (err, RK_EINVAL, "batch %zu is not in 1..%d", config->batch, UINT16_MAX);
    if (config->n_contexts < 1 || config->n_contexts > UINT16_MAX)
        return rk_error_set (err, RK_EINVAL, "%d contexts are not in 1..%d", config->n_contexts, UINT16_MAX);
    return RK_OK;
}

static void s_resolve (const rk_arena_plan_t *arena, rk_place_t *place)
{
    if (place->region == RK_AT_WORK)
        place->offset = arena->blocks[place->idx].offset;
}

static void s_resolve_all (rk_slice_plan_t *plan)
{
    for (int i = 0; i < plan->n_layers; i++) {
        rk_layer_plan_t *p = &plan->layers[i];
        for (int k = 0; k < RK_LAYER_MAX_IN; k++) {
            s_resolve (&plan->forward, &p->x[k]);
            s_resolve (&plan->backward, &p->back_x[k]);
            s_resolve (&plan->backward, &p->gx[k].write);
            s_resolve (&plan->backward, &p->gx[k].add);
            s_resolve (&plan->backward, &p->gx[k].sum);
        }
        s_resolve (&plan->forward, &p->y);
        s_resolve (&plan->forward, &p->save);
        s_resolve (&plan->forward, &p->work_forward);
        s_resolve (&plan->backward, &p->back_y);
        s_resolve (&plan->backward, &p->back_save);
        s_resolve (&plan->backward, &p->gy);
        s_resolve (&plan->backward, &p->work_replay);
        s_resolve (&plan->backward, &p->work_input);
        s_resolve (&plan->backward, &p->work_params);
    }
    for (int i = 0; i < plan->n_grad_copies; i++)
        s_resolve (&plan->backward, &plan->grad_copies[i].from);
}

/* Everything but the final offsets. */
static rk_err_t s_lay_out (rk_slice_plan_t *plan, const rk_slice_config_t *config)
{
    plan->model = config->model;
    plan->first = config->first;
    plan->last = config->last;
    plan->n_layers = config->last - config->first;
    plan->batch = config->batch;
    plan->recompute = config->recompute;
    plan->n_threads = rk_pool_n_threads (config->pool);
    plan->n_in = rk_model_boundary (config->model, config->first, config->first, plan->in);
    plan->n_out = rk_model_boundary (config->model, config->last, config->first, plan->out);
    plan->layers = calloc ((size_t) plan->n_layers, sizeof *plan->layers);
    if (!plan->layers)
        return RK_ENOMEM;
    rk_err_t rc = rk_slice_plan_values (plan);
    return rc ? rc : rk_slice_plan_grads (plan);
}

rk_err_t rk_slice_plan_make (rk_slice_plan_t *plan, const rk_slice_config_t *config, rk_error_t *err)
{
    *plan = (rk_slice_plan_t) {0};
    rk_err_t rc = s_check (config, err);
    if (rc)
        return rc;
    rc = s_lay_out (plan, config);
    if (!rc)
        rc = rk_arena_solve (&plan->forward);
    if (!rc)
        rc = rk_arena_solve (&plan->backward);
    if (rc) {
        rk_slice_plan_clear (plan);
        return rk_error_set (err, rc, "no memory to plan layers [%d, %d) at batch %zu", config->first, config->last,
                             config->batch);
    }
    s_resolve_all (plan);
    /* The two halves never overlap in time: rk_slice_forward is refused between the two backward calls. */
    plan->work_bytes = plan->forward.total > plan->backward.total ? plan->forward.total : plan->backward.total;
    rk_arena_plan_clear (&plan->forward);
    rk_arena_plan_clear (&plan->backward);
    return RK_OK;
}

void rk_slice_plan_clear (rk_slice_plan_t *plan)
{
    rk_arena_plan_clear (&plan->forward);
    rk_arena_plan_clear (&plan->backward);
    free (plan->layers);
    plan->layers = NULL;
}

/* Bytes alive at `time` that are not kept until `kept`. */
static size_t s_alive (const rk_arena_plan_t *arena, int time, int kept)
{
    size_t bytes = 0;
    for (size_t b = 0; b < arena->n_blocks; b++)
        if (arena->blocks[b].begin <= time && time <= arena->blocks[b].end && arena->blocks[b].end < kept)
            bytes += arena->blocks[b].bytes;
    return bytes;
}

rk_err_t rk_slice_shares (const rk_model_t *model, rk_slice_share_t *shares)
{
    /* One arena unit per sample, so that the alignment of blocks does not blur small layers. */
    const rk_slice_config_t config = {
        .model = model, .last = rk_model_n_layers (model), .batch = RK_ARENA_ALIGN, .n_contexts = 1};
    rk_slice_plan_t plan = {.no_scratch = true};
    rk_err_t rc = s_lay_out (&plan, &config);
    const size_t all = s_alive (&plan.backward, 2 * plan.n_layers, INT_MAX);
    for (int i = 0; i < plan.n_layers && !rc; i++) {
        const size_t forward = s_alive (&plan.forward, i, plan.n_layers);
        const size_t backward = s_alive (&plan.backward, rk_time_input (&plan, i), 2 * plan.n_layers);
        /* The forward's passing values share the bytes of all gradients, kept ones included. */
        const size_t bytes = forward > all ? forward : backward;
        shares[i] = (rk_slice_share_t) {
            .stash_elems = plan.layers[i].stash_elems,
            .grad_elems = plan.layers[i].grad_elems,
            .work_elems = bytes / (config.batch * sizeof (float)),
        };
    }
    rk_slice_plan_clear (&plan);
    return rc;
}
