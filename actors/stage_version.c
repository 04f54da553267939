/* SPDX-License-Identifier: MPL-2.0
 * Parameters of a stage: reference-counted flat buffers. The optimiser writes beside the old version while
 * anybody holds it (a minibatch in flight, the snapshot of a round, a mean), else in place.               */
#include "actors/stage_parts.h"
#include "compute/kernels/vec.h"
#include "messages/safetensors.h"

rk_buffer_t *rk_stage_take_version (rk_stage_t *self, rk_error_t *err)
{
    rk_buffer_t *version = rk_buffers_take (self->versions);
    if (!version)
        rk_error_set (err, RK_ENOMEM, "all versions of stage %u of cluster %u are in use (%zu)", self->stage, self->cluster,
                      rk_buffers_in_use (self->versions));
    return version;
}

static void s_set (rk_buffer_t **holder, rk_buffer_t *version) /* takes the reference */
{
    rk_buffer_unref (*holder);
    *holder = version;
}

/* The copy of a tied tensor goes on as it is: its owner steps it. */
static void s_copy_tied (const rk_stage_t *self, rk_buffer_t *to)
{
    if (to != self->live && self->n_tied)
        memcpy (rk_buffer_floats (to) + self->n_flat, rk_buffer_floats (self->live) + self->n_flat, self->n_tied * sizeof (float));
}

rk_err_t rk_stage_write_live (rk_stage_t *self, size_t at, size_t count, const void *values, rk_error_t *err)
{
    if (!rk_buffer_sole (self->live)) {
        rk_buffer_t *own = rk_stage_take_version (self, err);
        if (!own)
            return RK_ENOMEM;
        memcpy (own->bytes, self->live->bytes, (self->n_flat + self->n_tied) * sizeof (float));
        s_set (&self->live, own);
    }
    memcpy (rk_buffer_floats (self->live) + at, values, count * sizeof (float));
    return RK_OK;
}

rk_err_t rk_stage_step (rk_stage_t *self, float *grads, float grad_scale, uint64_t f, rk_error_t *err)
{
    rk_buffer_t *to = rk_buffer_sole (self->live) ? self->live : rk_stage_take_version (self, err);
    if (!to)
        return RK_ENOMEM;
    const rk_optim_update_t update = {
        .model = self->model, .first = self->layer_first, .last = self->layer_last,
        .lr = rk_lr_at (&self->training.lr, f), .t = ++self->n_steps, .grad_scale = grad_scale,
        .w_old = rk_buffer_floats (self->live), .w_new = rk_buffer_floats (to), .grads = grads, .slots = self->slot_state,
        .pool = self->pool};
    rk_optim_update (self->training.optim, &self->training.config, &update);
    self->mix.lr_sum += update.lr;
    s_copy_tied (self, to);
    if (to != self->live)
        s_set (&self->live, to);
    return RK_OK;
}

/* Statistics are written into the live version while minibatches in flight share it (they read weights only),
 * but never into a snapshot or a mean.                                                                     */
rk_err_t rk_stage_own_live (rk_stage_t *self, rk_error_t *err)
{
    if (!self->has_stats || (self->live != self->snapshot && self->live != self->mean && !rk_stage_is_kept (self, self->live)))
        return RK_OK;
    rk_buffer_t *own = rk_stage_take_version (self, err);
    if (!own)
        return RK_ENOMEM;
    memcpy (own->bytes, self->live->bytes, (self->n_flat + self->n_tied) * sizeof (float));
    s_set (&self->live, own);
    return RK_OK;
}

/* ---- the mean of a round */

/* Copies the BatchNorm buffers of this slice. */
void rk_stage_copy_stats (const rk_stage_t *self, const float *from, float *to)
{
    size_t base = rk_model_flat_at (self->model, self->layer_first);
    for (size_t i = 0; i < rk_model_n_tensors (self->model); i++) {
        const rk_param_t *param = rk_model_param (self->model, i);
        if (!param->trainable && param->layer >= self->layer_first && param->layer < self->layer_last)
            memcpy (to + param->offset - base, from + param->offset - base, param->count * sizeof *to);
    }
}

/* live += mean - snapshot. Statistics take the mean as it is: sums of differences could make a variance
 * negative, and what they lose are the few minibatches since the snapshot.                                */
rk_err_t rk_stage_correct_live (rk_stage_t *self, rk_error_t *err)
{
    rk_buffer_t *to = rk_buffer_sole (self->live) ? self->live : rk_stage_take_version (self, err);
    if (!to)
        return RK_ENOMEM;
    const float *mean = rk_buffer_floats (self->mean), *snapshot = rk_buffer_floats (self->snapshot);
    const float *from = rk_buffer_floats (self->live);
    float *x = rk_buffer_floats (to);
    for (size_t i = 0; i < self->n_flat; i++)
        x[i] = from[i] + (mean[i] - snapshot[i]);
    const bool local = rk_settings_bn (&self->plan->settings) == RK_BN_RECALIBRATE;
    rk_stage_copy_stats (self, local ? rk_buffer_floats (self->live) : mean, x);
    s_copy_tied (self, to);
    if (to != self->live)
        s_set (&self->live, to);
    s_set (&self->snapshot, NULL);
    return RK_OK;
}

