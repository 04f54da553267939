/* SPDX-License-Identifier: MPL-2.0 */
#include "tests/support/rig_parts.h"

#include "actors/training.h"
#include "compute/arena.h"
#include "compute/blas.h"

float *rig_plain (const rig_config_t *config, uint64_t n_minibatches)
{
    rk_error_t err = {RK_OK, ""};
    rk_plan_t *plan = rig_plan (config);
    rk_training_t training;
    rig_ok (rk_training_of (plan, &training, &err), &err);
    rig_ok (rk_blas_init ("auto", &err), &err);
    int n_layers = rk_model_n_layers (config->model);
    const rk_settings_t *settings = &config->settings;
    rk_slice_config_t sc = {.model = config->model, .last = n_layers, .batch = settings->train_batch, .n_contexts = 1,
                            .seed = settings->run_seed};
    rk_slice_t *slice = NULL;
    rig_ok (rk_slice_new (&slice, &sc, &err), &err);
    size_t bytes = (plan->n_flat + 1) * sizeof (float);
    float *flat = rk_arena_memory (bytes), *grads = rk_arena_memory (bytes);
    float *slots[RK_OPTIM_MAX_SLOTS] = {rk_arena_memory (bytes), rk_arena_memory (bytes)};
    float *x = rk_arena_memory (settings->train_batch * rk_shape_elems (rk_data_shape (config->data)) * sizeof *x);
    void *labels = rk_arena_memory (settings->train_batch * rk_model_n_labels (config->model) * RK_LABEL_BYTES);
    rk_model_init (config->model, settings->run_seed, 0, n_layers, flat);
    uint64_t t = 0;
    for (uint64_t f = 0; f < n_minibatches; f++) {
        const float *in[] = {x};
        float *gin[] = {NULL};
        rk_loss_t loss;
        rk_forward_t call = {.mode = RK_MODE_TRAIN, .f = f, .flat = flat, .stats = flat, .in = in, .labels = labels, .loss = &loss};
        call.n = rk_data_batch (config->data, RK_SPLIT_TRAIN, settings->run_seed, f / plan->minibatches_per_pass,
                                f % plan->minibatches_per_pass, settings->train_batch, x, labels);
        rig_ok (rk_slice_forward (slice, &call, &err), &err);
        rig_ok (rk_slice_backward_input (slice, 0, flat, NULL, gin, &err), &err);
        rig_ok (rk_slice_backward_params (slice, 0, flat, grads, &err), &err);
        rk_slice_release (slice, 0);
        if ((f + 1) % settings->pipeline_update_every && f + 1 < n_minibatches)
            continue;
        const rk_optim_update_t update = {.model = config->model, .last = n_layers, .lr = rk_lr_at (&training.lr, f), .t = ++t,
                                          .grad_scale = 1.0f / (float) settings->pipeline_update_every, .w_old = flat,
                                          .w_new = flat, .grads = grads, .slots = slots};
        rk_optim_update (training.optim, &training.config, &update);
        memset (grads, 0, bytes);
    }
    void *memory[] = {grads, slots[0], slots[1], x, labels};
    for (size_t i = 0; i < sizeof memory / sizeof *memory; i++)
        free (memory[i]);
    rk_slice_destroy (&slice);
    rk_plan_destroy (&plan);
    return flat;
}
