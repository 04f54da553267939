/* SPDX-License-Identifier: MPL-2.0
 * The dimensions of a sample in another order: y.dim[i] = x.dim[order[i]].                            */
#include <string.h>

#include "compute/kernels/sets.h"
#include "compute/layer.h"

extern const rk_layer_type_t rk_layer_permute;

int rk_model_permute (rk_model_t *m, const char *name, int in, int n_dims, const int *order)
{
    rk_layer_config_t config = {.n_order = n_dims};
    for (int d = 0; d < n_dims && d < RK_MAX_DIMS; d++)
        config.order[d] = order[d];
    return rk_model_append (m, &rk_layer_permute, name, 1, &in, config);
}

int rk_model_transpose (rk_model_t *m, const char *name, int in)
{
    return rk_model_permute (m, name, in, 2, (const int[]) {1, 0});
}

static rk_err_t s_infer (rk_layer_t *layer, rk_error_t *err)
{
    char text[RK_SHAPE_TEXT];
    const rk_shape_t x = layer->in_shape[0];
    const rk_layer_config_t *c = &layer->config;
    unsigned seen = 0;
    if (c->n_order != x.n_dims)
        return rk_error_set (err, RK_ESHAPE, "an order of %d dimensions for an input %s", c->n_order,
                             rk_shape_text (x, text));
    layer->shape.n_dims = x.n_dims;
    for (int d = 0; d < x.n_dims; d++) {
        if (c->order[d] < 0 || c->order[d] >= x.n_dims || (seen >> c->order[d] & 1))
            return rk_error_set (err, RK_EINVAL, "dimension %d is named twice, or not one of an input %s", c->order[d],
                                 rk_shape_text (x, text));
        seen |= 1u << c->order[d];
        layer->shape.dim[d] = x.dim[c->order[d]];
    }
    return RK_OK;
}

/* What it takes to go through `to` in order while reading `from`: dimensions of both and steps in both. */
typedef struct {
    size_t dim[RK_MAX_DIMS], from[RK_MAX_DIMS], to[RK_MAX_DIMS];
    int n;    /* dimensions, in the order of `to` */
    int last; /* index of the dimension that is the last of `from` */
} s_walk_t;

/* order: dimension of `from` that is number d of `to`. */
static s_walk_t s_walk (rk_shape_t from, const int *order)
{
    s_walk_t w = {.n = from.n_dims};
    size_t step[RK_MAX_DIMS], to = 1;
    for (int d = from.n_dims - 1; d >= 0; d--)
        step[d] = d + 1 < from.n_dims ? step[d + 1] * from.dim[d + 1] : 1;
    for (int d = w.n - 1; d >= 0; d--) {
        w.dim[d] = from.dim[order[d]];
        w.from[d] = step[order[d]];
        w.to[d] = to;
        to *= w.dim[d];
        w.last = order[d] == w.n - 1 ? d : w.last;
    }
    return w;
}

/* The innermost two dimensions of the walk: the last of `to` with the last of `from`, or one of them. */
static void s_copy_inner (const s_walk_t *w, const float *from, float *to)
{
    const int end = w->n - 1;
    if (w->last == end)
        memcpy (to, from, w->dim[end] * sizeof *to);
    else
        rk_kernel_set ()->tiles->transpose (w->dim[end], w->dim[w->last], from, w->from[end], to, w->to[w->last]);
}

static void s_copy (const s_walk_t *w, const float *from, float *to)
{
    size_t at[RK_MAX_DIMS] = {0};
    for (;;) {
        size_t read = 0, write = 0;
        for (int d = 0; d < w->n; d++) {
            read += at[d] * w->from[d];
            write += at[d] * w->to[d];
        }
        s_copy_inner (w, from + read, to + write);
        int d = w->n - 2;
        while (d >= 0 && (d == w->last || ++at[d] == w->dim[d]))
            at[d--] = 0;
        if (d < 0)
            return;
    }
}

static void s_forward (const rk_layer_call_t *call)
{
    const s_walk_t walk = s_walk (call->layer->in_shape[0], call->layer->config.order);
    for (size_t i = 0; i < call->n; i++)
        s_copy (&walk, call->x[0] + i * call->layer->elems, call->y + i * call->layer->elems);
}

static void s_backward_input (const rk_layer_call_t *call)
{
    int back[RK_MAX_DIMS] = {0};
    for (int d = 0; d < call->layer->shape.n_dims; d++)
        back[call->layer->config.order[d]] = d;
    const s_walk_t walk = s_walk (call->layer->shape, back);
    for (size_t i = 0; i < call->n; i++)
        s_copy (&walk, call->gy + i * call->layer->elems, call->gx[0] + i * call->layer->elems);
}

static void s_need (const rk_layer_t *layer, size_t batch, rk_layer_need_t *need)
{
    need->forward_flops = need->backward_flops = (uint64_t) batch * layer->elems;
}

const rk_layer_type_t rk_layer_permute = {
    .kind = "permute",
    .flags = RK_BY_SAMPLE,
    .infer = s_infer,
    .forward = s_forward,
    .backward_input = s_backward_input,
    .need = s_need,
};