rk_err_t rk_stage_apply_mean (rk_stage_t *self, const void *mean, rk_error_t *err)
{
    rk_buffer_t *copy = rk_stage_take_version (self, err);
    if (!copy)
        return RK_ENOMEM;
    memcpy (copy->bytes, mean, self->n_flat * sizeof (float));
    rk_stage_tied_copy_mean (self, 0, rk_buffer_floats (copy));
    if (rk_settings_bn (&self->plan->settings) == RK_BN_RECALIBRATE)
        rk_stage_copy_stats (self, rk_buffer_floats (self->live), rk_buffer_floats (copy));
    rk_buffer_t *before = self->mean;
    self->mean = copy;
    rk_stage_after_mix (self, rk_buffer_floats (before));
    rk_buffer_unref (before);
    if (self->mix.late && !self->mix.frozen) {
        self->mix.due = true;
        return RK_OK;
    }
    bool moved = self->live != self->snapshot; /* no step since: the correction would only round */
    if (!self->drained && moved && !self->mix.frozen)
        return rk_stage_correct_live (self, err);
    s_set (&self->live, rk_buffer_ref (copy));
    s_set (&self->snapshot, NULL);
    return RK_OK;
}

rk_err_t rk_stage_keep_merged (rk_stage_t *self, const void *merged, rk_error_t *err)
{
    s_set (&self->merged, NULL);
    if (!merged)
        return RK_OK;
    self->merged = rk_stage_take_version (self, err);
    if (!self->merged)
        return RK_ENOMEM;
    memcpy (self->merged->bytes, merged, self->n_flat * sizeof (float));
    rk_stage_tied_copy_mean (self, 1, rk_buffer_floats (self->merged));
    if (rk_settings_bn (&self->plan->settings) == RK_BN_RECALIBRATE)
        rk_stage_copy_stats (self, rk_buffer_floats (self->live), rk_buffer_floats (self->merged));
    return RK_OK;
}

rk_buffer_t *rk_stage_model (const rk_stage_t *self)
{
    return self->merged ? self->merged : self->mean;
}

/* ---- statistics of the model, measured again: the mean of what single minibatches would make them */

static void s_each_stat (rk_stage_t *self, void (*visit) (float *measured, float *model, uint64_t k), uint64_t k)
{
    size_t base = rk_model_flat_at (self->model, self->layer_first);
    float *model = rk_buffer_floats (self->merged);
    for (size_t i = 0; i < rk_model_n_tensors (self->model); i++) {
        const rk_param_t *param = rk_model_param (self->model, i);
        if (param->trainable || param->layer < self->layer_first || param->layer >= self->layer_last)
            continue;
        for (size_t at = param->offset - base; at < param->offset - base + param->count; at++)
            visit (&self->measured[at], &model[at], k);
    }
}

static void s_clear_stat (float *measured, float *model, uint64_t k)
{
    *measured = 0; /* so that one minibatch leaves its share, and nothing else, there */
}

static void s_fold_stat (float *measured, float *model, uint64_t k)
{
    float one = (float) ((double) *measured / RK_STATS_SHARE);
    *model = k ? *model + (one - *model) / (float) (k + 1) : one;
}

rk_err_t rk_stage_begin_measure (rk_stage_t *self, rk_error_t *err)
{
    if (!self->merged) { /* the mean may be the live version: its statistics are not ours to write */
        self->merged = rk_stage_take_version (self, err);
        if (!self->merged)
            return RK_ENOMEM;
        memcpy (self->merged->bytes, self->mean->bytes, (self->n_flat + self->n_tied) * sizeof (float));
    }
    s_each_stat (self, s_clear_stat, 0);
    return RK_OK;
}

void rk_stage_end_measure (rk_stage_t *self, uint64_t k)
{
    s_each_stat (self, s_fold_stat, k);
}

/* ---- first values */

static rk_err_t s_read_tensor (const rk_st_file_t *file, const rk_param_t *param, float *values, rk_error_t *err)
{
    const rk_st_tensor_t *tensor = rk_st_find (file, param->name);
    if (!tensor)
        return rk_error_set (err, RK_ENOTFOUND, "the file of initial parameters has no %s", param->name);
    if (tensor->count != param->count)
        return rk_error_set (err, RK_ESHAPE, "%s has %zu values in the file, %zu in the model", param->name, tensor->count,
                             param->count);
    memcpy (values, tensor->data, param->count * sizeof *values);
    return RK_OK;
}

static rk_err_t s_read_initial (rk_stage_t *self, const char *path, float *flat, rk_error_t *err)
{
    rk_st_file_t *file = NULL;
    rk_err_t code = rk_st_open (&file, path, err);
    for (size_t i = 0; i < rk_model_n_tensors (self->model) && code == RK_OK; i++) {
        const rk_param_t *param = rk_model_param (self->model, i);
        if (param->layer >= self->layer_first && param->layer < self->layer_last)
            code = s_read_tensor (file, param, flat + param->offset - rk_model_flat_at (self->model, self->layer_first), err);
    }
    if (code == RK_OK && self->n_tied)
        code = s_read_tensor (file, rk_model_param (self->model, rk_model_tie (self->model)->param), flat + self->n_flat, err);
    rk_st_close (&file);
    return code;
}

rk_err_t rk_stage_init_live (rk_stage_t *self, const char *initial, rk_error_t *err)
{
    self->live = rk_stage_take_version (self, err);
    if (!self->live)
        return RK_ENOMEM;
    rk_model_init (self->model, self->plan->settings.run_seed, self->layer_first, self->layer_last, rk_buffer_floats (self->live));
    self->mean = rk_buffer_ref (self->live); /* before the first round */
    return initial ? s_read_initial (self, initial, rk_buffer_floats (self->live), err) : RK_OK;
}
