/* SPDX-License-Identifier: MPL-2.0
 * Values: which tensors share storage (views, layers in place), which the backward needs, where each
 * group of sharing tensors lives.                                                                    */
#include <stdlib.h>

#include "compute/slice_plan.h"

typedef struct {
    int in, out;       /* index of the boundary tensor it is, -1: none */
    int begin, end;    /* layers that write and last read it in the forward */
    int back_end;      /* last time the backward reads it, -1: never */
    bool fixed;        /* a member's value is read by more than the next member, or by the backward */
    int last_member;   /* layer whose output is the value that stays */
    size_t elems;      /* per sample; 0: nothing to store */
    rk_place_t forward, backward;
} s_group_t;

typedef struct {
    rk_slice_plan_t *plan;
    s_group_t *groups; /* one per layer output, then one per boundary input */
    int *owner;        /* group of each layer's output */
} s_values_t;

static int s_find (const rk_boundary_t *boundary, int n, int tensor)
{
    for (int i = 0; i < n; i++)
        if (boundary[i].tensor == tensor)
            return i;
    return -1;
}

static s_group_t *s_group_of (const s_values_t *v, int tensor)
{
    const rk_slice_plan_t *plan = v->plan;
    if (tensor > plan->first)
        return &v->groups[v->owner[tensor - plan->first - 1]];
    return &v->groups[plan->n_layers + s_find (plan->in, plan->n_in, tensor)];
}

/* May the output of this layer live where its first input lives? */
static bool s_may_share (const rk_layer_t *layer, const s_group_t *x, bool is_out)
{
    if (rk_layer_has (layer, RK_IS_VIEW))
        return !is_out || (x->in < 0 && x->out < 0);
    return rk_layer_has (layer, RK_MAY_OVERWRITE_X) && !rk_layer_has (layer, RK_BACK_NEEDS_X) && x->in < 0 && !x->fixed;
}

static void s_group_layers (s_values_t *v)
{
    const rk_slice_plan_t *plan = v->plan;
    for (int i = 0; i < plan->n_in; i++)
        v->groups[plan->n_layers + i] = (s_group_t) {.in = i, .out = -1, .back_end = -1, .fixed = true};
    for (int i = 0; i < plan->n_layers; i++) {
        const int tensor = plan->first + i + 1;
        const rk_layer_t *layer = rk_model_layer (plan->model, tensor - 1);
        const int out = s_find (plan->out, plan->n_out, tensor);
        s_group_t *x = s_group_of (v, layer->in[0]);
        v->owner[i] = s_may_share (layer, x, out >= 0) ? (int) (x - v->groups) : i;
        v->groups[i] = (s_group_t) {.in = -1, .out = -1, .begin = i, .end = i, .back_end = -1};
        v->groups[i].elems = v->owner[i] == i ? layer->elems : 0;
        s_group_t *group = &v->groups[v->owner[i]];
        group->out = out >= 0 ? out : group->out;
        group->last_member = i;
        group->fixed = group->fixed || out >= 0 || rk_model_n_readers (plan->model, tensor) != 1 ||
                       rk_layer_has (layer, RK_BACK_NEEDS_Y);
    }
}

static void s_extend (int *end, int time)
{
    if (*end < time)
        *end = time;
}

/* Who reads what, and when for the last time. */
static void s_find_readers (s_values_t *v)
{
    const rk_slice_plan_t *plan = v->plan;
    for (int i = 0; i < plan->n_layers; i++) {
        const int tensor = plan->first + i + 1;
        const rk_layer_t *layer = rk_model_layer (plan->model, tensor - 1);
        const bool backward = rk_model_needs_grad (plan->model, tensor);
        const int back_time = rk_params_read_gy (layer) ? rk_time_params (plan, i) : rk_time_input (plan, i);
        for (int k = 0; k < layer->n_in; k++) {
            s_group_t *x = s_group_of (v, layer->in[k]);
            s_extend (&x->end, i);
            if (backward && rk_layer_has (layer, RK_BACK_NEEDS_X))
                s_extend (&x->back_end, back_time);
        }
        if (backward && rk_layer_has (layer, RK_BACK_NEEDS_Y))
            s_extend (&s_group_of (v, tensor)->back_end, rk_time_input (plan, i));
    }
}

static bool s_internal (const s_group_t *group)
{
    return group->in < 0 && group->out < 0 && group->elems > 0;
}

/* Recompute: a layer runs again if its output is not the caller's and the backward, or another layer
 * that runs again, reads it.                                                                         */
static void s_find_replays (s_values_t *v)
{
    rk_slice_plan_t *plan = v->plan;
    for (int i = plan->n_layers - 1; i >= 0; i--) {
        const rk_layer_t *layer = rk_model_layer (plan->model, plan->first + i);
        const s_group_t *y = s_group_of (v, plan->first + i + 1);
        if (!s_internal (y) || y->back_end < 0)
            continue;
        plan->layers[i].replay = true;
        for (int k = 0; k < layer->n_in; k++)
            s_extend (&s_group_of (v, layer->in[k])->back_end, i);
    }
}

static rk_err_t s_place_in_work (rk_arena_plan_t *arena, size_t bytes, int begin, int end, rk_place_t *place)
{
    *place = (rk_place_t) {.region = RK_AT_NOWHERE};
    if (bytes == 0)
        return RK_OK;
    place->region = RK_AT_WORK;
    return rk_arena_add (arena, bytes, begin, end, &place->idx);
}

