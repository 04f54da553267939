/* SPDX-License-Identifier: MPL-2.0
 * Every average.probe_every rounds: of each tensor of this slice the L2 norm before and after averaging, and how
 * far this replica was from the mean of all (when that mean is at hand: exact averaging, or a merge beside the
 * mixing) or else from the mean of its neighbourhood. Sums in double: replicas differ by little.           */
#include "actors/stage_parts.h"

#include <math.h>

#define PER_TENSOR 3

typedef struct {
    const uint8_t *before, *after, *reference; /* floats at any address */
} s_ranges_t;

static double s_at (const uint8_t *bytes, size_t i)
{
    float x;
    memcpy (&x, bytes + i * sizeof x, sizeof x);
    return (double) x;
}

static void s_look (const s_ranges_t *of, size_t from, size_t n, double out[PER_TENSOR])
{
    double before = 0, after = 0, distance = 0;
    for (size_t i = from; i < from + n; i++) {
        double b = s_at (of->before, i), a = s_at (of->after, i), d = b - s_at (of->reference, i);
        before += b * b;
        after += a * a;
        distance += d * d;
    }
    out[0] = sqrt (before);
    out[1] = sqrt (after);
    out[2] = sqrt (distance);
}

bool rk_stage_probes (const rk_stage_t *self, uint64_t round)
{
    uint64_t every = self->plan->settings.average_probe_every;
    return every && (round + 1) % every == 0 && self->probe && rk_loop_connected (self->loop, RK_TO_OBSERVER);
}

/* Names are told once per look: the observer knows no model. */
rk_err_t rk_stage_probe (rk_stage_t *self, uint64_t round, const void *mixed, const void *merged, rk_error_t *err)
{
    size_t base = rk_model_flat_at (self->model, self->layer_first), used = 0;
    uint32_t n = 0;
    const s_ranges_t of = {.before = self->snapshot->bytes, .after = mixed, .reference = merged ? merged : mixed};
    self->probe_names[0] = 0;
    for (size_t i = 0; i < rk_model_n_tensors (self->model); i++) {
        const rk_param_t *param = rk_model_param (self->model, i);
        if (!param->trainable || param->layer < self->layer_first || param->layer >= self->layer_last)
            continue;
        s_look (&of, param->offset - base, param->count, self->probe + PER_TENSOR * n++);
        used += (size_t) snprintf (self->probe_names + used, self->probe_names_size - used, "%s%s", used ? " " : "", param->name);
    }
    rk_msg_t msg = {.kind = RK_MSG_PROBE,
                    .probe = {.round = round, .cluster = self->cluster, .stage = self->stage, .n_tensors = n, .names = self->probe_names,
                              .exact = merged || !self->mix.guarded}};
    rk_frame_t frame = {.bytes = self->probe, .size = PER_TENSOR * n * sizeof *self->probe};
    return n ? rk_stage_show (self, &msg, &frame, 1, err) : RK_OK;
}

rk_err_t rk_stage_probe_open (rk_stage_t *self)
{
    size_t n = 0;
    self->probe_names_size = 1;
    if (!self->plan->settings.average_probe_every || !self->reducer)
        return RK_OK;
    for (size_t i = 0; i < rk_model_n_tensors (self->model); i++) {
        const rk_param_t *param = rk_model_param (self->model, i);
        if (param->trainable && param->layer >= self->layer_first && param->layer < self->layer_last) {
            n++;
            self->probe_names_size += strlen (param->name) + 1;
        }
    }
    self->probe = calloc (PER_TENSOR * n + 1, sizeof *self->probe);
    self->probe_names = calloc (self->probe_names_size, 1);
    return self->probe && self->probe_names ? RK_OK : RK_ENOMEM;
}
