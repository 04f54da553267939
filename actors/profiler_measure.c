/* SPDX-License-Identifier: MPL-2.0
 * The measuring: layers one at a time, and one product.                                                   */
#include "actors/profiler.h"

#include "compute/arena.h"
#include "compute/blas.h"
#include "compute/rng.h"
#include "compute/slice.h"

#define MOST_REPEATS 9

/* One layer as a slice, with everything a call of it needs. */
typedef struct {
    rk_slice_t *slice;
    int n_in, n_out;
    rk_boundary_t in_boundary[RK_MAX_BOUNDARY], out_boundary[RK_MAX_BOUNDARY];
    float *in[RK_MAX_BOUNDARY], *out[RK_MAX_BOUNDARY], *gin[RK_MAX_BOUNDARY], *gout[RK_MAX_BOUNDARY];
    float *flat, *grads;
    void *labels; /* all 0 */
    size_t batch;
    bool out_of_memory;
} bench_t;

static float *s_floats (bench_t *b, size_t n, uint64_t stream)
{
    float *x = rk_arena_memory (n * sizeof *x);
    if (x)
        rk_rng_normal (1, rk_rng_stream (RK_RNG_TEST, stream), 0, n, 0, 1, x);
    else
        b->out_of_memory = true;
    return x;
}

static void s_close (bench_t *b)
{
    for (int i = 0; i < RK_MAX_BOUNDARY; i++) {
        free (b->in[i]);
        free (b->out[i]);
        free (b->gin[i]);
        free (b->gout[i]);
    }
    free (b->flat);
    free (b->grads);
    free (b->labels);
    rk_slice_destroy (&b->slice);
}

/* Random tokens: a table is not read in order. */
static float *s_tokens (bench_t *b, size_t n, size_t n_tokens)
{
    float *x = s_floats (b, n, 1);
    const rk_permutation_t order = rk_rng_permutation (1, 0, n_tokens);
    for (size_t i = 0; x && i < n; i++)
        x[i] = (float) rk_permutation_at (&order, i % n_tokens);
    return x;
}

static void s_tensors (bench_t *b, size_t n_tokens)
{
    for (int i = 0; i < b->n_in; i++) {
        const size_t n = b->batch * b->in_boundary[i].elems;
        b->in[i] = b->in_boundary[i].tensor == 0 && n_tokens ? s_tokens (b, n, n_tokens) : s_floats (b, n, 1);
        if (b->in_boundary[i].needs_grad)
            b->gin[i] = s_floats (b, b->batch * b->in_boundary[i].elems, 2);
    }
    for (int i = 0; i < b->n_out; i++) {
        if (!b->out_boundary[i].passes_through)
            b->out[i] = s_floats (b, b->batch * b->out_boundary[i].elems, 3);
        if (b->out_boundary[i].needs_grad)
            b->gout[i] = s_floats (b, b->batch * b->out_boundary[i].elems, 4);
    }
}

static rk_err_t s_open (bench_t *b, const rk_model_t *model, int layer, size_t batch, rk_error_t *err)
{
    rk_slice_config_t config = {
        .model = model, .first = layer, .last = layer + 1, .batch = batch, .n_contexts = 1, .seed = 1};
    rk_err_t rc = rk_slice_new (&b->slice, &config, err);
    if (rc)
        return rc;
    b->batch = batch;
    b->n_in = rk_model_boundary (model, layer, layer, b->in_boundary);
    b->n_out = rk_model_boundary (model, layer + 1, layer, b->out_boundary);
    size_t n_flat = rk_model_slice_len (model, layer, layer + 1);
    b->flat = rk_arena_memory ((n_flat + 1) * sizeof *b->flat);
    b->grads = rk_arena_memory ((n_flat + 1) * sizeof *b->grads);
    b->labels = calloc (batch * rk_model_n_labels (model), RK_LABEL_BYTES);
    s_tensors (b, rk_model_n_tokens (model));
    if (!b->flat || !b->grads || !b->labels || b->out_of_memory)
        return rk_error_set (err, RK_ENOMEM, "no memory to measure layer %s", rk_model_layer_name (model, layer));
    rk_model_init (model, 1, layer, layer + 1, b->flat);
    return RK_OK;
}

static rk_err_t s_once (bench_t *b, uint64_t f, uint64_t *forward_ns, uint64_t *backward_ns, rk_error_t *err)
{
    rk_loss_t loss;
    rk_forward_t call = {.mode = RK_MODE_TRAIN, .f = f, .n = b->batch, .flat = b->flat, .stats = b->flat,
                         .in = (const float *const *) b->in, .out = b->out, .labels = b->labels, .loss = &loss};
    int64_t start = rk_thread_cpu_ns ();
    rk_err_t rc = rk_slice_forward (b->slice, &call, err);
    int64_t middle = rk_thread_cpu_ns ();
    if (!rc)
        rc = rk_slice_backward_input (b->slice, 0, b->flat, (const float *const *) b->gout, b->gin, err);
    if (!rc)
        rc = rk_slice_backward_params (b->slice, 0, b->flat, b->grads, err);
    int64_t end = rk_thread_cpu_ns ();
    rk_slice_release (b->slice, 0);
    *forward_ns = middle > start ? (uint64_t) (middle - start) : 1;
    *backward_ns = end > middle ? (uint64_t) (end - middle) : 1;
    return rc;
}

static int s_compare (const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *) a, y = *(const uint64_t *) b;
    return (x > y) - (x < y);
}

static uint64_t s_median (uint64_t *values, int n)
{
    qsort (values, (size_t) n, sizeof *values, s_compare);
    return values[n / 2];
}

/* A layer that eats its budget in the warm-up is taken at that. */
static rk_err_t s_layer (bench_t *b, int64_t budget_ns, uint64_t *forward_ns, uint64_t *backward_ns, rk_error_t *err)
{
    uint64_t forward[MOST_REPEATS], backward[MOST_REPEATS];
    int64_t end = rk_now_ns () + budget_ns;
    rk_err_t rc = s_once (b, 0, &forward[0], &backward[0], err);
    int n = 1;
    if (!rc && rk_now_ns () < end) /* the first was the warm-up: start over */
        for (n = 0; !rc && n < MOST_REPEATS && (n == 0 || rk_now_ns () < end); n++)
            rc = s_once (b, (uint64_t) n + 1, &forward[n], &backward[n], err);
    if (rc)
        return rc;
    *forward_ns = s_median (forward, n);
    *backward_ns = s_median (backward, n);
    return RK_OK;
}

rk_err_t rk_profile_layers (const rk_model_t *model, size_t batch, int64_t budget_ns, uint64_t *forward_ns,
                            uint64_t *backward_ns, rk_error_t *err)
{
    int n_layers = rk_model_n_layers (model);
    int64_t end = rk_now_ns () + budget_ns;
    rk_err_t rc = RK_OK;
    for (int l = 0; !rc && l < n_layers; l++) {
        bench_t bench = {0};
        int64_t left = end - rk_now_ns ();
        rc = s_open (&bench, model, l, batch, err);
        if (!rc)
            rc = s_layer (&bench, left / (n_layers - l), &forward_ns[l], &backward_ns[l], err);
        s_close (&bench);
    }
    return rc;
}