static rk_place_t s_place_in_stash (rk_slice_plan_t *plan, size_t bytes)
{
    if (bytes == 0)
        return (rk_place_t) {.region = RK_AT_NOWHERE};
    rk_place_t place = {.region = RK_AT_STASH, .offset = plan->stash_bytes};
    plan->stash_bytes += (bytes + RK_ARENA_ALIGN - 1) / RK_ARENA_ALIGN * RK_ARENA_ALIGN;
    return place;
}

static rk_err_t s_place_group (rk_slice_plan_t *plan, s_group_t *group)
{
    const size_t bytes = group->elems * plan->batch * sizeof (float);
    if (group->in >= 0 || group->out >= 0) {
        group->forward = group->in >= 0 ? (rk_place_t) {.region = RK_AT_IN, .idx = group->in}
                                        : (rk_place_t) {.region = RK_AT_OUT, .idx = group->out};
        group->backward = group->forward;
        return RK_OK;
    }
    if (group->back_end >= 0 && !plan->recompute) {
        group->forward = group->backward = s_place_in_stash (plan, bytes);
        plan->layers[group->last_member].stash_elems = group->elems;
        return RK_OK;
    }
    rk_err_t rc = s_place_in_work (&plan->forward, bytes, group->begin, group->end, &group->forward);
    if (!rc && group->back_end >= 0)
        rc = s_place_in_work (&plan->backward, bytes, group->begin, group->back_end, &group->backward);
    return rc;
}

/* A layer that runs again fills what it keeps for the backward again, too. */
static rk_err_t s_place_save (rk_slice_plan_t *plan, int i, size_t bytes)
{
    rk_layer_plan_t *p = &plan->layers[i];
    if (!p->replay) {
        p->save = p->back_save = s_place_in_stash (plan, bytes);
        return RK_OK;
    }
    rk_err_t rc = s_place_in_work (&plan->forward, bytes, i, i, &p->save);
    return rc ? rc : s_place_in_work (&plan->backward, bytes, i, rk_time_params (plan, i), &p->back_save);
}

static rk_err_t s_place_scratch (rk_slice_plan_t *plan, int i)
{
    rk_layer_plan_t *p = &plan->layers[i];
    const rk_layer_t *layer = rk_model_layer (plan->model, plan->first + i);
    rk_layer_need_t need = {.n_threads = plan->n_threads};
    layer->type->need (layer, plan->batch, &need);
    if (plan->no_scratch)
        need.work_bytes = 0;
    rk_err_t rc = s_place_save (plan, i, need.save_bytes);
    if (!rc)
        rc = s_place_in_work (&plan->forward, need.work_bytes, i, i, &p->work_forward);
    if (!rc && p->replay)
        rc = s_place_in_work (&plan->backward, need.work_bytes, i, i, &p->work_replay);
    const int input = rk_time_input (plan, i), params = rk_time_params (plan, i);
    if (!rc)
        rc = s_place_in_work (&plan->backward, need.work_bytes, input, input, &p->work_input);
    if (!rc)
        rc = s_place_in_work (&plan->backward, need.work_bytes, params, params, &p->work_params);
    return rc;
}

static rk_err_t s_place_all (s_values_t *v)
{
    rk_slice_plan_t *plan = v->plan;
    rk_err_t rc = RK_OK;
    for (int g = 0; g < plan->n_layers + plan->n_in && !rc; g++)
        rc = s_place_group (plan, &v->groups[g]);
    for (int i = 0; i < plan->n_layers && !rc; i++)
        rc = s_place_scratch (plan, i);
    for (int i = 0; i < plan->n_layers && !rc; i++) {
        const rk_layer_t *layer = rk_model_layer (plan->model, plan->first + i);
        rk_layer_plan_t *p = &plan->layers[i];
        for (int k = 0; k < layer->n_in; k++) {
            p->x[k] = s_group_of (v, layer->in[k])->forward;
            p->back_x[k] = s_group_of (v, layer->in[k])->backward;
        }
        p->y = s_group_of (v, plan->first + i + 1)->forward;
        p->back_y = s_group_of (v, plan->first + i + 1)->backward;
    }
    return rc;
}

/* Inputs that a later slice reads too and that this slice has to copy (only the model's own input;
 * everything else passes through in the hands of the caller).                                        */
static void s_copy_inputs (rk_slice_plan_t *plan)
{
    for (int o = 0; o < plan->n_out; o++) {
        const rk_boundary_t *out = &plan->out[o];
        int in = s_find (plan->in, plan->n_in, out->tensor);
        if (in < 0 || out->passes_through)
            continue;
        plan->value_copies[plan->n_value_copies++] = (rk_copy_plan_t) {
            .elems = out->elems,
            .from = {.region = RK_AT_IN, .idx = in},
            .to = {.region = RK_AT_OUT, .idx = o},
        };
    }
}

rk_err_t rk_slice_plan_values (rk_slice_plan_t *plan)
{
    const size_t n_groups = (size_t) (plan->n_layers + plan->n_in);
    s_values_t v = {.plan = plan};
    v.groups = calloc (n_groups + 1, sizeof *v.groups);
    v.owner = calloc ((size_t) plan->n_layers + 1, sizeof *v.owner);
    rk_err_t rc = v.groups && v.owner ? RK_OK : RK_ENOMEM;
    if (!rc) {
        s_group_layers (&v);
        s_find_readers (&v);
        if (plan->recompute)
            s_find_replays (&v);
        rc = s_place_all (&v);
        s_copy_inputs (plan);
    }
    free (v.groups);
    free (v.owner);
    return rc;
}
