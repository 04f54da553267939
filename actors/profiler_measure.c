/* SPDX-License-Identifier: MPL-2.0
 * One bench: a range of layers as a slice with everything that a training step of it needs.              */
#include "actors/profiler_parts.h"

#include "compute/arena.h"
#include "compute/rng.h"

#define BLOCK 4096 /* random values that are written again and again: what they are does not matter, that they differ does */

static float *s_floats (rk_profile_bench_t *b, size_t n, uint64_t stream)
{
    float *x = rk_arena_memory ((n + 1) * sizeof *x);
    if (!x) {
        b->out_of_memory = true;
        return NULL;
    }
    const size_t first = n < BLOCK ? n : BLOCK;
    rk_rng_normal (1, rk_rng_stream (RK_RNG_TEST, stream), 0, first, 0, 1, x);
    for (size_t at = first; at < n; at += BLOCK)
        memcpy (x + at, x, (n - at < BLOCK ? n - at : BLOCK) * sizeof *x);
    return x;
}

void rk_profile_bench_close (rk_profile_bench_t *b)
{
    for (int i = 0; i < RK_MAX_BOUNDARY; i++) {
        free (b->in[i]);
        free (b->out[i]);
        free (b->gin[i]);
        free (b->gout[i]);
    }
    for (int i = 0; i < RK_OPTIM_MAX_SLOTS; i++)
        free (b->slots[i]);
    free (b->flat);
    free (b->other);
    free (b->grads);
    free (b->labels);
    rk_slice_destroy (&b->slice);
}

/* Random tokens: a table is not read in order. */
static float *s_tokens (rk_profile_bench_t *b, size_t n, size_t n_tokens)
{
    float *x = s_floats (b, n, 1);
    const rk_permutation_t order = rk_rng_permutation (1, 0, n_tokens);
    for (size_t i = 0; x && i < n; i++)
        x[i] = (float) rk_permutation_at (&order, i % n_tokens);
    return x;
}

static void s_tensors (rk_profile_bench_t *b, size_t n_tokens)
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

rk_err_t rk_profile_bench_open (rk_profile_bench_t *b, const rk_profile_job_t *job, int first, int last, rk_pool_t *pool, rk_error_t *err)
{
    const rk_model_t *model = job->model;
    const rk_slice_config_t config = {.model = model, .first = first, .last = last, .batch = job->settings->train_batch,
                                      .n_contexts = 1, .seed = 1, .pool = pool};
    *b = (rk_profile_bench_t){.job = job, .first = first, .last = last, .batch = config.batch, .pool = pool};
    rk_err_t rc = rk_slice_new (&b->slice, &config, err);
    if (rc)
        return rc;
    b->n_in = rk_model_boundary (model, first, first, b->in_boundary);
    b->n_out = rk_model_boundary (model, last, first, b->out_boundary);
    const size_t n_flat = rk_model_slice_len (model, first, last);
    b->flat = rk_arena_memory ((n_flat + 1) * sizeof *b->flat);
    b->other = rk_arena_memory ((n_flat + 1) * sizeof *b->other);
    b->grads = rk_arena_memory ((n_flat + 1) * sizeof *b->grads);
    for (int i = 0; i < job->optim->n_slots; i++)
        if (!(b->slots[i] = rk_arena_memory ((n_flat + 1) * sizeof **b->slots)))
            b->out_of_memory = true;
    b->labels = calloc (b->batch * rk_model_n_labels (model), RK_LABEL_BYTES);
    s_tensors (b, rk_model_n_tokens (model));
    if (!b->flat || !b->other || !b->grads || !b->labels || b->out_of_memory)
        return rk_error_set (err, RK_ENOMEM, "no memory to measure layer %s", rk_model_layer_name (model, first));
    rk_model_init (model, 1, first, last, b->flat);
    memcpy (b->other, b->flat, (n_flat + 1) * sizeof *b->flat);
    memset (b->grads, 0, (n_flat + 1) * sizeof *b->grads);
    for (int i = 0; i < job->optim->n_slots; i++)
        memset (b->slots[i], 0, (n_flat + 1) * sizeof **b->slots);
    return RK_OK;
}

/* The step that a stage takes with every pipeline.update_every-th gradient, beside the version that minibatches in flight
 * still need; values stay what they are.                                                                 */
static void s_step (rk_profile_bench_t *b)
{
    const rk_profile_job_t *job = b->job;
    const rk_optim_update_t update = {.model = job->model, .first = b->first, .last = b->last, .lr = 0, .t = b->n_steps + 1,
                                      .grad_scale = 1, .w_old = b->flat, .w_new = b->other, .grads = b->grads, .slots = b->slots, .pool = b->pool};
    rk_optim_update (job->optim, &job->config, &update);
    float *old = b->flat;
    b->flat = b->other;
    b->other = old;
}

static uint64_t s_since (int64_t start)
{
    const int64_t ns = rk_thread_cpu_ns () - start;
    return ns > 0 ? (uint64_t) ns : 1;
}

rk_err_t rk_profile_bench_once (rk_profile_bench_t *b, rk_profile_times_t *out, rk_error_t *err)
{
    rk_loss_t loss;
    rk_forward_t call = {.mode = RK_MODE_TRAIN, .f = b->n_steps++, .n = b->batch, .flat = b->flat, .stats = b->flat,
                         .in = (const float *const *) b->in, .out = b->out, .labels = b->labels, .loss = &loss};
    int64_t start = rk_thread_cpu_ns ();
    rk_err_t rc = rk_slice_forward (b->slice, &call, err);
    out->forward_ns = s_since (start);
    start = rk_thread_cpu_ns ();
    if (!rc)
        rc = rk_slice_backward_input (b->slice, 0, b->flat, (const float *const *) b->gout, b->gin, err);
    if (!rc) {
        rk_slice_begin_grads (b->slice, 0);
        rc = rk_slice_backward_params (b->slice, 0, b->flat, b->grads, err);
    }
    out->backward_ns = s_since (start);
    rk_slice_release (b->slice, 0);
    start = rk_thread_cpu_ns ();
    if (!rc)
        s_step (b);
    out->step_ns = s_since (start) / b->job->settings->pipeline_update_every;
    return rc;
}
