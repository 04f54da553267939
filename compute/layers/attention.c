/* SPDX-License-Identifier: MPL-2.0
 * Multi-head attention: y = softmax (q k' / sqrt (D / heads)) v by head.   x: (S, 3 D), q, k and v side by side
 * y: (S, D). Scores are made a block at a time, with the running maximum and sum of each row (Milakov and
 * Gimelshein, 2018; Dao et al., 2022); the backward makes them again from the rows' kept log-sums.
 * save: log-sums (n, heads, S).                                                                       */
#include <math.h>
#include <string.h>

#include "compute/blas.h"
#include "compute/kernels/vec.h"
#include "compute/layer.h"

#define BLOCK 64 /* queries and keys of a block of scores; part of the arithmetic */

extern const rk_layer_type_t rk_layer_attention;

int rk_model_attention (rk_model_t *m, const char *name, int in, size_t n_heads, bool causal)
{
    return rk_model_append (m, &rk_layer_attention, name, 1, &in, (rk_layer_config_t) {.heads = n_heads, .causal = causal});
}

static rk_err_t s_infer (rk_layer_t *layer, rk_error_t *err)
{
    char text[RK_SHAPE_TEXT];
    const rk_shape_t in = layer->in_shape[0];
    const size_t n_heads = layer->config.heads;
    if (in.n_dims != 2 || n_heads == 0 || in.dim[1] % (3 * n_heads))
        return rk_error_set (err, RK_ESHAPE, "input %s is not (positions, 3 x features of %zu heads)", rk_shape_text (in, text),
                             n_heads);
    layer->shape = rk_shape_2 (in.dim[0], in.dim[1] / 3);
    return RK_OK;
}

/* One head of one sample, and one thread's scratch. */
typedef struct {
    const rk_layer_call_t *call;
    size_t length, width, row_in, row_out; /* width: of a head; rows of x and y */
    float scale;
    const float *q, *k, *v, *y, *gy;
    float *log_sum;
    float *p, *dp;       /* (BLOCK, BLOCK) */
    float *top, *sum;    /* (BLOCK) */
    float *slope;        /* (S): sum over the row of y dy */
} s_head_t;

static size_t s_scratch (size_t length)
{
    return rk_flat_round (2 * BLOCK * BLOCK + 2 * BLOCK + length);
}

static s_head_t s_head (const rk_layer_call_t *call, size_t task, size_t worker)
{
    const rk_layer_t *layer = call->layer;
    const size_t length = layer->shape.dim[0], wide = layer->shape.dim[1], n_heads = layer->config.heads;
    const size_t sample = task / n_heads, head = task % n_heads, width = wide / n_heads, at = sample * length * wide + head * width;
    float *scratch = (float *) call->work + worker * s_scratch (length);
    const float *x = call->x[0] + sample * length * 3 * wide + head * width;
    return (s_head_t) {.call = call, .length = length, .width = width, .row_in = 3 * wide, .row_out = wide,
                       .scale = 1.0f / sqrtf ((float) width), .q = x, .k = x + wide, .v = x + 2 * wide,
                       .y = call->y + at, .gy = call->gy ? call->gy + at : NULL,
                       .log_sum = (float *) call->save + task * length, .p = scratch, .dp = scratch + BLOCK * BLOCK,
                       .top = scratch + 2 * BLOCK * BLOCK, .sum = scratch + 2 * BLOCK * BLOCK + BLOCK,
                       .slope = scratch + 2 * BLOCK * BLOCK + 2 * BLOCK};
}

static size_t s_count (const s_head_t *h, size_t from)
{
    return h->length - from < BLOCK ? h->length - from : BLOCK;
}

/* Keys of the block at `key` that query `query` sees. */
static size_t s_seen (const s_head_t *h, size_t query, size_t key)
{
    const size_t count = s_count (h, key);
    return h->call->layer->config.causal && query - key + 1 < count ? query - key + 1 : count;
}

static size_t s_end (const s_head_t *h, size_t query)
{
    return h->call->layer->config.causal ? query + 1 : h->length;
}

/* p = q k' of a block. */
static void s_scores (const s_head_t *h, size_t query, size_t key)
{
    rk_gemm (RK_N, RK_T, s_count (h, query), s_count (h, key), h->width, 1, h->q + query * h->row_in, h->row_in,
             h->k + key * h->row_in, h->row_in, 0, h->p, BLOCK);
}

/* Row i of the block: p = e^(scores - top); what was summed before counts in units of the new top. */
static void s_soften (const s_head_t *h, size_t i, size_t query, size_t key, float *y)
{
    const rk_vec_t *vec = rk_vec ();
    const size_t seen = s_seen (h, query + i, key), count = s_count (h, key);
    float *p = h->p + i * BLOCK;
    float top = h->scale * vec->max (seen, p), before = 0;
    if (key && h->top[i] > top)
        top = h->top[i];
    if (key && vec->exp_sum (1, 1, top, &h->top[i], &before) != 1)
        vec->scale (h->width, before, y + i * h->row_out, y + i * h->row_out);
    h->sum[i] = (key ? h->sum[i] * before : 0) + vec->exp_sum (seen, h->scale, top, p, p);
    h->top[i] = top;
    memset (p + seen, 0, (count - seen) * sizeof *p);
}

