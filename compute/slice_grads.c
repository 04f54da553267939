/* SPDX-License-Identifier: MPL-2.0
 * Gradients: the order of their sums and where each lives. A slot follows the gradient of one tensor from
 * its last reader to its first; several slots may share a block as long as nobody writes it.         */
#include <stdlib.h>

#include "compute/slice_plan.h"

typedef struct {
    rk_slice_plan_t *plan;
    rk_place_t *outputs;                /* slot of each layer's output */
    rk_place_t inputs[RK_MAX_BOUNDARY]; /* slot of each boundary input */
    int *n_slots;                       /* slots that name a block, by block */
} s_grads_t;

static rk_place_t *s_slot (s_grads_t *g, int tensor)
{
    const rk_slice_plan_t *plan = g->plan;
    if (tensor > plan->first)
        return &g->outputs[tensor - plan->first - 1];
    for (int i = 0; i < plan->n_in; i++)
        if (plan->in[i].tensor == tensor)
            return &g->inputs[i];
    return NULL; /* not reached: every tensor a slice reads and did not make is in its boundary */
}

static void s_use (s_grads_t *g, rk_place_t place, int time)
{
    if (place.region == RK_AT_WORK && g->plan->backward.blocks[place.idx].end < time)
        g->plan->backward.blocks[place.idx].end = time;
}

static void s_count (s_grads_t *g, rk_place_t place, int change)
{
    if (place.region == RK_AT_WORK)
        g->n_slots[place.idx] += change;
}

static void s_set_slot (s_grads_t *g, rk_place_t *slot, rk_place_t place)
{
    s_count (g, *slot, -1);
    *slot = place;
    s_count (g, *slot, 1);
}

/* Nobody but `n_slots` slots will read this block after `time`: it may be overwritten. */
static bool s_writable (const s_grads_t *g, rk_place_t place, int n_slots, int time)
{
    return place.region == RK_AT_WORK && g->n_slots[place.idx] == n_slots &&
           g->plan->backward.blocks[place.idx].end <= time;
}

static rk_err_t s_new_block (s_grads_t *g, size_t elems, int time, rk_place_t *place)
{
    *place = (rk_place_t) {.region = RK_AT_WORK};
    return rk_arena_add (&g->plan->backward, elems * g->plan->batch * sizeof (float), time, time, &place->idx);
}

static rk_place_t s_gin (const rk_slice_plan_t *plan, int tensor)
{
    for (int i = 0; i < plan->n_in; i++)
        if (plan->in[i].tensor == tensor)
            return (rk_place_t) {.region = RK_AT_GIN, .idx = i};
    return (rk_place_t) {.region = RK_AT_NOWHERE};
}

/* Where the gradient of input k is formed, when the layer passes gy on. */
static rk_err_t s_pass (s_grads_t *g, int i, int k, rk_place_t gy)
{
    const rk_layer_t *layer = rk_model_layer (g->plan->model, g->plan->first + i);
    rk_gx_plan_t *gx = &g->plan->layers[i].gx[k];
    const int time = rk_time_input (g->plan, i);
    rk_place_t *slot = s_slot (g, layer->in[k]);
    if (slot->region == RK_AT_NOWHERE) {
        s_set_slot (g, slot, gy);
        return RK_OK;
    }
    gx->add = *slot;
    s_use (g, gx->add, time);
    rk_place_t gin = s_gin (g->plan, layer->in[k]);
    rk_err_t rc = RK_OK;
    if (gin.region != RK_AT_NOWHERE)
        gx->sum = gin;
    else if (s_writable (g, *slot, 1, time) && (gy.region != RK_AT_WORK || gy.idx != slot->idx))
        gx->sum = *slot; /* but never over gy, which the other input may still be given */
    else
        rc = s_new_block (g, layer->in_elems[k], time, &gx->sum);
    s_set_slot (g, slot, gx->sum);
    return rc;
}

