/* SPDX-License-Identifier: MPL-2.0 */
#include "cluster/memory.h"

#define AVERAGING_COPIES 1 /* the last committed mean, which is another vector than the live one */
#define KEPT_COPIES 2      /* of each slot: what a stage was after the last two committed rounds, to hand over */
#define STATE_COPIES 2     /* of each slot that is averaged: snapshot and mean */
#define WARM_COPIES 2      /* of parameters and slots: the one that is committed, and the next */

static uint64_t s_cut_bytes (const rk_model_info_t *model, uint32_t cut)
{
    return cut < model->n_layers ? model->layers[cut].cut_bytes : 0;
}

void rk_memory_sums (rk_memory_sums_t *out, const rk_model_info_t *model, uint32_t first, uint32_t last)
{
    uint64_t flat_hi = last < model->n_layers ? model->layers[last].flat_at : model->n_flat;
    *out = (rk_memory_sums_t){.params = 4 * (flat_hi - model->layers[first].flat_at),
                              .in = s_cut_bytes (model, first),
                              .out = s_cut_bytes (model, last),
                              .labels = model->label_bytes,
                              .slots = model->optimizer_slots,
                              .first = first == 0};
    for (uint32_t l = first; l < last; l++) {
        out->stash += model->layers[l].stash_bytes;
        out->grads += model->layers[l].grad_bytes;
        out->work = model->layers[l].work_bytes > out->work ? model->layers[l].work_bytes : out->work;
    }
}

void rk_memory_of (rk_memory_t *out, const rk_memory_sums_t *sums, const rk_settings_t *settings, uint32_t in_flight,
                   bool recompute)
{
    const uint64_t params = sums->params, slots = sums->slots;
    *out = (rk_memory_t){
        .parameters = params,
        .versions = in_flight * params, /* each minibatch out may pin its own */
        .gradients = rk_settings_gradients (settings, sums->first, in_flight) * params,
        .optimizer = slots * params,
        .averaging = (AVERAGING_COPIES + (KEPT_COPIES + (settings->average_optimizer_state ? STATE_COPIES : 0)) * slots) * params,
        .activations = (recompute ? 1 : in_flight) * sums->stash,
        .scratch = sums->grads + sums->work,
        /* What came in stays until the backward, with or without recompute; activations down, gradients up,
         * labels along. */
        .buffers = in_flight * 2 * (sums->in + sums->out + sums->labels),
        .warm = WARM_COPIES * (uint64_t) settings->net_warm * (1 + slots) * params,
    };
    out->total = out->parameters + out->versions + out->gradients + out->optimizer + out->averaging + out->activations +
                 out->scratch + out->buffers + out->warm;
}