static void s_forward_head (void *arg, size_t task, size_t worker)
{
    const s_head_t h = s_head (arg, task, worker);
    float *y = h.call->y + (h.y - h.call->y);
    for (size_t query = 0; query < h.length; query += BLOCK, y += BLOCK * h.row_out) {
        const size_t n = s_count (&h, query);
        for (size_t key = 0; key < s_end (&h, query); key += BLOCK) {
            s_scores (&h, query, key);
            for (size_t i = 0; i < n; i++)
                s_soften (&h, i, query, key, y);
            rk_gemm (RK_N, RK_N, n, h.width, s_count (&h, key), 1, h.p, BLOCK, h.v + key * h.row_in, h.row_in, key ? 1 : 0, y,
                     h.row_out);
        }
        for (size_t i = 0; i < n; i++) {
            rk_vec ()->scale (h.width, 1.0f / h.sum[i], y + i * h.row_out, y + i * h.row_out);
            h.log_sum[query + i] = h.top[i] + (float) log ((double) h.sum[i]);
        }
    }
}

static void s_forward (const rk_layer_call_t *call)
{
    rk_layer_call_t copy = *call;
    rk_pool_run (call->pool, call->n * call->layer->config.heads, s_forward_head, &copy);
}

/* p and dp of a block: softmax again, and the gradients of its scores. */
static void s_score_gradients (const s_head_t *h, size_t query, size_t key)
{
    const rk_vec_t *vec = rk_vec ();
    const size_t n = s_count (h, query), count = s_count (h, key);
    s_scores (h, query, key);
    rk_gemm (RK_N, RK_T, n, count, h->width, 1, h->gy + query * h->row_out, h->row_out, h->v + key * h->row_in, h->row_in, 0,
             h->dp, BLOCK);
    for (size_t i = 0; i < n; i++) {
        float *p = h->p + i * BLOCK, *dp = h->dp + i * BLOCK;
        const size_t seen = s_seen (h, query + i, key);
        vec->exp_sum (seen, h->scale, h->log_sum[query + i], p, p);
        memset (p + seen, 0, (count - seen) * sizeof *p);
        vec->softmax_slope (seen, h->scale, p, h->slope[query + i], dp);
        memset (dp + seen, 0, (count - seen) * sizeof *dp);
    }
}

static void s_backward_head (void *arg, size_t task, size_t worker)
{
    const s_head_t h = s_head (arg, task, worker);
    const size_t row = h.row_in;
    float *dq = h.call->gx[0] + (h.q - h.call->x[0]), *dk = dq + h.row_out, *dv = dk + h.row_out;
    for (size_t i = 0; i < h.length; i++)
        h.slope[i] = rk_vec ()->dot (h.width, h.y + i * h.row_out, h.gy + i * h.row_out);
    for (size_t key = 0; key < h.length; key += BLOCK) {
        const size_t count = s_count (&h, key), first = h.call->layer->config.causal ? key : 0;
        for (size_t query = first; query < h.length; query += BLOCK) {
            const size_t n = s_count (&h, query);
            const float add = query > first ? 1 : 0;
            s_score_gradients (&h, query, key);
            rk_gemm (RK_T, RK_N, count, h.width, n, 1, h.p, BLOCK, h.gy + query * h.row_out, h.row_out, add, dv + key * row, row);
            rk_gemm (RK_T, RK_N, count, h.width, n, 1, h.dp, BLOCK, h.q + query * row, row, add, dk + key * row, row);
            rk_gemm (RK_N, RK_N, n, h.width, count, 1, h.dp, BLOCK, h.k + key * row, row, key ? 1 : 0, dq + query * row, row);
        }
    }
}

static void s_backward_input (const rk_layer_call_t *call)
{
    rk_layer_call_t copy = *call;
    rk_pool_run (call->pool, call->n * call->layer->config.heads, s_backward_head, &copy);
}

static void s_need (const rk_layer_t *layer, size_t batch, rk_layer_need_t *need)
{
    const uint64_t length = layer->shape.dim[0], scores = batch * length * length / (layer->config.causal ? 2 : 1);
    need->forward_flops = scores * (4 * layer->shape.dim[1] + 20 * layer->config.heads);
    need->backward_flops = scores * (10 * layer->shape.dim[1] + 25 * layer->config.heads);
    need->save_bytes = batch * layer->config.heads * length * sizeof (float);
    need->work_bytes = need->n_threads * s_scratch (length) * sizeof (float);
}

const rk_layer_type_t rk_layer_attention = {
    .kind = "attention",
    .flags = RK_BACK_NEEDS_X | RK_BACK_NEEDS_Y,
    .infer = s_infer,
    .forward = s_forward,
    .backward_input = s_backward_input,
    .need = s_need,
};