/* Where the gradient of input k is formed, when the layer computes it. */
static rk_err_t s_compute (s_grads_t *g, int i, int k, rk_place_t gy)
{
    const rk_layer_t *layer = rk_model_layer (g->plan->model, g->plan->first + i);
    rk_gx_plan_t *gx = &g->plan->layers[i].gx[k];
    const int time = rk_time_input (g->plan, i);
    rk_place_t *slot = s_slot (g, layer->in[k]), gin = s_gin (g->plan, layer->in[k]);
    rk_err_t rc = RK_OK;
    if (gin.region != RK_AT_NOWHERE && slot->region != RK_AT_GIN)
        gx->write = gin;
    else if (k == 0 && rk_layer_has (layer, RK_MAY_OVERWRITE_GY) && s_writable (g, gy, 0, time))
        gx->write = gy;
    else
        rc = s_new_block (g, layer->in_elems[k], time, &gx->write);
    if (slot->region != RK_AT_NOWHERE) {
        gx->add = *slot;
        s_use (g, gx->add, time);
        gx->sum = gin.region != RK_AT_NOWHERE ? gin : gx->write;
    }
    s_set_slot (g, slot, gx->add.region != RK_AT_NOWHERE ? gx->sum : gx->write);
    return rc;
}

static rk_err_t s_plan_layer (s_grads_t *g, int i)
{
    rk_slice_plan_t *plan = g->plan;
    rk_layer_plan_t *p = &plan->layers[i];
    const rk_layer_t *layer = rk_model_layer (plan->model, plan->first + i);
    rk_place_t *slot = s_slot (g, plan->first + i + 1);
    p->backward = rk_model_needs_grad (plan->model, plan->first + i + 1);
    if (!p->backward)
        return RK_OK;
    p->gy = *slot;
    s_set_slot (g, slot, (rk_place_t) {.region = RK_AT_NOWHERE});
    s_use (g, p->gy, rk_time_input (plan, i));
    if (rk_params_read_gy (layer)) {
        if (p->gy.region == RK_AT_WORK && plan->backward.blocks[p->gy.idx].end < 2 * plan->n_layers)
            p->grad_elems = layer->elems;
        s_use (g, p->gy, rk_time_params (plan, i));
    }
    rk_err_t rc = RK_OK;
    for (int k = 0; k < layer->n_in && !rc; k++)
        if (rk_model_needs_grad (plan->model, layer->in[k]))
            rc = rk_layer_has (layer, RK_PASSES_GRADIENT) ? s_pass (g, i, k, p->gy) : s_compute (g, i, k, p->gy);
    return rc;
}

/* Boundary inputs whose gradient is not yet in the caller's buffer. */
static void s_copy_rest (s_grads_t *g)
{
    rk_slice_plan_t *plan = g->plan;
    for (int i = 0; i < plan->n_in; i++) {
        if (!plan->in[i].needs_grad || g->inputs[i].region == RK_AT_GIN)
            continue;
        s_use (g, g->inputs[i], rk_time_input (plan, 0));
        plan->grad_copies[plan->n_grad_copies++] = (rk_copy_plan_t) {
            .elems = plan->in[i].elems,
            .from = g->inputs[i],
            .to = {.region = RK_AT_GIN, .idx = i},
        };
    }
}

rk_err_t rk_slice_plan_grads (rk_slice_plan_t *plan)
{
    /* At most one block per input of a layer is added below. */
    const size_t n_blocks = plan->backward.n_blocks + (size_t) plan->n_layers * RK_LAYER_MAX_IN;
    s_grads_t g = {.plan = plan};
    g.outputs = calloc ((size_t) plan->n_layers + 1, sizeof *g.outputs);
    g.n_slots = calloc (n_blocks + 1, sizeof *g.n_slots);
    rk_err_t rc = g.outputs && g.n_slots ? RK_OK : RK_ENOMEM;
    for (int o = 0; o < plan->n_out && !rc; o++)
        if (plan->out[o].needs_grad)
            *s_slot (&g, plan->out[o].tensor) = (rk_place_t) {.region = RK_AT_GOUT, .idx = o};
    for (int i = plan->n_layers - 1; i >= 0 && !rc; i--)
        rc = s_plan_layer (&g, i);
    if (!rc)
        s_copy_rest (&g);
    free (g.outputs);
    free (g.n_slots);
    return rc;
}
