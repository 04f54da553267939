/* SPDX-License-Identifier: MPL-2.0 */
#include "tests/support/rig_parts.h"

#include <math.h>

#include "actors/training.h"
#include "compute/arena.h"
#include "compute/blas.h"
#include "compute/optim/norm.h"

/* One slice that is the whole model, one minibatch after the other. */
typedef struct {
    const rig_config_t *config;
    rk_plan_t *plan;
    rk_training_t training;
    rk_slice_t *slice;
    int n_layers;
    float *flat, *grads, *slots[RK_OPTIM_MAX_SLOTS], *x;
    int32_t *labels;
    double *squares;
    rk_verdict_state_t verdicts;
    float loss_scale;
    uint64_t t, samples;
    uint32_t n; /* minibatches in grads */
    bool poisoned;
} plain_t;

static void s_open (plain_t *p)
{
    rk_error_t err = {RK_OK, ""};
    const rk_settings_t *settings = &p->config->settings;
    p->plan = rig_plan (p->config);
    rig_ok (rk_training_of (p->plan, &p->training, &err), &err);
    rig_ok (rk_blas_init ("auto", &err), &err);
    p->n_layers = rk_model_n_layers (p->config->model);
    rk_slice_config_t sc = {.model = p->config->model, .last = p->n_layers, .batch = settings->train_batch, .n_contexts = 1,
                            .seed = settings->run_seed};
    rig_ok (rk_slice_new (&p->slice, &sc, &err), &err);
    const size_t bytes = (p->plan->n_flat + 1) * sizeof (float);
    p->flat = rk_arena_memory (bytes);
    p->grads = rk_arena_memory (bytes);
    for (int i = 0; i < RK_OPTIM_MAX_SLOTS; i++)
        p->slots[i] = rk_arena_memory (bytes);
    p->x = rk_arena_memory (settings->train_batch * rk_shape_elems (rk_data_shape (p->config->data)) * sizeof *p->x);
    p->labels = rk_arena_memory (settings->train_batch * rk_model_n_labels (p->config->model) * sizeof *p->labels);
    p->squares = calloc (rk_model_n_tensors (p->config->model) + 1, sizeof *p->squares);
    rk_model_init (p->config->model, settings->run_seed, 0, p->n_layers, p->flat);
    rk_verdict_start (&p->training.verdict, &p->verdicts);
    p->loss_scale = p->verdicts.loss_scale;
}

static void s_close (plain_t *p)
{
    void *memory[] = {p->grads, p->slots[0], p->slots[1], p->x, p->labels, p->squares};
    for (size_t i = 0; i < sizeof memory / sizeof *memory; i++)
        free (memory[i]);
    rk_slice_destroy (&p->slice);
    rk_plan_destroy (&p->plan);
}

static void s_minibatch (plain_t *p, uint64_t f)
{
    rk_error_t err = {RK_OK, ""};
    const rk_settings_t *settings = &p->config->settings;
    const float *in[] = {p->x};
    float *gin[] = {NULL};
    rk_loss_t loss;
    rk_forward_t call = {.mode = RK_MODE_TRAIN, .f = f, .flat = p->flat, .stats = p->flat, .in = in, .labels = p->labels, .loss = &loss};
    call.n = rk_data_batch (p->config->data, RK_SPLIT_TRAIN, settings->run_seed, f / p->plan->minibatches_per_pass,
                            f % p->plan->minibatches_per_pass, settings->train_batch, p->x, p->labels);
    if (p->config->corrupt == RK_CORRUPT_NAN_SAMPLE && f % RK_CORRUPT_NAN_EVERY == RK_CORRUPT_NAN_EVERY - 1)
        p->x[0] = NAN;
    rig_ok (rk_slice_forward (p->slice, &call, &err), &err);
    if (settings->pipeline_update_every > 1)
        rk_slice_scale_loss (p->slice, 0, (float) call.n / (float) settings->train_batch * p->loss_scale);
    else
        rk_slice_scale_loss (p->slice, 0, p->loss_scale);
    rig_ok (rk_slice_backward_input (p->slice, 0, p->flat, NULL, gin, &err), &err);
    rig_ok (rk_slice_backward_params (p->slice, 0, p->flat, p->grads, &err), &err);
    rk_slice_release (p->slice, 0);
    p->samples += call.n;
    p->n++;
    p->poisoned |= !isfinite (loss.loss_sum);
}

static void s_update (plain_t *p, uint64_t f)
{
    const rk_settings_t *settings = &p->config->settings;
    const double mean = settings->pipeline_update_every > 1 ? (double) settings->train_batch / (double) p->samples : 1;
    rk_verdict_t verdict = {.grad_scale = (float) mean, .loss_scale = 1};
    if (rk_settings_judged (settings)) {
        size_t n = rk_grad_squares (p->config->model, 0, p->n_layers, p->grads, p->squares);
        double squares = rk_add_squares (p->poisoned ? (double) NAN : 0, n, p->squares, NULL);
        verdict = rk_verdict_give (&p->training.verdict, &p->verdicts, squares, mean, p->loss_scale);
    }
    const rk_optim_update_t update = {.model = p->config->model, .last = p->n_layers, .lr = rk_lr_at (&p->training.lr, f),
                                      .t = p->t + 1, .grad_scale = verdict.grad_scale, .w_old = p->flat, .w_new = p->flat,
                                      .grads = p->grads, .slots = p->slots};
    if (!verdict.skip) {
        rk_optim_update (p->training.optim, &p->training.config, &update);
        p->t++;
    }
    memset (p->grads, 0, p->plan->n_flat * sizeof *p->grads);
    p->loss_scale = verdict.loss_scale;
    p->samples = p->n = 0;
    p->poisoned = false;
}

float *rig_plain (const rig_config_t *config, uint64_t n_minibatches)
{
    plain_t plain = {.config = config};
    s_open (&plain);
    for (uint64_t f = 0; f < n_minibatches; f++) {
        uint64_t first, end;
        rk_round_range (plain.plan, rk_round_of (plain.plan, f), &first, &end);
        s_minibatch (&plain, f);
        if (plain.n == config->settings.pipeline_update_every || f + 1 == end)
            s_update (&plain, f);
    }
    s_close (&plain);
    return plain.flat;
}
