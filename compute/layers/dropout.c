/* SPDX-License-Identifier: MPL-2.0
 * y = x / (1 - p) with probability 1 - p, else 0. The mask is a function of (seed, layer, f, element), so
 * that the backward and a replay draw it again instead of keeping it.                                */
#include <math.h>
#include <string.h>

#include "compute/layer.h"
#include "compute/rng.h"

extern const rk_layer_type_t rk_layer_dropout;

int rk_model_dropout (rk_model_t *m, const char *name, int in, float probability)
{
    return rk_model_append (m, &rk_layer_dropout, name, 1, &in, (rk_layer_config_t) {.probability = probability});
}

static rk_err_t s_infer (rk_layer_t *layer, rk_error_t *err)
{
    if (!(layer->config.probability >= 0 && layer->config.probability < 1))
        return rk_error_set (err, RK_EINVAL, "probability %g is not in [0, 1)", (double) layer->config.probability);
    layer->shape = layer->in_shape[0];
    return RK_OK;
}

/* out = in under the mask; out may be in. Counter: layer above, four elements to a block below. */
static void s_mask (const rk_layer_call_t *call, const float *in, float *out)
{
    const size_t n = call->n * call->layer->elems;
    const float scale = 1.0f / (1.0f - call->layer->config.probability);
    const uint32_t limit = (uint32_t) ((double) call->layer->config.probability * 0x1p32);
    const uint64_t stream = rk_rng_stream (RK_RNG_DROPOUT, call->f), layer = (uint64_t) call->index << 32;
    const size_t first = call->first * call->layer->elems / 4; /* runs of samples begin at a multiple of 4 */
    uint32_t words[4];
    for (size_t i = 0; i < n; i++) {
        if (i % 4 == 0)
            rk_rng_block (call->seed, stream, layer | (first + i / 4), words);
        out[i] = words[i % 4] < limit ? 0 : in[i] * scale;
    }
}

static void s_forward (const rk_layer_call_t *call)
{
    if (call->mode == RK_MODE_TRAIN)
        s_mask (call, call->x[0], call->y);
    else if (call->y != call->x[0])
        memcpy (call->y, call->x[0], call->n * call->layer->elems * sizeof (float));
}

static void s_backward_input (const rk_layer_call_t *call)
{
    s_mask (call, call->gy, call->gx[0]);
}

static void s_need (const rk_layer_t *layer, size_t batch, rk_layer_need_t *need)
{
    need->forward_flops = need->backward_flops = 30 * (uint64_t) batch * layer->elems;
}

const rk_layer_type_t rk_layer_dropout = {
    .kind = "dropout",
    .flags = RK_MAY_OVERWRITE_X | RK_MAY_OVERWRITE_GY | RK_BY_SAMPLE,
    .infer = s_infer,
    .forward = s_forward,
    .backward_input = s_backward_input,
    .need = s_need,
};
