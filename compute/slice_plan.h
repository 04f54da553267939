/* SPDX-License-Identifier: MPL-2.0
 * Where every tensor of a slice lives, decided once from the layers' flags; compute/slice.c only
 * follows it. Regions: `stash` is kept per context from forward to release, `work` is shared by all
 * contexts and reused by lifetimes, the others are the caller's buffers.                              */
#ifndef RK_COMPUTE_SLICE_PLAN_H
#define RK_COMPUTE_SLICE_PLAN_H
#include "compute/arena.h"
#include "compute/layer.h"

typedef enum {
    RK_AT_NOWHERE = 0,
    RK_AT_IN,    /* idx: of boundary (first) */
    RK_AT_OUT,   /* idx: of boundary (last) */
    RK_AT_GIN,   /* idx: of boundary (first) */
    RK_AT_GOUT,  /* idx: of boundary (last) */
    RK_AT_STASH, /* offset: bytes in the context */
    RK_AT_WORK   /* offset: bytes in the shared workspace; idx: block while planning */
} rk_region_t;

typedef struct {
    rk_region_t region;
    int idx;
    size_t offset;
} rk_place_t;

/* The gradient of one input of a layer. A tensor with several readers is summed in reverse layer order,
 * wherever the cuts are: write, then sum = (write or gy) + add.                                        */
typedef struct {
    rk_place_t write; /* gx of backward_input; nowhere: not wanted, or gy is passed on */
    rk_place_t add;   /* what later readers left; nowhere: nothing to add */
    rk_place_t sum;   /* result of the addition */
} rk_gx_plan_t;

typedef struct {
    rk_place_t x[RK_LAYER_MAX_IN], y;           /* in the forward */
    rk_place_t back_x[RK_LAYER_MAX_IN], back_y; /* in the backward and in a replay of the forward */
    bool replay;                                /* recompute: run again before the backward */
    bool backward;                              /* has any gradient to compute */
    rk_place_t gy;
    rk_gx_plan_t gx[RK_LAYER_MAX_IN];
    rk_place_t save, back_save; /* in the forward, and in the backward and a replay: the stash, unless it is replayed */
    size_t stash_elems; /* of the kept value this layer wrote last, per sample */
    size_t grad_elems;  /* of its gy, kept for backward_params in the workspace */
    rk_place_t work_forward, work_replay, work_input, work_params;
} rk_layer_plan_t;

typedef struct {
    size_t elems; /* per sample */
    rk_place_t from, to;
} rk_copy_plan_t;

typedef struct {
    const rk_model_t *model;
    int first, last, n_layers;
    size_t batch;
    bool recompute;
    size_t n_threads;
    bool no_scratch; /* leave the layers' own scratch out: rk_slice_shares */
    rk_boundary_t in[RK_MAX_BOUNDARY], out[RK_MAX_BOUNDARY];
    int n_in, n_out;
    rk_layer_plan_t *layers; /* n_layers */
    /* inputs that leave the slice as they came in (values), gradients that only pass through */
    rk_copy_plan_t value_copies[RK_MAX_BOUNDARY], grad_copies[RK_MAX_BOUNDARY];
    int n_value_copies, n_grad_copies;
    size_t stash_bytes; /* per context */
    size_t work_bytes;
    rk_arena_plan_t forward, backward; /* of the workspace; only while planning */
} rk_slice_plan_t;

/* errors: RK_ENOMEM, RK_EINVAL (range). */
rk_err_t rk_slice_plan_make (rk_slice_plan_t *plan, const rk_slice_config_t *config, rk_error_t *err) RK_MUST_CHECK;
void rk_slice_plan_clear (rk_slice_plan_t *plan);

/* ---- the parts of rk_slice_plan_make, in this order */
rk_err_t rk_slice_plan_values (rk_slice_plan_t *plan); /* compute/slice_values.c */
rk_err_t rk_slice_plan_grads (rk_slice_plan_t *plan);  /* compute/slice_grads.c */

/* Times of the two workspaces. Forward: layer i runs at i. Backward: replays at i, then input gradients
 * from the last layer to the first, then parameter gradients in the same order.                       */
static inline int rk_time_input (const rk_slice_plan_t *plan, int i)
{
    return 2 * plan->n_layers - 1 - i;
}

static inline int rk_time_params (const rk_slice_plan_t *plan, int i)
{
    return 3 * plan->n_layers - 1 - i;
}

/* backward_params of this layer reads gy and x (and not only what backward_input saved). */
static inline bool rk_params_read_gy (const rk_layer_t *layer)
{
    return layer->type->backward_params && !rk_layer_has (layer, RK_PARAMS_FROM_SAVE);
}

/* What each layer of a whole model adds to a slice, in floats per sample, as rk_model_cost reports it.
 * shares: n_layers of them. errors: RK_ENOMEM.                                                       */
typedef struct {
    size_t stash_elems, grad_elems, work_elems;
} rk_slice_share_t;
rk_err_t rk_slice_shares (const rk_model_t *model, rk_slice_share_t *shares) RK_MUST_CHECK;

#endif
